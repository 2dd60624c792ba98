#include "tiers/fault/fault_store.hpp"

#include "tiers/fault/fault_channel.hpp"

namespace sluice::fault {

std::unique_ptr<sluice::store::channel> fault_store::attach(reactor::loop& home) {
  return std::make_unique<fault_channel>(control_, odds_, below_->attach(home), below_->describe().logical_block, home);
}

}  // namespace sluice::fault
