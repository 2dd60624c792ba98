#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "fabrics/port/port_id.hpp"
#include "gateway/state/state_store.hpp"

namespace sluice::daemon {

/// Relative target port identifiers by port. Persistent reservations that survive power loss are keyed by them
/// [SPC-4 5.12.1], so a port's number is made once, kept in the state store, and never given to another port.
class relative_ports {
 public:
  static result<relative_ports> load(state::state_store& state);
  /// The port's identifier, made and saved when it is new. Blocks; control thread.
  result<std::uint16_t> of(const port::port_id& port);

 private:
  using numbers = std::map<std::string, std::uint16_t>;
  explicit relative_ports(state::state_store& state) : state_(&state) {}
  state::state_store* state_;
  std::optional<std::string> stored_;  // what numbers_ was read from, or written as
  numbers numbers_;
};

}  // namespace sluice::daemon
