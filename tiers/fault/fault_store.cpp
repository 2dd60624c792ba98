#include "tiers/fault/fault_store.hpp"

#include "tiers/fault/fault_channel.hpp"

namespace sluice::fault {

std::unique_ptr<sluice::store::channel> fault_store::attach(reactor::loop& loop) {
  return std::make_unique<fault_channel>(control_, odds_, below_->attach(loop), below_->describe().logical_block, loop);
}

}  // namespace sluice::fault
