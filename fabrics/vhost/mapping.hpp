#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"
#include "actors/reactor/loop.hpp"

namespace sluice::vhost {

/// Memory that a front end shares by a descriptor, mapped into this process as long as this lives.
class mapping {
 public:
  virtual ~mapping() = default;
  virtual bytes span() const = 0;  // from the offset that was asked for
};

/// Maps `size` octets from `offset` on, for reading and writing; the descriptor stays the caller's.
/// errc::invalid_argument: it is no file, or is shorter; with `sealed`, or could become shorter.
using mapper = std::function<result<std::shared_ptr<const mapping>>(reactor::handle from, std::uint64_t offset,
                                                                    std::uint64_t size, bool sealed)>;

/// The system's mmap, of descriptors of real loops.
mapper system_mapper();

}  // namespace sluice::vhost
