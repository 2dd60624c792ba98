#include "fabrics/iscsi/text_exchange.hpp"

#include <algorithm>

namespace sluice::iscsi {

void text_exchange::reset() {
  incoming_.clear();
  outgoing_.load({});
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
      std::string answer;
      const bool understood = take_text(whole ? data : incoming_.data(), answer);
      incoming_.clear();
      if (!understood) return refuse(reject_reason::protocol_error);
      outgoing_.load(std::move(answer));
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

bool text_exchange::take_text(const_bytes text, std::string& answer) {
  const auto pairs = parse_text(text);
  if (!pairs) return false;
  bool targets_sent = false;
  for (const text_pair& pair : *pairs) {
    if (pair.key != "SendTargets") {
      if (keys_.take(phase::full_feature, pair, answer) != key_verdict::ok) return false;
      continue;
    }
    if (targets_sent) return false;
    targets_sent = true;
    send_targets(pair.value, answer);
  }
  return true;
}

void text_exchange::send_targets(std::string_view which, std::string& answer) const {
  const session_parameters& session = keys_.parameters;
  if (session.discovery) {
    if (which.empty()) return append_text(answer, "SendTargets", "Reject");
    answer += list_(which == "All" ? std::string() : std::string(which));
    return;
  }
  // A normal session speaks of its own target only.
  if (which == "All") return append_text(answer, "SendTargets", "Reject");
  if (which.empty() || which == session.target_name) answer += list_(session.target_name);
}

}  // namespace sluice::iscsi
