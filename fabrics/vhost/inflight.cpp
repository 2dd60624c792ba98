#include "fabrics/vhost/inflight.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "actors/wire/little_endian.hpp"

namespace sluice::vhost {
namespace {

namespace le = wire::little;

// Of a ring's part: features (8), version (2), entries (2), head of the last batch (2), used index (2), then entries of
// 16 octets: in flight (1), padding (5), next of the batch (2), counter (8).
constexpr std::size_t version_at = 8, count_at = 10, batch_at = 12, used_at = 14, header_bytes = 16;
constexpr std::size_t entry_bytes = 16, next_at = 6, counter_at = 8;
constexpr std::uint16_t layout_version = 1;
constexpr std::uint64_t alignment = 64;

/// A process that dies between two stores leaves the first one: memory is coherent, only the compiler is to keep order.
void in_order() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace

std::uint64_t inflight_record::bytes_of(std::uint16_t ring_size) {
  return (header_bytes + std::uint64_t{ring_size} * entry_bytes + alignment - 1) / alignment * alignment;
}

std::uint8_t* inflight_record::entry(std::uint16_t head) const {
  return at_ + header_bytes + std::size_t{head} * entry_bytes;
}

std::vector<std::uint16_t> inflight_record::recover(std::uint16_t used_index) {
  const bytes head(at_, header_bytes);
  if (le::load16(head, version_at) != layout_version || le::load16(head, count_at) != size_) {
    std::fill_n(at_, bytes_of(size_), 0);
    le::store16(head, count_at, size_);
    le::store16(head, used_at, used_index);
    le::store16(head, version_at, layout_version);
    return {};
  }
  if (le::load16(head, used_at) != used_index) {  // it had given back what it did not come to note
    std::uint16_t next = le::load16(head, batch_at);
    const auto given = static_cast<std::uint16_t>(used_index - le::load16(head, used_at));
    for (unsigned left = std::min<unsigned>(given, size_); left > 0 && next < size_; --left) {
      entry(next)[0] = 0;
      next = le::load16({entry(next), entry_bytes}, next_at);
    }
    in_order();
    le::store16(head, used_at, used_index);
  }
  std::vector<std::pair<std::uint64_t, std::uint16_t>> left;
  for (std::uint16_t i = 0; i < size_; ++i)
    if (entry(i)[0] == 1) left.emplace_back(le::load64({entry(i), entry_bytes}, counter_at), i);
  std::ranges::sort(left);
  std::vector<std::uint16_t> heads;
  for (const auto& [counter, i] : left) {
    heads.push_back(i);
    counter_ = std::max(counter_, counter);
  }
  return heads;
}

void inflight_record::took(std::uint16_t head) {
  le::store64({entry(head), entry_bytes}, counter_at, ++counter_);
  in_order();
  entry(head)[0] = 1;
  in_order();
}

void inflight_record::giving_back(std::uint16_t head) {
  le::store16({entry(head), entry_bytes}, next_at, le::load16({at_, header_bytes}, batch_at));
  in_order();
  le::store16({at_, header_bytes}, batch_at, head);
  in_order();
}

void inflight_record::gave_back(std::uint16_t head, std::uint16_t used_index) {
  in_order();
  entry(head)[0] = 0;
  in_order();
  le::store16({at_, header_bytes}, used_at, used_index);
}

}  // namespace sluice::vhost
