#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actors/base/bytes.hpp"
#include "fabrics/vhost/guest_memory.hpp"

namespace sluice::vhost {

/// What a guest made available in one descriptor chain: memory to read, then memory to write.
struct chain {
  std::uint16_t head = 0;
  std::vector<iovec> readable, writable;
  std::uint64_t readable_bytes = 0, writable_bytes = 0;  // together below 2^32
};

/// The device's side of a split virtqueue in shared memory [VIRTIO 2.7]. Nothing that the guest writes there is trusted
/// or looked at twice: indices are taken once, descriptors copied before they are read.
class split_ring {
 public:
  static constexpr std::uint32_t max_size = 32768;
  static constexpr std::uint32_t max_pieces = 2048;  // of one chain, whatever an indirect table says

  struct places {
    std::uint32_t size = 0;                                  // descriptors, a power of two
    std::uint64_t descriptors = 0, available = 0, used = 0;  // user addresses
  };
  /// Binds it to memory; `next` is the first available entry that was not taken yet. False, and the ring is nowhere,
  /// when a part lies outside of the memory or is not aligned.
  bool bind(const guest_memory& in, const places& where, bool event_index, bool indirect, std::uint16_t next);
  bool bound() const { return used_ != nullptr; }
  std::uint16_t size() const { return size_; }
  std::uint16_t next() const { return next_; }  // of the available ring

  enum class found : std::uint8_t { nothing, one, broken };
  /// Takes the next chain. Broken: what the guest wrote can be no ring; `problem()` says why.
  found pop(const guest_memory& in, chain& into);
  /// The chain of a head that was taken before this process had the ring.
  found again(const guest_memory& in, std::uint16_t head, chain& into);
  bool empty() const;
  const char* problem() const { return problem_; }

  /// Gives a chain back; `written` octets of its writable memory are new.
  void push(std::uint16_t head, std::uint32_t written);
  std::uint16_t used_index() const;

  /// Whether the guest wants to hear of what was pushed since it was asked last.
  bool wants_signal();
  /// The guest need not kick; or must, with the next entry that it makes available. After the latter, empty() must be
  /// asked once more.
  void suppress_kicks();
  void ask_for_kicks();

  // Where the used ring was written by push(), for the dirty log: offset and length from its start.
  static constexpr std::uint64_t used_header_bytes = 4, used_entry_bytes = 8;
  std::uint64_t entry_offset(std::uint16_t used_index) const {
    return used_header_bytes + used_entry_bytes * (used_index & (size_ - 1u));
  }

 private:
  struct descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags, next;
  };
  static descriptor descriptor_at(const std::uint8_t* table, std::uint32_t index);
  found fail(const char* why);
  found walk(const guest_memory& in, chain& into);
  bool add(const guest_memory& in, const descriptor& d, chain& into);

  const std::uint8_t* table_ = nullptr;
  const std::uint8_t* available_ = nullptr;
  std::uint8_t* used_ = nullptr;
  std::uint16_t size_ = 0, next_ = 0, used_next_ = 0, signalled_ = 0;
  bool event_index_ = false, indirect_ = false, signalled_known_ = false;
  bool suppressed_ = false;
  const char* problem_ = "";
};

}  // namespace sluice::vhost
