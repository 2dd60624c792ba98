#include "fabrics/iscsi/text_exchange.hpp"

#include <algorithm>

namespace sluice::iscsi {

void text_exchange::reset() {
  incoming_.clear();
  outgoing_.clear();
  active_ = false;
}

text_exchange::step text_exchange::refuse(reject_reason reason) {
  reset();
  step s;
  s.rejected = true;
  s.reason = reason;
  return s;
}

text_exchange::step text_exchange::take(const text_request& request, const_bytes data, std::size_t most) {
  if (request.final && request.continues) return refuse(reject_reason::protocol_error);
  if (request.target_transfer_tag == reserved_tag) {
    reset();  // a new exchange ends the one before
    keys_.begin_sequence();
  } else if (!active_ || request.target_transfer_tag != tag_) {
    return refuse(reject_reason::invalid_pdu_field);
  }

  if (!outgoing_.empty()) {
    if (!data.empty()) return refuse(reject_reason::protocol_error);
  } else {
    const bool whole = incoming_.empty() && !request.continues;
    const auto room = whole ? text_accumulator::room::enough : incoming_.add(data);
    if (room == text_accumulator::room::no_memory) return refuse(reject_reason::out_of_resources);
    if (room != text_accumulator::room::enough) return refuse(reject_reason::protocol_error);
    if (!request.continues) {
      const bool understood = take_text(whole ? data : incoming_.data());
      incoming_.clear();
      if (!understood) return refuse(reject_reason::protocol_error);
    }
  }

  step s;
  s.data = outgoing_.next(most);
  s.response.initiator_task_tag = request.initiator_task_tag;
  s.response.lun = request.lun;
  s.response.continues = !outgoing_.empty();
  s.response.final = request.final && outgoing_.empty();
  active_ = !s.response.final;
  if (active_) {
    if (request.target_transfer_tag == reserved_tag) tag_ = last_tag_ = (last_tag_ + 1) & 0x7fffffff;
    s.response.target_transfer_tag = tag_;
  }
  return s;
}

/// The answer is in outgoing_ then.
bool text_exchange::take_text(const_bytes text) {
  const auto pairs = parse_text(text);
  if (!pairs) return false;
  std::string answer;
  std::shared_ptr<const std::string> listing;
  bool targets_sent = false;
  for (const text_pair& pair : *pairs) {
    if (pair.key != "SendTargets") {
      if (keys_.parameters.discovery) return false;  // [RFC7143 4.3]
      if (keys_.take(phase::full_feature, pair, answer) != key_verdict::ok) return false;
      continue;
    }
    if (targets_sent) return false;
    targets_sent = true;
    listing = send_targets(pair.value, answer);
  }
  if (listing && answer.empty()) {  // as nearly every list is: sent from where it is kept
    outgoing_.load(std::move(listing));
    return true;
  }
  if (listing) answer += *listing;
  outgoing_.load(std::move(answer));
  return true;
}

/// The list of targets, when there is to be one.
std::shared_ptr<const std::string> text_exchange::send_targets(std::string_view which, std::string& answer) const {
  const session_parameters& session = keys_.parameters;
  // A normal session speaks of its own target only.
  if (which == (session.discovery ? "" : "All")) {
    append_text(answer, "SendTargets", "Reject");
    return nullptr;
  }
  if (session.discovery) return list_(which == "All" ? std::string() : std::string(which));
  if (which.empty() || which == session.target_name) return list_(session.target_name);
  return nullptr;
}

}  // namespace sluice::iscsi
