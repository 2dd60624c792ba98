#pragma once
#include "fabrics/port/fabric.hpp"

namespace sluice::iscsi {

/// iSCSI over TCP [RFC7143].
void register_fabric(port::registry& fabrics);

}  // namespace sluice::iscsi
