#include "fabrics/iscsi/tally.hpp"

namespace sluice::iscsi {
namespace {

const char* to_string(reject_reason reason) {
  switch (reason) {
    case reject_reason::data_digest_error:
      return "data_digest_error";
    case reject_reason::snack_reject:
      return "snack_reject";
    case reject_reason::protocol_error:
      return "protocol_error";
    case reject_reason::command_not_supported:
      return "command_not_supported";
    case reject_reason::too_many_immediate_commands:
      return "too_many_immediate_commands";
    case reject_reason::task_in_progress:
      return "task_in_progress";
    case reject_reason::invalid_data_ack:
      return "invalid_data_ack";
    case reject_reason::invalid_pdu_field:
      return "invalid_pdu_field";
    case reject_reason::out_of_resources:
      return "out_of_resources";
    case reject_reason::waiting_for_logout:
      return "waiting_for_logout";
  }
  return "other";
}

}  // namespace

std::map<std::string, std::map<std::string, std::uint64_t>> tally::all() const {
  const auto of = [this](what kind) { return counts_[kind].load(std::memory_order_relaxed); };
  std::map<std::string, std::map<std::string, std::uint64_t>> shown = {
      {"logins", {{"session", of(login)}, {"discovery", of(discovery)}}},
      {"digest_errors", {{"header", of(header_digest_error)}, {"data", of(data_digest_error)}}},
      {"rejects", {}}};
  for (std::size_t i = 0; i < rejects_.size(); ++i)
    if (const std::uint64_t count = rejects_[i].load(std::memory_order_relaxed))
      shown["rejects"][to_string(static_cast<reject_reason>(i))] += count;
  return shown;
}

}  // namespace sluice::iscsi
