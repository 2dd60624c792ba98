#include <algorithm>

#include "gateway/unit/shard.hpp"

// Task management, nexuses that come and go, and what the coordinator orders. A task that is with its fabric is taken
// back, so that nobody waits for an initiator that somebody else shuts out. One that is with the medium cannot be
// called back: whoever waits for its end waits until the medium is done with it, or until it is given up
// (deadlines.cpp).
namespace sluice::unit {

using port::task_function;
using port::task_response;

// -- aborting ------------------------------------------------------------------------------------------------

template <class Match>
void shard::abort_where(Match matches, ending how, std::vector<std::uint64_t>& serials) noexcept {
  // Nothing may start before all are aborted: neither one of them, nor a task that one of them kept waiting.
  const bool was_advancing = std::exchange(advancing_, true);
  for (command_list* list : {&waiting_, &active_}) {
    for (command* c = list->head(); c != nullptr;) {
      command* following = c->next;
      if (c->task && matches(*c)) abort(*c, how, serials);
      c = following;
    }
  }
  advancing_ = was_advancing;
  advance();
}

template <class Match>
std::vector<std::uint64_t> shard::serials_where(Match matches) const {
  std::vector<std::uint64_t> serials;
  for (const command_list* list : {&waiting_, &active_})
    for (const command* c = list->head(); c != nullptr; c = c->next)
      if (c->task && matches(*c)) serials.push_back(c->serial);
  return serials;
}

/// Dooms a task. Its serial is added to `serials` when it does not end at once.
void shard::abort(command& c, ending how, std::vector<std::uint64_t>& serials) noexcept {
  // A unit that moves ends what its owner has: that answers, and nothing of it is at this gateway's medium.
  if (how.how == abort_disposition::busy && c.relayed) return;
  if (c.with == command::place::fabric) {
    take_back(c, how);
    serials.push_back(c.serial);
    return;
  }
  if (how.how == abort_disposition::busy) {
    // What the medium has, and needs no more for, is waited for. The coordinator's is no concern of the blocks.
    const bool is_whole = c.task->data_out_end >= c.task->expected_data_out;
    if (c.with == command::place::medium && is_whole) return serials.push_back(c.serial);
    if (c.with == command::place::coordinator) return;
  }
  if (!c.is_aborted()) {
    c.abort_disposition = how.how;
    c.why = how.why;
  }
  if (c.with == command::place::range_lock || c.with == command::place::lock) {
    c.with = command::place::here;
    return c.resume();  // finds that it is aborted, and ends
  }
  if (c.with == command::place::memory) return end_hunger(c);
  if (c.with == command::place::nobody) return let_answer_go(c);
  if (c.where == command::stage::waiting) return finish(c, {});
  // What the coordinator has begun is waited for, so that whoever aborts a task knows that it does nothing any more.
  if (c.with == command::place::coordinator) coordinator_.send(control_cancel{options_.index, c.serial});
  if (c.with == command::place::medium && c.relayed) end_at_owner(c);
  // Who aborts while others wait already waits less: giving up is safe at any time.
  if (c.with == command::place::medium && gives_up() && !leaving_.armed())
    loop_.arm(leaving_, std::min(options_.abort_patience_ns, options_.deadline_ns));
  serials.push_back(c.serial);
}

/// Dooms a task that is with its fabric, and asks for it; once, whoever else aborts it meanwhile.
void shard::take_back(command& c, ending how) noexcept {
  if (c.is_aborted()) return;
  c.abort_disposition = how.how;
  c.why = how.why;
  c.task->fabric->post(*c.task, port::task_event::take_back);
}

void shard::transport_abort(port::task& subject) noexcept {
  auto* c = static_cast<command*>(subject.holder);
  // Whose `complete` is on its way may already be another unit's; all on this core, so that it may be looked at.
  if (c == nullptr || c->io.server != this || c->task != &subject) return;
  std::vector<std::uint64_t> nobody_waits;
  abort(*c, {abort_disposition::silent, port::silence::transport_abort}, nobody_waits);
}

/// Runs `done` when none of the tasks is left; at once when there is none.
void shard::when_gone(std::vector<std::uint64_t> serials, std::function<void()> done) {
  if (serials.empty()) return done();
  drains_.push_back({std::move(serials), std::move(done)});
}

void shard::task_gone(std::uint64_t serial) noexcept {
  std::vector<std::function<void()>> ready;
  for (drain& d : drains_) {
    std::erase(d.serials, serial);
    if (d.serials.empty()) ready.push_back(std::move(d.done));
  }
  if (!ready.empty()) std::erase_if(drains_, [](const drain& d) { return d.serials.empty(); });
  for (const auto& done : ready) done();
  if (!settled_.empty() && !owes_blocks())
    for (const auto& done : std::exchange(settled_, {})) done();
}

/// Whether something may still be done that was given up. While this gateway owns the unit a range lock is around it;
/// another owner knows nothing of that.
bool shard::owes_blocks() const noexcept {
  for (const command* c = active_.head(); c != nullptr; c = c->next)
    if (c->abandoned && !c->relayed) return true;
  return false;
}

void shard::when_settled(std::function<void()> done) {
  if (!owes_blocks()) return done();
  settled_.push_back(std::move(done));
}

// -- task management functions [SAM-5 7] -----------------------------------------------------------------------

void shard::reply(port::task_management& request, task_response response) noexcept {
  request.response = response;
  request.reply_to->post(request);
}

void shard::on_manage(port::task_management& request) noexcept {
  const std::uint64_t nexus = request.nexus->id;
  const auto of_nexus = [nexus](const command& c) { return c.nexus->identity->id == nexus; };
  const auto referenced = [&](const command& c) { return of_nexus(c) && c.task->tag == request.referenced_tag; };
  // A task that was aborted already counts where its end must be waited for, not where it is asked after.
  const auto exists = [this](const auto& matches, bool also_aborted = false) {
    for (command_list* list : {&waiting_, &active_})
      for (command* c = list->head(); c != nullptr; c = c->next)
        if (c->task && (also_aborted || !c->is_aborted()) && matches(*c)) return true;
    return false;
  };
  const auto abort_and_reply = [&](const auto& matches) {
    std::vector<std::uint64_t> serials;
    abort_where(matches, {abort_disposition::silent, port::silence::aborted}, serials);
    when_gone(std::move(serials), [this, &request] { reply(request, task_response::function_complete); });
  };
  switch (request.function) {
    case task_function::abort_task:
      if (!exists(referenced, true)) return reply(request, task_response::task_does_not_exist);
      return abort_and_reply(referenced);
    case task_function::abort_task_set:
      return abort_and_reply(of_nexus);
    case task_function::query_task:
      return reply(request, exists(referenced) ? task_response::function_succeeded : task_response::function_complete);
    case task_function::query_task_set:
      return reply(request, exists(of_nexus) ? task_response::function_succeeded : task_response::function_complete);
    case task_function::i_t_nexus_reset:
      return reset_nexus(request);
    case task_function::clear_task_set:
    case task_function::logical_unit_reset:
    case task_function::target_warm_reset:
    case task_function::target_cold_reset: {
      const std::uint64_t id = std::exchange(next_serial_, next_serial_ + serial_step);
      managed_.emplace(id, &request);
      return coordinator_.send(manage_request{options_.index, id, nexus, request.function});
    }
    case task_function::clear_aca:
      return reply(request, task_response::not_supported);
  }
  reply(request, task_response::not_supported);
}

void shard::reset_nexus(port::task_management& request) noexcept {
  const std::uint64_t nexus = request.nexus->id;
  std::vector<std::uint64_t> serials;
  abort_where([&](const command& c) { return c.nexus->identity->id == nexus; },
              {abort_disposition::silent, port::silence::reset}, serials);
  if (nexus_record* const n = find_nexus(nexus)) {
    n->attentions.establish(scsi::asc::i_t_nexus_loss);
    review(*n);
  }
  const std::uint64_t lost = lose(nexus, false);
  if (has_agreed_state(nexus)) serials.push_back(lost);
  when_gone(std::move(serials), [this, &request] { reply(request, task_response::function_complete); });
}

void shard::on(manage_answer& message) {
  const auto it = managed_.find(message.id);
  if (it == managed_.end()) return;
  port::task_management& request = *it->second;
  managed_.erase(it);
  // Their owner has ended them, for it obeys; here they end with its answer, or when it is known that none comes.
  std::vector<std::uint64_t> relayed = serials_where([](const command& c) { return c.relayed && c.is_aborted(); });
  when_gone(std::move(relayed), [this, &request, id = message.id, response = message.response] {
    reply(request, response);
    task_gone(id);
  });
}

// -- nexuses ---------------------------------------------------------------------------------------------------

void shard::attach(std::shared_ptr<const port::i_t_nexus> identity, scsi::additional_sense attention,
                   access::attention_listener* listener) {
  const std::uint64_t id = identity->id;
  auto record = std::make_unique<nexus_record>();
  record->listener = listener;
  bool fresh = true;
  if (identity->several_channels) {
    auto joined = options_.attentions->join(id);
    record->attentions.share(std::move(joined.queue));
    fresh = joined.fresh;
  }
  record->identity = std::move(identity);
  if (fresh && attention != 0 && !record->identity->relayed) record->attentions.establish(attention);
  review(*record);
  if (!record->identity->relayed) coordinator_.send(nexus_known{id, record->identity->initiator});
  const bool is_new = nexuses_.emplace(id, std::move(record)).second;
  SLUICE_CHECK(is_new);
}

/// Its task management functions that wait at the coordinator.
std::vector<std::uint64_t> shard::managed_of(std::uint64_t nexus_id) const {
  std::vector<std::uint64_t> found;
  for (const auto& [id, request] : managed_)
    if (request->nexus->id == nexus_id) found.push_back(id);
  return found;
}

void shard::detach(std::uint64_t nexus_id, port::loss_reason reason, std::function<void()> done) {
  nexus_record* n = find_nexus(nexus_id);
  const bool loses_unit = reason == port::loss_reason::unit_removed;
  SLUICE_CHECK((n && !n->leaving) || !loses_unit);
  std::vector<std::uint64_t> serials;
  const auto of_nexus = [n](const command& c) { return c.nexus == n; };
  if (!n || n->leaving) {  // its unit was taken away, and now the nexus ends as well: nobody waits for the answers
    if (n) abort_where(of_nexus, {abort_disposition::silent, port::silence::nexus_lost}, serials);
    if (n && !managed_of(nexus_id).empty()) lose(nexus_id, false);
    return done();
  }
  n->leaving = true;
  if (loses_unit) {
    // The session goes on, and waits for the answers to what it has sent. Not so the other way round: what waits for
    // the initiator is taken back, and the initiator may ask again, of whatever has taken the unit's place.
    const std::vector<command*> held = held_;
    for (command* c : held)
      if (of_nexus(*c)) let_answer_go(*c);
    serials = serials_where(of_nexus);
    const std::vector<std::uint64_t> managed = managed_of(nexus_id);
    serials.insert(serials.end(), managed.begin(), managed.end());
    for (command_list* list : {&waiting_, &active_})
      for (command* c = list->head(); c != nullptr; c = c->next)
        if (c->task && of_nexus(*c) && c->with == command::place::fabric) take_back(*c, {abort_disposition::busy});
  } else {
    abort_where(of_nexus, {abort_disposition::silent, port::silence::nexus_lost}, serials);
  }
  when_gone(std::move(serials), [this, nexus_id, done = std::move(done)] {
    last_nexus_ = nullptr;
    auto left = nexuses_.extract(nexus_id);
    // What waits for the nexus ends with it, a deferred error too [SAM-5 6.3]: it would fail a command of the next
    // nexus for what that has not sent. A unit attention tells the host that its nexus is a new one: nothing is known
    // there of what was under way.
    const bool was_last = !left.mapped()->attentions.shared() || options_.attentions->leave(nexus_id);
    const bool relayed = left.mapped()->identity->relayed;
    left = {};
    if (options_.owners && !relayed) options_.owners->forget(options_.unit, nexus_id);
    if (!was_last || relayed) return done();
    // Who reserved the unit and logs out may rely on it that another host can reserve it, at whichever gateway.
    const std::uint64_t lost = lose(nexus_id, true);
    has_agreed_state(nexus_id) ? when_gone({lost}, done) : done();
  });
}

/// Has the coordinator end what is agreed of a nexus; by this id when_gone() hears that it is done.
std::uint64_t shard::lose(std::uint64_t nexus_id, bool gone) {
  const std::uint64_t id = std::exchange(next_serial_, next_serial_ + serial_step);
  coordinator_.send(nexus_lost{options_.index, id, nexus_id, gone});
  return id;
}

void shard::on(nexus_forgotten& message) {
  task_gone(message.id);
}

/// Whether a RESERVE or PREVENT of the nexus is in force, as far as is known here.
bool shard::has_agreed_state(std::uint64_t nexus_id) const {
  const auto& prevents = snapshot_->prevents_removal;
  return snapshot_->reserve_holder == nexus_id ||
         std::find(prevents.begin(), prevents.end(), nexus_id) != prevents.end();
}

void shard::establish_attention(std::uint64_t nexus_id, scsi::additional_sense code, std::uint64_t directory_version) {
  nexus_record* n = find_nexus(nexus_id);
  if (!n) return;
  n->attentions.establish(code, attention_source::lun_map, directory_version);
  review(*n);
}

void shard::withdraw_attention(std::uint64_t nexus_id, scsi::additional_sense code) {
  nexus_record* n = find_nexus(nexus_id);
  if (!n) return;
  n->attentions.drop(code);
  review(*n);
}

// -- what the coordinator orders --------------------------------------------------------------------------------------

void shard::on_message(to_shard message) {
  std::visit([this](auto& m) { on(m); }, message);
}

bool shard::concerns(const addressees& whom, const nexus_record& n) const {
  if (whom.except_nexus == n.identity->id) return false;
  return !whom.only || *whom.only == n.who();
}

void shard::apply(const attention_order& order) {
  for (auto& [id, n] : nexuses_)
    if (concerns(order.whom, *n)) order_attention(*n, order.code);
}

void shard::order_attention(nexus_record& n, scsi::additional_sense code) {
  if (n.identity->relayed) return;  // its own gateway tells it
  const bool is_new = n.attentions.establish(code, attention_source::coordinator, publication_);
  if (is_new && n.listener) n.listener->on_attention(*endpoint_, code);
}

void shard::apply(const abort_order& order, bool task_aborted_status, std::vector<std::uint64_t>& serials) {
  const bool task_aborted = order.manner == abort_manner::by_other && task_aborted_status;
  std::vector<std::uint64_t> concerned;
  for (const auto& [id, n] : nexuses_)
    if (order.manner == abort_manner::relayed ? n->identity->relayed && gateway_of(id) == gateway_of(order.asking_nexus)
                                              : concerns(order.whom, *n))
      concerned.push_back(id);
  // With its last task a nexus that leaves is gone.
  for (const std::uint64_t id : concerned) {
    const bool by_other = order.manner == abort_manner::by_other && id != order.asking_nexus;
    bool lost_one = false;
    const auto matches = [&](const command& c) {
      const bool asks = id == order.asking_nexus && c.serial == order.asking_request;
      const bool hit = c.nexus->identity->id == id && !asks;
      lost_one = lost_one || hit;
      return hit;
    };
    abort_where(matches,
                {order.manner == abort_manner::busy ? abort_disposition::busy
                 : by_other && task_aborted         ? abort_disposition::task_aborted
                                                    : abort_disposition::silent,
                 order.reason},
                serials);
    const auto still = nexuses_.find(id);
    if (lost_one && by_other && !task_aborted && order.attention != 0 && still != nexuses_.end())
      order_attention(*still->second, order.attention);
  }
}

void shard::on(publication& message) {
  const snapshot_ptr before = std::exchange(snapshot_, std::move(message.snapshot));
  publication_ = message.number;
  std::vector<std::uint64_t> serials;
  // A reset brings back the saved TAS for what comes after it.
  for (const abort_order& order : message.aborts) apply(order, before->mode.task_aborted_status, serials);
  // What this gateway's medium has is waited for. What the owner of the unit has is its own to end before it obeys; who
  // waited for it here would wait for ever for an owner that is gone, and keep others from taking its place.
  std::erase_if(serials, [this](std::uint64_t serial) {
    for (const command* c = active_.head(); c != nullptr; c = c->next)
      if (c->serial == serial) return c->relayed != nullptr;
    return false;
  });
  for (const attention_order& order : message.attentions) apply(order);
  for (auto& [id, n] : nexuses_) review(*n);
  if (!message.aborts.empty()) relayed_since_ = snapshot_->epoch;
  const auto& owned = snapshot_->owned;
  if (options_.owners && owned && owned->owner != 0 && (!before->owned || before->owned->epoch != owned->epoch))
    options_.owners->has_moved(options_.unit, owned->owner);
  // Whatever ended the writing back: a reset to saved mode pages, MODE SELECT at another gateway.
  const bool needs_flush =
      before->writes_back() && (!snapshot_->writes_back() || (snapshot_->stopped && !before->stopped));
  const auto acknowledge = [this, epoch = snapshot_->epoch] {
    coordinator_.send(acknowledgement{options_.index, epoch});
  };
  const bool was_owner = before->owned && before->owned->owner == options_.gateway;
  const bool stays_owner = was_owner && owned == before->owned && snapshot_->serves == unit_snapshot::service::on;
  when_gone(std::move(serials), [this, needs_flush, acknowledge, leaves = was_owner && !stays_owner] {
    const auto then = [this, leaves, acknowledge] { leaves ? when_settled(acknowledge) : acknowledge(); };
    needs_flush ? when_flushed(then) : then();
  });
}

void shard::on(control_answer& message) {
  for (command* c = active_.head(); c != nullptr; c = c->next) {
    if (c->serial != message.id || c->with != command::place::coordinator) continue;
    c->with = command::place::here;
    c->coordinator_outcome = message.outcome;
    return c->resume();
  }
}

}  // namespace sluice::unit
