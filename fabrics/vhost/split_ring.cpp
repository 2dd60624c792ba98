#include "fabrics/vhost/split_ring.hpp"

#include <atomic>
#include <bit>
#include <cstring>

namespace sluice::vhost {
namespace {

constexpr std::uint16_t flag_next = 1, flag_write = 2, flag_indirect = 4;
constexpr std::uint16_t no_interrupt = 1, no_notify = 1;
constexpr std::uint32_t descriptor_bytes = 16;
constexpr std::uint64_t ring_header_bytes = 4, event_bytes = 2;

std::uint16_t get16(const std::uint8_t* at, std::memory_order order) {
  auto* const word = reinterpret_cast<std::uint16_t*>(const_cast<std::uint8_t*>(at));
  return std::atomic_ref<std::uint16_t>(*word).load(order);
}
void set16(std::uint8_t* at, std::uint16_t value, std::memory_order order) {
  std::atomic_ref<std::uint16_t>(*reinterpret_cast<std::uint16_t*>(at)).store(value, order);
}
template <class Octets>
bool aligned(Octets* at, std::uintptr_t to) {
  return at && reinterpret_cast<std::uintptr_t>(at) % to == 0;
}

}  // namespace

bool split_ring::bind(const guest_memory& in, const places& where, bool event_index, bool indirect,
                      std::uint16_t next) {
  used_ = nullptr;
  if (where.size == 0 || where.size > max_size || !std::has_single_bit(where.size)) return false;
  const std::uint64_t events = event_index ? event_bytes : 0;
  table_ = in.at_user(where.descriptors, std::uint64_t{where.size} * descriptor_bytes);
  available_ = in.at_user(where.available, ring_header_bytes + std::uint64_t{where.size} * 2 + events);
  std::uint8_t* const used = in.at_user(where.used, used_header_bytes + where.size * used_entry_bytes + events);
  if (!aligned(table_, 16) || !aligned(available_, 2) || !aligned(used, 4)) return false;
  used_ = used;
  size_ = static_cast<std::uint16_t>(where.size);
  next_ = next;
  event_index_ = event_index;
  indirect_ = indirect;
  used_next_ = used_index();
  signalled_known_ = false;
  suppressed_ = false;
  return true;
}

std::uint16_t split_ring::used_index() const {
  return get16(used_ + 2, std::memory_order_relaxed);
}

bool split_ring::empty() const {
  return get16(available_ + 2, std::memory_order_acquire) == next_;
}

split_ring::found split_ring::fail(const char* why) {
  problem_ = why;
  return found::broken;
}

split_ring::found split_ring::pop(const guest_memory& in, chain& into) {
  const std::uint16_t end = get16(available_ + 2, std::memory_order_acquire);
  if (end == next_) return found::nothing;
  if (static_cast<std::uint16_t>(end - next_) > size_) return fail("more is available than the ring holds");
  into.head = get16(available_ + ring_header_bytes + 2 * (next_ & (size_ - 1u)), std::memory_order_relaxed);
  const found how = walk(in, into);
  if (how == found::one) ++next_;
  return how;
}

split_ring::found split_ring::again(const guest_memory& in, std::uint16_t head, chain& into) {
  into.head = head;
  return walk(in, into);
}

split_ring::descriptor split_ring::descriptor_at(const std::uint8_t* table, std::uint32_t index) {
  descriptor d;
  static_assert(sizeof d == descriptor_bytes);
  std::memcpy(&d, table + std::uint64_t{index} * descriptor_bytes, sizeof d);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // copied once, whatever becomes of the original
  return d;
}

split_ring::found split_ring::walk(const guest_memory& in, chain& into) {
  into.readable.clear();
  into.writable.clear();
  into.readable_bytes = into.writable_bytes = 0;
  const std::uint8_t* table = table_;
  std::uint32_t count = size_, index = into.head, steps = 0;
  bool is_indirect = false;
  for (;;) {
    if (index >= count) return fail("a descriptor beyond the table");
    if (++steps > count) return fail("a chain without end");
    const descriptor d = descriptor_at(table, index);
    if (d.flags & flag_indirect) {
      if (!indirect_ || is_indirect) return fail("an indirect table where there can be none");
      if (d.flags & flag_next) return fail("an indirect table that goes on");
      if (d.length == 0 || d.length % descriptor_bytes != 0 || d.length / descriptor_bytes > max_pieces)
        return fail("an indirect table of a length that cannot be");
      table = in.at(d.address, d.length);
      if (!table) return fail("an indirect table that lies outside of the guest's memory");
      is_indirect = true;
      count = d.length / descriptor_bytes;
      index = steps = 0;
      continue;
    }
    if (!add(in, d, into)) return found::broken;
    if (!(d.flags & flag_next)) return found::one;
    index = d.next;
  }
}

bool split_ring::add(const guest_memory& in, const descriptor& d, chain& into) {
  const bool writes = (d.flags & flag_write) != 0;
  if (!writes && !into.writable.empty()) {
    fail("memory to read behind memory to write");
    return false;
  }
  if (into.readable_bytes + into.writable_bytes + d.length > UINT32_MAX) {
    fail("a chain of 4 GiB or more");
    return false;
  }
  std::vector<iovec>& to = writes ? into.writable : into.readable;
  if (!in.translate(d.address, d.length, to)) {
    fail("memory that is not the guest's");
    return false;
  }
  if (into.readable.size() + into.writable.size() > max_pieces) {
    fail("a chain of too many pieces");
    return false;
  }
  (writes ? into.writable_bytes : into.readable_bytes) += d.length;
  return true;
}

void split_ring::push(std::uint16_t head, std::uint32_t written) {
  const std::uint32_t entry[2] = {head, written};
  std::memcpy(used_ + entry_offset(used_next_), entry, sizeof entry);
  set16(used_ + 2, ++used_next_, std::memory_order_release);
}

bool split_ring::wants_signal() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!event_index_) return (get16(available_, std::memory_order_relaxed) & no_interrupt) == 0;
  const std::uint16_t wanted =
      get16(available_ + ring_header_bytes + 2 * std::uint64_t{size_}, std::memory_order_relaxed);
  const std::uint16_t before = signalled_;
  signalled_ = used_next_;
  if (!std::exchange(signalled_known_, true)) return true;
  // Whether `wanted` is one of [before, used_next_), all modulo 2^16 [VIRTIO 2.7.10].
  return static_cast<std::uint16_t>(used_next_ - wanted - 1) < static_cast<std::uint16_t>(used_next_ - before);
}

void split_ring::suppress_kicks() {
  if (suppressed_) return;
  suppressed_ = true;
  // With an event index it is enough to ask for nothing: the guest kicks when it passes what was asked for last.
  if (!event_index_) set16(used_, no_notify, std::memory_order_relaxed);
}

void split_ring::ask_for_kicks() {
  suppressed_ = false;
  if (event_index_)
    set16(used_ + used_header_bytes + size_ * used_entry_bytes, next_, std::memory_order_relaxed);
  else
    set16(used_, 0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace sluice::vhost
