#include "tiers/cache/cache_channel.hpp"
#include "tiers/cache/modes.hpp"

namespace sluice::cache {

const mode write_around{
    .name = "write-around",
    .journals = false,
    .write = [](cache_channel& c, store::request& r) noexcept { c.write_below(r, false); },
    .write_now = [](cache_channel& c, store::request& r,
                    store::status& outcome) noexcept { return c.write_below_now(r, outcome, false); },
};

}  // namespace sluice::cache
