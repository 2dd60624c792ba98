#pragma once
#include <cstdint>

#include "tiers/cache/policy/slot_list.hpp"

namespace sluice::cache {

/// The number of a block of the store below.
using block_number = std::uint64_t;

/// Decides which block of a full tier gives way. It sees slots and block numbers only: no data, no clock, no lock. One
/// thread uses it, but for hit() of a policy that says otherwise.
class policy {
 public:
  virtual ~policy() = default;
  virtual const char* name() const noexcept = 0;
  /// The block in `s` was asked for.
  virtual void hit(slot s) noexcept = 0;
  /// `key` lies in `s` from now on, which held nothing.
  virtual void admitted(slot s, block_number key) noexcept = 0;
  /// `s` holds nothing any more, for another reason than victim().
  virtual void removed(slot s) noexcept = 0;
  /// The slot that gives way for `incoming`; it holds nothing afterwards. At least one slot holds something.
  virtual slot victim(block_number incoming) noexcept = 0;
};

}  // namespace sluice::cache
