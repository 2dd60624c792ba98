#pragma once
#include <string>
#include <vector>

#include "tiers/store/store.hpp"

namespace sluice::cache {

class cache_channel;

/// What becomes of writes. One file per mode; the table below chooses. A mode takes requests that change the medium:
/// write, write_same, write_zeroes, discard, compare_and_write, of any length but 0.
struct mode {
  const char* name;  // as the configuration calls it
  bool journals;     // the cache lies over a journal on its flash, which the store below follows later
  /// Does the request; it is answered later.
  void (*write)(cache_channel&, store::request&) noexcept;
  /// Does a request of at most cache_channel::at_once_limit octets on the spot when the store below can; as
  /// channel::try_now().
  bool (*write_now)(cache_channel&, store::request&, store::status&) noexcept;
};

extern const mode write_through;  // the store below first, then the tier: what is in the tier is below as well
extern const mode write_back;     // the journal first, then the tier; the store below hears of it later
extern const mode write_around;   // the store below only: the tier forgets what was written

/// Every mode, the default first.
const std::vector<const mode*>& modes();
/// Null for a name that is none.
const mode* find_mode(const std::string& name);
/// "write-through|write-back|write-around": for the configuration.
std::string mode_names();

}  // namespace sluice::cache
