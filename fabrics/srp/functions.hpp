#pragma once
#include <optional>

#include "fabrics/srp/iu.hpp"

namespace sluice::srp {

/// [r16a 6.7, table 17]
inline std::optional<port::task_function> function_of(std::uint8_t code) {
  switch (code) {
    case 0x01:
      return port::task_function::abort_task;
    case 0x02:
      return port::task_function::abort_task_set;
    case 0x04:
      return port::task_function::clear_task_set;
    case 0x08:
      return port::task_function::logical_unit_reset;
    case 0x40:
      return port::task_function::clear_aca;
    default:
      return std::nullopt;
  }
}

/// SRP knows no answer of its own for a task that is not there: that it has "failed" says that nothing was aborted.
inline response_code code_of(port::task_response how) {
  switch (how) {
    case port::task_response::function_complete:
    case port::task_response::function_succeeded:
      return response_code::done;
    case port::task_response::lun_does_not_exist:
      return response_code::invalid_fields;
    case port::task_response::not_supported:
      return response_code::not_supported;
    case port::task_response::task_does_not_exist:
    case port::task_response::rejected:
      return response_code::failed;
  }
  return response_code::failed;
}

}  // namespace sluice::srp
