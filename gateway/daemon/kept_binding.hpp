#pragma once
#include <string>

#include "config/schema/model.hpp"
#include "gateway/daemon/agreed_record.hpp"
#include "gateway/state/state_store.hpp"
#include "tiers/store/store.hpp"

namespace sluice::daemon {

/// The binding of a medium that has no place of its own for it, as gateways agree on it: under the store's name, and
/// good for the medium that the settings name. Any thread but a loop's; blocks.
class kept_binding final : public store::binding_book {
 public:
  /// All outlive it. `former` is where a binding lay that no authority knows.
  kept_binding(state::authority& agreed, runtime::core& core, state::state_store& former,
               const config::store_config& of);
  result<std::uint64_t> read() override;
  result<void> write(std::uint64_t flash) override;

 private:
  std::uint64_t binding_in(const std::string& kept) const;

  const agreed_record record_;
  state::state_store& former_;
  const std::string former_key_;
  std::string medium_;
};

}  // namespace sluice::daemon
