#pragma once
#include "gateway/agreement/decide.hpp"

namespace sluice::agreement {

/// The part of decide() that is about commands; without epoch, events and `lasts`.
decision decide_command(const agreed& now, const command& asked, const scsi::unit_facts& facts);

}  // namespace sluice::agreement
