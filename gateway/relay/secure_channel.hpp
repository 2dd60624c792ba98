#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace sluice::relay {

/// A secret of 32 octets that two gateways have in common.
struct secret {
  static constexpr std::size_t size = 32;
  std::array<std::uint8_t, size> octets{};
  bool operator==(const secret&) const = default;
  /// 64 hex digits; errc::corrupt for anything else.
  static result<secret> parse(std::string_view text);
  std::string to_string() const;
  static secret draw();  // from the system's randomness
};

/// TLS 1.3 [RFC8446] between two that have a secret in common (a pre-shared key, with an ephemeral exchange), as a
/// function of octets: no socket, no certificates. Both sides are sure that the other has the secret.
class secure_channel {
 public:
  enum class side : std::uint8_t { asks, answers };
  secure_channel(side which, const secret& shared);
  ~secure_channel();
  secure_channel(const secure_channel&) = delete;
  secure_channel& operator=(const secure_channel&) = delete;

  /// What came from the peer; looked at by read() and advance() until it is used up, and must stay until then.
  void feed(const_bytes from_peer);
  /// What is to go to the peer; the caller takes it away.
  std::vector<std::uint8_t>& output() { return output_; }

  /// Goes on with the handshake. False: not yet through; errc::permission: the peer has another secret, or is none.
  result<bool> advance();
  /// Octets read into `into`, 0 when there is nothing more by now; errc::closed at the end.
  result<std::size_t> read(bytes into);
  /// Encrypts all of it into output(); this is its only copy.
  result<void> write(const_bytes from);

 private:
  struct callbacks;
  tl::unexpected<error> failed(const char* doing, int outcome);

  const secret shared_;
  const std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> context_;
  const std::unique_ptr<ssl_st, void (*)(ssl_st*)> tls_;
  const_bytes input_;
  std::vector<std::uint8_t> output_;
};

}  // namespace sluice::relay
