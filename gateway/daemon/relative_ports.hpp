#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "gateway/state/state_store.hpp"

namespace sluice::daemon {

/// Relative target port identifiers by port name. Persistent reservations that survive power loss are keyed by them
/// [SPC-4 5.12.1], so a port's number is made once, kept in the state store, and never given to another name.
class relative_ports {
 public:
  static result<relative_ports> load(state::state_store& state);
  /// The port's identifier, made and saved when it is new. Blocks; control thread.
  result<std::uint16_t> of(const std::string& port_name);

 private:
  explicit relative_ports(state::state_store& state) : state_(&state) {}
  state::state_store* state_;
  std::map<std::string, std::uint16_t> by_name_;
};

}  // namespace sluice::daemon
