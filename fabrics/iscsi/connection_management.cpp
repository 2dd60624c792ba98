#include <algorithm>

#include "fabrics/iscsi/connection.hpp"

/// Task management functions [RFC7143 4.2.3, 11.5, 11.6].
///
/// One that ends a whole set of tasks is standard multi-task abort [RFC7143 4.2.3.2], whatever TaskReporting says of
/// RFC3720 and ResponseFence: it waits for the commands that its initiator sent before it, and is answered when that
/// initiator has filled the R2Ts that it had for those tasks. What other initiators owe is waited for by nobody. The
/// response fence [RFC7143 4.2.2.3.3] costs nothing: a session has one connection, on which everything is in order.
namespace sluice::iscsi {
namespace {

constexpr std::uint32_t max_management = 64;  // functions at a time

std::optional<port::task_function> function_of(std::uint8_t code, std::uint32_t protocol_level) {
  using port::task_function;
  switch (static_cast<management_function>(code)) {
    case management_function::abort_task:
      return task_function::abort_task;
    case management_function::abort_task_set:
      return task_function::abort_task_set;
    case management_function::clear_aca:
      return task_function::clear_aca;
    case management_function::clear_task_set:
      return task_function::clear_task_set;
    case management_function::logical_unit_reset:
      return task_function::logical_unit_reset;
    case management_function::target_warm_reset:
      return task_function::target_warm_reset;
    case management_function::target_cold_reset:
      return task_function::target_cold_reset;
    default:
      break;
  }
  if (protocol_level < 2) return std::nullopt;  // the rest is RFC 7144's
  switch (static_cast<management_function>(code)) {
    case management_function::query_task:
      return task_function::query_task;
    case management_function::query_task_set:
      return task_function::query_task_set;
    case management_function::i_t_nexus_reset:
      return task_function::i_t_nexus_reset;
    default:
      return std::nullopt;
  }
}

management_response response_of(port::task_response response) {
  switch (response) {
    case port::task_response::function_complete:
      return management_response::function_complete;
    case port::task_response::function_succeeded:
      return management_response::function_succeeded;
    case port::task_response::task_does_not_exist:
      return management_response::task_does_not_exist;
    case port::task_response::lun_does_not_exist:
      return management_response::lun_does_not_exist;
    case port::task_response::not_supported:
      return management_response::function_not_supported;
    case port::task_response::rejected:
      break;
  }
  return management_response::function_rejected;
}

bool covers(const port::task_management& request, const port::task& t) {
  switch (request.function) {
    case port::task_function::abort_task:
      return t.tag == request.referenced_tag;
    case port::task_function::abort_task_set:
    case port::task_function::clear_task_set:
    case port::task_function::logical_unit_reset:
      return port::same_unit(t.lun, request.lun);
    case port::task_function::i_t_nexus_reset:
    case port::task_function::target_warm_reset:
    case port::task_function::target_cold_reset:
      return true;
    default:
      return false;
  }
}

/// Whether it ends all tasks of a unit or of the target, rather than one [RFC7143 4.2.3.1].
bool ends_many(port::task_function function) {
  switch (function) {
    case port::task_function::abort_task_set:
    case port::task_function::clear_task_set:
    case port::task_function::logical_unit_reset:
    case port::task_function::target_warm_reset:
    case port::task_function::target_cold_reset:
      return true;
    default:
      return false;
  }
}

bool is_of_one_unit(port::task_function function) {
  return ends_many(function) && function != port::task_function::target_warm_reset &&
         function != port::task_function::target_cold_reset;
}

}  // namespace

void connection::take_management(const task_management_request& request) {
  const std::uint32_t tag = request.initiator_task_tag;
  if (static_cast<management_function>(request.function) == management_function::task_reassign)
    return answer_management(tag, management_response::reassignment_not_supported);
  const auto function = function_of(request.function, parameters().protocol_level);
  if (!function || !nexus_) return answer_management(tag, management_response::function_not_supported);
  // It would end the sessions of other initiators [RFC7143 11.5.1].
  if (*function == port::task_function::target_cold_reset && !served().allow_cold_reset)
    return answer_management(tag, management_response::authorization_failed);

  if (*function == port::task_function::abort_task || *function == port::task_function::query_task) {
    command* c = commands_.find(request.referenced_task_tag);
    if (!c || !port::same_unit(c->task.lun, request.lun)) return manage_absent(request, *function);
    const bool waits_here = c->where() == command::stage::gathering || c->where() == command::stage::ended;
    if (waits_here) {  // for its turn, or for data: the core has not seen it yet, or is done with it
      const bool query = *function == port::task_function::query_task;
      if (!query) drop_unserved(*c);
      return answer_management(
          tag, query ? management_response::function_succeeded : management_response::function_complete);
    }
  }
  if (live_management() + early_management_.size() >= max_management)
    return answer_management(tag, management_response::function_rejected);
  // A function for the whole target may take those commands for received [RFC7143 4.2.3.2].
  const bool awaits_commands =
      request.immediate && is_of_one_unit(*function) && window_.look(request.cmd_sn) == command_window::verdict::ahead;
  if (awaits_commands) return early_management_.push_back(request);
  manage(request, *function);
}

/// Carries out what waited for the commands before it.
void connection::run_early_management() {
  const auto is_due = [this](const task_management_request& r) { return !serial_less(window_.exp_cmd_sn(), r.cmd_sn); };
  for (;;) {
    const auto due = std::find_if(early_management_.begin(), early_management_.end(), is_due);
    if (due == early_management_.end()) return;
    const task_management_request request = *due;
    early_management_.erase(due);
    manage(request, *function_of(request.function, parameters().protocol_level));
  }
}

/// A task that may be still on its way: an abort counts as its receipt [RFC7143 11.6.1].
void connection::manage_absent(const task_management_request& request, port::task_function function) {
  const bool awaited = function == port::task_function::abort_task && serial_less(request.ref_cmd_sn, request.cmd_sn) &&
                       window_.look(request.ref_cmd_sn) != command_window::verdict::outside;
  answer_management(request.initiator_task_tag,
                    awaited ? management_response::function_complete : management_response::task_does_not_exist);
  if (awaited) skip_command(request.ref_cmd_sn);
}

connection::management& connection::ask_nexus(port::task_function function, port::lun lun,
                                              std::uint32_t referenced_tag) {
  if (management_free_.empty()) {
    management_.push_back(std::make_unique<management>());
    management_free_.push_back(management_.back().get());
  }
  management& m = *management_free_.back();
  management_free_.pop_back();
  m.answered = false;
  m.owed.clear();
  m.request = {};
  m.request.nexus = nexus_->identity();
  m.request.reply_to = self_;
  m.request.function = function;
  m.request.lun = lun;
  m.request.referenced_tag = referenced_tag;
  m.request.fabric_private = &m;
  nexus_->manage(m.request);
  return m;
}

void connection::manage(const task_management_request& request, port::task_function function) {
  management& m = ask_nexus(function, request.lun, request.referenced_task_tag);
  m.initiator_task_tag = request.initiator_task_tag;
  const std::vector<command*> all = commands_.live();
  for (command* c : all)
    if (covers(m.request, c->task)) drop_unserved(*c);
}

/// Ends a task that was aborted as far as the unit does not: that takes back what it knows of.
void connection::drop_unserved(command& c) {
  if (c.where() == command::stage::gathering) c.end = command::fate::silent;
  if (c.where() == command::stage::ended) release(c);
}

/// The tasks are gone, and their silent `complete`s have come before this [port::task_management].
void connection::on_manage(port::task_management& request) noexcept {
  management& m = *static_cast<management*>(request.fabric_private);
  m.answered = true;
  m.progress_ns = loop_.now_ns();
  if (phase_ != phase_of::full_feature || m.owed.empty()) return finish_management(m);
  if (!management_timer_.armed()) loop_.arm(management_timer_, owed_patience_ns);
}

void connection::finish_management(management& m) {
  const bool cold = m.request.function == port::task_function::target_cold_reset;
  if (phase_ == phase_of::full_feature) answer_management(m.initiator_task_tag, response_of(m.request.response));
  m.request.nexus.reset();
  management_free_.push_back(&m);
  move_on();
  if (!cold || phase_ != phase_of::full_feature) return;
  if (port_) port_->sessions->close_all(port::loss_reason::kicked);
  close(port::loss_reason::kicked);  // [RFC7143 11.5.1]: all sessions end
}

/// A task ends whose R2Ts the initiator has not filled: who ended it waits for them.
void connection::note_owed(const command& c) {
  if (c.bursts.empty()) return;
  const bool last_is_coming = mover_->is_taking_last(c);  // of the first burst
  for (const auto& m : management_) {
    const bool waits = m->request.nexus && !m->answered && ends_many(m->request.function);
    if (!waits || !covers(m->request, c.task)) continue;
    for (const burst& b : c.bursts)
      if (&b != &c.bursts.front() || !last_is_coming) m->owed.push_back(b.target_transfer_tag);
  }
}

/// A Data-Out that answers an R2T.
void connection::owed_data_came(const data_out& pdu) {
  std::vector<management*> paid;
  for (const auto& m : management_) {
    const auto asked = std::find(m->owed.begin(), m->owed.end(), pdu.target_transfer_tag);
    if (!m->request.nexus || asked == m->owed.end()) continue;
    m->progress_ns = now_ns_;
    if (pdu.final) m->owed.erase(asked);
    if (m->answered && m->owed.empty()) paid.push_back(m.get());
  }
  finish_all(paid);
}

/// One of them may end the session, and the others with it.
void connection::finish_all(const std::vector<management*>& done) {
  for (management* m : done)
    if (m->request.nexus) finish_management(*m);
}

/// There are initiators that send no data for a task any more once they have asked for its end, though they have not
/// agreed on FastAbort [RFC7143 4.2.3.3] (open-iscsi as it is installed): they are answered all the same.
void connection::on_management_timer() noexcept {
  if (phase_ != phase_of::full_feature) return;
  const std::uint64_t now = loop_.now_ns();
  std::uint64_t next = UINT64_MAX;
  std::vector<management*> over;
  for (const auto& m : management_) {
    if (!m->request.nexus || !m->answered) continue;
    const std::uint64_t due = m->progress_ns + owed_patience_ns;
    if (due <= now)
      over.push_back(m.get());
    else
      next = std::min(next, due);
  }
  finish_all(over);
  if (phase_ == phase_of::full_feature && next != UINT64_MAX) loop_.arm(management_timer_, next - now);
}

/// The connection goes: nobody hears the answers that wait for data.
void connection::drop_management() {
  early_management_.clear();
  for (const auto& m : management_) {
    if (!m->request.nexus || !m->answered) continue;
    m->request.nexus.reset();
    management_free_.push_back(m.get());
  }
}

void connection::answer_management(std::uint32_t tag, management_response response) {
  task_management_response answer;
  answer.response = response;
  answer.initiator_task_tag = tag;
  answer.sn = next_numbers();
  send(answer);
}

}  // namespace sluice::iscsi
