#include "fabrics/port/nexus_endpoint.hpp"

namespace sluice::port {

const char* to_string(loss_reason reason) {
  switch (reason) {
    case loss_reason::logout:
      return "logged out";
    case loss_reason::connection_lost:
      return "connection lost";
    case loss_reason::reinstated:
      return "the initiator logged in anew";
    case loss_reason::kicked:
      return "kicked";
    case loss_reason::port_removed:
      return "no longer admitted";
    case loss_reason::unit_removed:
      return "unit removed";
    case loss_reason::shutdown:
      return "the gateway stops";
  }
  return "unknown";
}

}  // namespace sluice::port
