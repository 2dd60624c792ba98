#pragma once
#include <string>

#include "config/schema/model.hpp"
#include "gateway/state/state_store.hpp"
#include "tiers/store/store.hpp"

namespace sluice::daemon {

/// The witness of a medium that has no place of its own for it, in the gateway's state: under the store's name, and
/// good for the medium that the settings name. Any thread; blocks.
class kept_witness final : public store::witness_book {
 public:
  /// `state` outlives it.
  kept_witness(state::state_store& state, const config::store_config& of);
  result<std::uint64_t> read() override;
  result<void> write(std::uint64_t flash) override;

 private:
  state::state_store& state_;
  const std::string key_;
  std::string medium_;
};

}  // namespace sluice::daemon
