#pragma once
#include <cstdint>
#include <vector>

#include "actors/base/bytes.hpp"

namespace sluice::vhost {

/// What a ring notes of the chains that it has taken and not given back, in memory that the front end keeps while this
/// process is away: the layout for split rings that the specification recommends, so that whoever comes next can read
/// it [vhost-user: Inflight I/O tracking]. What is read from there is not trusted.
class inflight_record {
 public:
  /// Octets that a ring of that size takes; a multiple of 64.
  static std::uint64_t bytes_of(std::uint16_t ring_size);

  inflight_record() = default;
  /// `at` holds bytes_of(ring_size) octets, aligned to 8.
  inflight_record(std::uint8_t* at, std::uint16_t ring_size) : at_(at), size_(ring_size) {}
  explicit operator bool() const { return at_ != nullptr; }

  /// Begins, or goes on where a predecessor was when it ended: the heads that it had taken and never gave back, in the
  /// order in which it took them. `used_index`: of the ring, as the guest sees it.
  std::vector<std::uint16_t> recover(std::uint16_t used_index);

  void took(std::uint16_t head);
  /// Around split_ring::push().
  void giving_back(std::uint16_t head);
  void gave_back(std::uint16_t head, std::uint16_t used_index);

 private:
  std::uint8_t* entry(std::uint16_t head) const;
  std::uint8_t* at_ = nullptr;
  std::uint16_t size_ = 0;
  std::uint64_t counter_ = 0;
};

}  // namespace sluice::vhost
