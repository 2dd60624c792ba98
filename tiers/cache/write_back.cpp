#include "tiers/cache/cache_channel.hpp"
#include "tiers/cache/modes.hpp"

namespace sluice::cache {

/// What is below this cache is its journal: to the cache, a store like any other.
const mode write_back{
    .name = "write-back",
    .journals = true,
    .write = [](cache_channel& c, store::request& r) noexcept { c.write_below(r, true); },
    .write_now = [](cache_channel& c, store::request& r,
                    store::status& outcome) noexcept { return c.write_below_now(r, outcome, true); },
};

}  // namespace sluice::cache
