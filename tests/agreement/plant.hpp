#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::agreement_sim {

/// Bugs that the oracle must find.
enum class plant : std::uint8_t {
  none,
  no_compare,         // the authority commits whatever is proposed
  early_effects,      // a decision is published before it is committed
  epoch_restarts,     // the authority counts from 1 again when it starts again
  lost_event,         // a gateway is not told of a commit, and counts as if it had been
  dropped_attention,  // unit attentions of a commit are not established on other gateways
  unconfirmed,        // confirm() does not wait for others
  no_lease,           // a gateway goes on when the authority does not count on it any more
  // Of a unit that one gateway at a time owns:
  unfenced,     // what a gateway that is gone sent to the image is done whenever it gets there
  old_epoch,    // the owner does a relayed command that was found to be allowed before something ended it
  stale_cache,  // a gateway's cache answers by what it kept before another one owned the unit
};

const char* to_string(plant p);
std::optional<plant> parse_plant(const std::string& name);

}  // namespace sluice::agreement_sim
