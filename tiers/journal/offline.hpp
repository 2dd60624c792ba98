#pragma once
#include <cstdint>
#include <string>

#include "tiers/journal/log_reader.hpp"

/// Journals that no gateway has open: what they hold, and decisions about it. Blocking.
namespace sluice::journal {

struct inspection {
  superblock super;
  std::uint64_t records = 0;
  std::uint64_t dirty_bytes = 0;   // of the store: what is in the log and not below
  std::uint64_t lost_bytes = 0;    // acknowledged, and known to be lost
  std::uint64_t damaged_from = 0;  // non-zero: acknowledged records are missing from this number on
};

/// errc::not_found when there never was a journal; errc::corrupt when neither copy of its superblock is intact.
result<inspection> inspect(reactor::loop& control_loop, reactor::handle opened);

enum class decision : std::uint8_t {
  keep,     // what is in the log up to a damage, for whatever medium it is opened over next
  discard,  // nothing: the medium is as it is
};
/// A cache that lies behind the journal is forgotten when something is given up: it may hold that.
result<void> resolve(reactor::loop& control_loop, reactor::handle opened, decision how);

}  // namespace sluice::journal
