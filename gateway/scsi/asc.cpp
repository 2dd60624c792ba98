#include "gateway/scsi/asc.hpp"

namespace sluice::scsi {

const char* to_string(additional_sense code) {
  switch (code) {
#define SLUICE_ROW(name, value, text) \
  case value:                         \
    return text;
    SLUICE_ADDITIONAL_SENSE_CODES(SLUICE_ROW)
#undef SLUICE_ROW
    default:
      return "unknown additional sense code";
  }
}

const char* to_string(sense_key key) {
  switch (key) {
    case sense_key::no_sense:
      return "NO SENSE";
    case sense_key::recovered_error:
      return "RECOVERED ERROR";
    case sense_key::not_ready:
      return "NOT READY";
    case sense_key::medium_error:
      return "MEDIUM ERROR";
    case sense_key::hardware_error:
      return "HARDWARE ERROR";
    case sense_key::illegal_request:
      return "ILLEGAL REQUEST";
    case sense_key::unit_attention:
      return "UNIT ATTENTION";
    case sense_key::data_protect:
      return "DATA PROTECT";
    case sense_key::aborted_command:
      return "ABORTED COMMAND";
    case sense_key::miscompare:
      return "MISCOMPARE";
  }
  return "unknown sense key";
}

const char* to_string(status s) {
  switch (s) {
    case status::good:
      return "GOOD";
    case status::check_condition:
      return "CHECK CONDITION";
    case status::condition_met:
      return "CONDITION MET";
    case status::busy:
      return "BUSY";
    case status::reservation_conflict:
      return "RESERVATION CONFLICT";
    case status::task_set_full:
      return "TASK SET FULL";
    case status::aca_active:
      return "ACA ACTIVE";
    case status::task_aborted:
      return "TASK ABORTED";
  }
  return "unknown status";
}

}  // namespace sluice::scsi
