#pragma once
#include <string>

#include "actors/base/result.hpp"

namespace sluice::rbd {

/// The whole content of a passphrase file, as the rbd tool takes it. Refused when others than its owner can read it.
result<std::string> read_passphrase(const std::string& path);

}  // namespace sluice::rbd
