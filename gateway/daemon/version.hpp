#pragma once

namespace sluice::daemon {

inline constexpr const char* version = "0.1.0";

}  // namespace sluice::daemon
