#include "fabrics/loopback/port_state.hpp"

#include "fabrics/loopback/session.hpp"

namespace sluice::loopback {

void port_state::stop(const std::function<void()>& stopped) {
  const auto all = members.stop(stopped);
  if (all.empty()) return cores.front().core->loop().post(stopped);
  for (const auto& each : all) each->end(port::loss_reason::shutdown);
}

}  // namespace sluice::loopback
