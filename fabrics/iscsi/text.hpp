#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"
#include "actors/memory/account.hpp"

/// key=value text of Login and Text PDUs [RFC7143 6.1].
namespace sluice::iscsi {

inline constexpr std::size_t max_key_bytes = 63;
inline constexpr std::size_t max_value_bytes = 8192;
/// The most text that one negotiation step may carry over all its continuation PDUs.
inline constexpr std::size_t max_text_bytes = 64 * 1024;
inline constexpr std::size_t max_text_keys = 256;

struct text_pair {
  std::string_view key, value;
};

/// Splits a text data segment; the pairs view `data`. Fails (invalid_argument) when a pair lacks '=' or its NUL, a key
/// is not 1 … 63 octets of the standard-label alphabet, or there is too much of it.
result<std::vector<text_pair>> parse_text(const_bytes data);

/// Appends "key=value" and its NUL.
void append_text(std::string& to, std::string_view key, std::string_view value);

/// Gathers the text of a sequence of PDUs with the C bit, on the heap.
class text_accumulator {
 public:
  /// `payment` is what the text is charged to; without one it is free.
  void pay_by(memory::charge payment) {
    payment_ = std::move(payment);
    clear();
  }
  enum class room : std::uint8_t { enough, too_long, no_memory };
  /// too_long: the total would pass max_text_bytes; no_memory: whoever pays has no more. The negotiation must then end.
  room add(const_bytes part);
  const_bytes data() const { return as_bytes(text_); }
  bool empty() const { return text_.empty(); }
  std::uint64_t held() const { return payment_.octets(); }
  /// Gives the memory back too.
  void clear() {
    std::string().swap(text_);
    payment_.set(0);
  }

 private:
  std::string text_;
  memory::charge payment_;
};

/// A long text on its way out, in pieces that fit the receiver.
class text_pieces {
 public:
  void load(std::string text) { load(std::make_shared<const std::string>(std::move(text))); }
  void clear() { load(std::shared_ptr<const std::string>()); }
  /// A text that others share; null is an empty one.
  void load(std::shared_ptr<const std::string> text) {
    text_ = std::move(text);
    sent_ = 0;
  }
  bool empty() const { return !text_ || sent_ == text_->size(); }
  std::string_view next(std::size_t most) {
    if (!text_) return {};
    const std::string_view piece = std::string_view(*text_).substr(sent_, most);
    sent_ += piece.size();
    return piece;
  }

 private:
  std::shared_ptr<const std::string> text_;
  std::size_t sent_ = 0;
};

/// Decimal or 0x hexadecimal, at most 64 bits.
std::optional<std::uint64_t> parse_number(std::string_view text);
/// "0x…" hexadecimal or "0b…" base64 [RFC7143 6.1], at most `max_bytes` when decoded.
std::optional<std::vector<std::uint8_t>> parse_binary(std::string_view text, std::size_t max_bytes);
std::string to_hex(const_bytes data);

/// Calls `each` with every item of a comma-separated list, empty ones too.
template <class F>
void for_each_item(std::string_view list, F each) {
  for (;;) {
    const std::size_t comma = list.find(',');
    each(list.substr(0, comma));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace sluice::iscsi
