#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "fabrics/port/port_id.hpp"
#include "gateway/daemon/agreed_record.hpp"
#include "gateway/state/state_store.hpp"

namespace sluice::daemon {

/// Relative target port identifiers by port. Persistent reservations that survive power loss are keyed by them
/// [SPC-4 5.12.1], so a port's number is made once, agreed among the gateways, and never given to another port.
/// Numbers that cannot be read any more are told and never used again: what was registered through them belongs to
/// nobody, rather than to the wrong port.
/// Control thread; blocks.
class relative_ports {
 public:
  /// `agreed` and `core`, whose loop does the asking, outlive it. `kept` is where numbers lay that no authority knows.
  static result<relative_ports> load(state::authority& agreed, runtime::core& core, state::state_store& kept);
  /// The port's identifier, made and agreed when it is new.
  result<std::uint16_t> of(const port::port_id& port);

 private:
  using numbers = std::map<std::string, std::uint16_t>;
  relative_ports(state::authority& agreed, runtime::core& core);
  void take(const state::record& now);
  result<state::verdict> propose(const numbers& grown);

  agreed_record record_;
  std::uint64_t epoch_ = 0;  // of what numbers_ was read from, or agreed as
  numbers numbers_;
};

}  // namespace sluice::daemon
