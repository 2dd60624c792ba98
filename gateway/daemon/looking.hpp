#pragma once
#include <string>

#include "gateway/control/views.hpp"
#include "gateway/daemon/gateway.hpp"
#include "gateway/daemon/machine.hpp"

/// What is shown of a running gateway. Waits for no medium and for no change that is under way: for a turn of each loop
/// only, and not for long. Any thread but a loop's.
namespace sluice::daemon {

control::view::status look(gateway& at, const machine& hardware, std::uint64_t started_ns);
/// errc::not_found for a unit that is not there.
result<control::view::reservations> look_at_reservations(gateway& at, const std::string& unit);

}  // namespace sluice::daemon
