#pragma once
#include <cstdint>
#include <optional>

#include "fabrics/port/task.hpp"
#include "gateway/reservations/types.hpp"

/// What a change of agreed state does to nexuses and tasks, wherever they are.
namespace sluice::agreement {

/// Whom a unit attention condition or an abort concerns: everybody, one I_T, or everybody but one nexus.
struct addressees {
  std::optional<reservations::i_t> only;
  std::uint64_t except_nexus = 0;  // 0: no exception
  bool operator==(const addressees&) const = default;
};

struct attention_order {
  addressees whom;
  scsi::additional_sense code = 0;
  bool operator==(const attention_order&) const = default;
};

/// How the tasks of a nexus end when somebody else aborts them [SAM-5 5.6, 8.6].
enum class abort_manner : std::uint8_t {
  silent,    // no status: resets, and what the nexus itself asked for
  by_other,  // TASK ABORTED when TAS = 1, else silent with the order's unit attention
  busy,      // BUSY: the unit moves to another gateway, where they may be sent again
  relayed,   // silent, and only those that came by the gateway of asking_nexus: it cannot reach their owner
};
struct abort_order {
  addressees whom;
  abort_manner manner = abort_manner::silent;
  port::silence reason = port::silence::reset;  // of those that end silently
  std::uint64_t asking_nexus = 0;               // whose tasks end silently also under by_other
  std::uint64_t asking_request = 0;             // a control_request that is not aborted by itself
  scsi::additional_sense attention = 0;         // by_other without TAS, to nexuses that lost a task; 0: none
  bool operator==(const abort_order&) const = default;
};

}  // namespace sluice::agreement
