#include <algorithm>

#include "actors/observe/log.hpp"
#include "gateway/agreement/codec.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/state/identity.hpp"
#include "gateway/unit/coordinator.hpp"

// From a decision to its being in force, and what other gateways commit.
namespace sluice::unit {

coordinator::draft coordinator::draft_of(const agreement::agreed& agreed) const {
  auto next = std::make_shared<unit_snapshot>();
  static_cast<agreement::agreed&>(*next) = agreed;
  next->facts = snapshot_ ? snapshot_->facts : options_.facts;
  next->maps = options_.maps;
  next->mode_saved = agreed.saved_mode.value_or(scsi::default_mode_state(next->facts));
  next->groups = agreement::groups_of(agreed);
  next->facts.serial = options_.configured_serial.empty() ? agreed.serial : options_.configured_serial;
  const std::uint64_t made_naa = agreed.serial.empty() ? 0 : state::identity_of(agreed.serial).naa;
  next->facts.naa = options_.configured_naa ? options_.configured_naa : made_naa;
  if (!damage_.empty()) next->serves = unit_snapshot::service::damaged;
  return next;
}

// -- deciding ------------------------------------------------------------------------------------------------------

/// A coordinator that is frozen has given its place: what it decides concerns itself alone. So it is with one whose
/// state is damaged.
void coordinator::propose() {
  if (frozen_ || !damage_.empty()) return publish();
  const auto decided = [this, turn = turn_](const state::verdict& how) {
    if (turn == turn_) on_verdict(how);
  };
  seat_->propose({snapshot_->epoch, agreement::encode(*current_.next), current_.lasts}, decided);
}

void coordinator::on_verdict(const state::verdict& how) {
  switch (how.what) {
    case state::verdict::kind::committed:
      current_.committed = true;
      return publish();
    case state::verdict::kind::conflict:
      // In line again, before all others; unless what won aborts it.
      queue_.push_front(std::move(*current_.of));
      current_ = {};
      if (!newer_ || newer_->epoch < how.current.epoch) newer_ = how.current;
      end_step();
      return next_step();
    case state::verdict::kind::failed: {
      step of = std::move(*current_.of);
      current_ = {};
      end_step();
      finish(of, tl::unexpected(how.why));
      return next_step();
    }
  }
}

// -- publishing ----------------------------------------------------------------------------------------------------

void coordinator::publish() {
  const auto& next = current_.next->owned;
  if (next && !options_.name.empty() && (!snapshot_ || snapshot_->owned != next))
    SLUICE_LOG(info, "unit", next->owner == 0 ? "no gateway owns the unit" : "a gateway owns the unit",
               {"unit", options_.name}, {"gateway", next->owner}, {"epoch", next->epoch});
  follow_tenure(*current_.next);
  snapshot_ = current_.next;
  const std::vector<control_request> aborted = take_aborted(current_.aborts);
  ++publications_;
  for (shard_link* shard : shards_)
    shard->send(publication{publications_, snapshot_, current_.attentions, current_.aborts});
  // The shards answer nobody before these have come.
  for (const control_request& request : aborted) shards_[request.shard]->send(control_answer{request.id, {}});
  busy_ = true;
  await_shards([this] { when_tenure_ended([this] { in_force(); }); });
}

// -- the medium of a unit that gateways share ------------------------------------------------------------------------

/// Made ready for each ownership anew, and given up before anybody hears that this gateway obeys: then another one may
/// own the unit.
void coordinator::follow_tenure(unit_snapshot& next) {
  if (!options_.tenure) return;
  const bool ours = next.owned && next.owned->owner == options_.gateway && next.serves == unit_snapshot::service::on;
  const std::uint64_t wanted = ours ? next.owned->epoch : 0;
  const std::uint64_t before = std::exchange(tenure_, wanted);
  if (before != wanted) tenure_has_begun_ = false;
  if (before != 0 && wanted == 0) {
    ++tenures_ending_;
    options_.tenure->end([this, alive = std::weak_ptr(alive_)] {
      if (alive.expired() || --tenures_ending_ != 0) return;
      if (const auto then = std::exchange(tenure_ended_, {})) then();
    });
  } else if (before != wanted) {
    begin_tenure();
  }
  next.opening = ours && !tenure_has_begun_;
}

void coordinator::begin_tenure() noexcept {
  if (tenure_ == 0 || tenure_has_begun_) return;
  constexpr std::uint64_t try_again_ns = 100 * ns_per_ms;
  options_.tenure->begin([this, alive = std::weak_ptr(alive_), epoch = tenure_](const result<void>& how) {
    if (alive.expired() || tenure_ != epoch || tenure_has_begun_) return;
    if (!how) return loop_.arm(begin_again_, try_again_ns);
    tenure_has_begun_ = true;
    enqueue(local_step{[](unit_snapshot&, std::vector<attention_order>&) {}, {}});
  });
}

void coordinator::when_tenure_ended(std::function<void()> then) {
  if (tenures_ending_ == 0) return then();
  tenure_ended_ = [this, turn = turn_, then = std::move(then)] {
    if (turn == turn_) then();
  };
}

void coordinator::await_shards(std::function<void()> then) {
  unacknowledged_ += shards_.size();
  acknowledged_ = std::move(then);
}

/// Commands that wait here while their tasks are aborted must not be done any more.
std::vector<control_request> coordinator::take_aborted(const std::vector<abort_order>& orders) {
  std::vector<control_request> taken;
  const auto concerned = [&](const control_request& request) {
    return std::any_of(orders.begin(), orders.end(), [&](const abort_order& order) {
      if (order.whom.except_nexus == request.nexus || order.manner >= agreement::abort_manner::busy) return false;
      return !order.whom.only || *order.whom.only == request.who;
    });
  };
  std::erase_if(queue_, [&](step& s) {
    auto* request = std::get_if<control_request>(&s);
    if (!request || !concerned(*request)) return false;
    taken.push_back(std::move(*request));
    return true;
  });
  std::erase_if(moving_, [&](moving& each) {  // the unit moves all the same
    if (!each.asked || !concerned(*each.asked)) return false;
    taken.push_back(std::move(*each.asked));
    return true;
  });
  return taken;
}

void coordinator::on(acknowledgement&) {
  if (unacknowledged_ == 0 || --unacknowledged_ != 0) return;
  const auto then = std::move(acknowledged_);
  acknowledged_ = {};
  if (then) then();
}

/// All shards obey, and what was aborted is gone.
void coordinator::in_force() {
  change c = std::move(current_);
  current_ = {};
  busy_ = false;
  if (!frozen_ && damage_.empty()) seat_->in_force(snapshot_->epoch);
  if (c.of && c.committed) {
    const auto waits = unconfirmed_.insert(unconfirmed_.end(), std::move(*c.of));
    seat_->confirm(c.next->epoch, [this, turn = turn_, waits, outcome = c.outcome] {
      if (turn != turn_) return;
      step of = std::move(*waits);
      unconfirmed_.erase(waits);
      finish(of, outcome);
    });
  } else if (c.of) {
    finish(*c.of, c.outcome);
  }
  settle_moves();
  claim_if_free();
  next_step();
}

/// Tells those who wait for a new owner what has become of that.
void coordinator::settle_moves() {
  const gateway_id owner = snapshot_->owned ? snapshot_->owned->owner : gateway_id{0};
  std::vector<moving> over;
  std::erase_if(moving_, [&](moving& each) {
    const bool settled = owner == each.to || (each.given_up && owner != 0);
    if (!settled && snapshot_->owned && snapshot_->members.contains(each.to)) return false;
    over.push_back(std::move(each));
    return true;
  });
  for (const moving& each : over)
    end(each,
        owner == each.to ? result<void>() : fail(errc::not_found, "another gateway owns the unit now, or nobody"));
}

bool coordinator::yields() const {
  std::vector<gateway_id> members;
  for (const auto& [gateway, incarnation] : snapshot_->members) members.push_back(gateway);
  return seat_->yields_to(members);
}

/// Who claims waits for all others to obey the epoch in which nobody owns the unit, so that no two ever touch its
/// blocks, and for its own connections to know whom the cluster has fenced.
void coordinator::claim_if_free() {
  if (!options_.shares || claims_ || frozen_ || !damage_.empty() || !snapshot_->owned) return;
  const agreement::ownership free = *snapshot_->owned;
  if (free.owner != 0 || snapshot_->serves != unit_snapshot::service::on) return;
  if (free.heir != options_.gateway && (snapshot_->members.contains(free.heir) || yields())) return;
  claims_ = true;
  const agreement::claim wanted{options_.gateway, incarnation_, free.epoch};
  seat_->confirm(free.epoch, [this, turn = turn_, wanted] {
    if (turn != turn_) return;
    seat_->barrier([this, turn, wanted] {
      if (turn != turn_) return;
      enqueue(agreed_step{wanted, [this](const result<void>&) {
                            claims_ = false;
                            claim_if_free();
                          }});
    });
  });
}

// -- what others commit ----------------------------------------------------------------------------------------------

void coordinator::on_committed(const state::record& newer) {
  if (frozen_ || (newer_ && newer_->epoch >= newer.epoch)) return;
  newer_ = newer;
  if (snapshot_) next_step();
}

void coordinator::take_in(const state::record& newer) {
  const auto decoded = agreement::decode(newer.content, newer.epoch);
  const auto self = decoded ? decoded->members.find(options_.gateway) : decltype(decoded->members.begin())();
  if (!decoded || self == decoded->members.end() || self->second != incarnation_) return lose_touch();
  current_ = {};
  std::uint64_t known = snapshot_->epoch;
  for (const agreement::event& each : decoded->events) {
    if (each.epoch <= known) continue;
    if (each.epoch != known + 1) return lose_touch();
    known = each.epoch;
    current_.attentions.insert(current_.attentions.end(), each.attentions.begin(), each.attentions.end());
    current_.aborts.insert(current_.aborts.end(), each.aborts.begin(), each.aborts.end());
  }
  if (known != newer.epoch) return lose_touch();
  current_.next = draft_of(*decoded);
  publish();
}

void coordinator::on_gone(gateway_id gateway, std::uint64_t incarnation) {
  if (frozen_ || snapshot_->serves != unit_snapshot::service::on) return;
  enqueue(agreed_step{agreement::leave{gateway, incarnation}, {}});
}

// -- joining, and joining anew
// -----------------------------------------------------------------------------------------

agreement::joining coordinator::joining_now() {
  incarnation_ = loop_.random();
  const scsi::unit_facts& facts = snapshot_ ? snapshot_->facts : options_.facts;
  return {
      {options_.gateway, incarnation_, options_.serial, own_groups_, options_.replaces && !snapshot_, options_.shares},
      facts,
      options_.before,
      this};
}

void coordinator::start(done started) {
  agreement::join_unit(*seat_, joining_now(), [this, started](const result<agreement::agreed>& agreed) {
    if (!agreed) return start_damaged(agreed.error(), started);
    const draft first = draft_of(*agreed);
    follow_tenure(*first);
    snapshot_ = first;
    started({});
  });
}

void coordinator::start_damaged(const error& why, const done& started) {
  if (why.code != errc::corrupt) return started(tl::unexpected(why));
  seat_->read([this, why, started](const result<state::record>& now) {
    agreement::agreed nothing;
    if (const auto serial = now ? agreement::decode_identity(now->content) : tl::unexpected(now.error()))
      nothing.serial = *serial;
    else if (now && now->content.empty() && now->damage.empty() && options_.before)
      nothing.serial = options_.before->state.serial;
    nothing.ports[options_.gateway] = own_groups_;
    damage_ = why.message;
    // With another identity initiators would take the unit for another one: it tells none.
    if (nothing.serial.empty() && (options_.configured_serial.empty() || options_.configured_naa == 0))
      damage_ +=
          "; its serial number and NAA name cannot be read either: clearing makes new ones, unless the configuration "
          "says naa and serial";
    const draft damaged = draft_of(nothing);
    damaged->mode = damaged->mode_saved;
    snapshot_ = damaged;
    started({});
  });
}

/// The operator gives up what cannot be read: the unit begins with nothing but its identity.
void coordinator::give_up_damaged(done finished) {
  if (damage_.empty()) {
    end_step();
    return finished ? finished({}) : void();
  }
  agreement::joining anew = joining_now();
  agreement::former nothing;
  nothing.state.serial = snapshot_->serial.empty() ? options_.serial : snapshot_->serial;
  if (options_.before) nothing.keys = options_.before->keys;
  anew.before = nothing;
  anew.gives_up_damaged = true;
  agreement::join_unit(*seat_, anew, [this, finished](const result<agreement::agreed>& agreed) {
    if (!agreed) {
      end_step();
      if (finished) finished(tl::unexpected(agreed.error()));
      return next_step();
    }
    damage_.clear();
    current_ = {};
    current_.next = draft_of(*agreed);
    current_.attentions.push_back({{}, scsi::asc::reset_occurred});
    current_.of = agreed_step{agreement::clear_reservations{}, finished};
    publish();
  });
}

void coordinator::on_lost() {
  if (snapshot_ && !frozen_) lose_touch();
}

/// Whatever was under way may have been committed or not: nobody is told. To initiators it is a reset of the unit.
void coordinator::lose_touch() {
  ++turn_;
  claims_ = false;
  newer_.reset();
  const draft suspended = std::make_shared<unit_snapshot>(*snapshot_);
  suspended->serves = unit_snapshot::service::suspended;
  snapshot_ = suspended;
  std::deque<step> unsure;
  for (step& each : unconfirmed_) unsure.push_back(std::move(each));
  unconfirmed_.clear();
  if (busy_ && current_.of) unsure.push_back(std::move(*current_.of));
  current_ = {};
  for (step& each : queue_) unsure.push_back(std::move(each));
  queue_.clear();
  abort_order all;
  ++publications_;
  for (shard_link* shard : shards_) shard->send(publication{publications_, snapshot_, {}, {all}});
  for (step& each : unsure) {
    if (std::holds_alternative<control_request>(each) || std::holds_alternative<nexus_lost>(each))
      finish(each, scsi::outcome{});  // its task ends without it; what a nexus held is dropped by joining anew
    else
      queue_.push_back(std::move(each));  // done twice, resets and the operator's changes are the same
  }
  busy_ = true;
  await_shards([this] { join_anew(); });
}

void coordinator::join_anew() {
  const auto joined = [this, turn = turn_](const result<agreement::agreed>& agreed) {
    if (turn != turn_) return;
    if (!agreed) return join_anew();
    current_ = {};
    current_.next = draft_of(*agreed);
    current_.attentions.push_back({{}, scsi::asc::reset_occurred});
    publish();
  };
  agreement::join_unit(*seat_, joining_now(), joined);
}

/// Brings back what only this coordinator remembers.
void coordinator::resume_place() {
  seat_->read([this, turn = turn_](const result<state::record>& now) {
    if (turn != turn_) return;
    const auto agreed = now ? agreement::decode(now->content, now->epoch) : tl::unexpected(now.error());
    frozen_ = false;
    tenure_ = 0;  // the other one, which has not come, may have had the store
    tenure_has_begun_ = false;
    if (!agreed) return lose_touch();
    const agreement::decision d =
        agreement::decide(*agreed, agreement::resume{options_.gateway, incarnation_, *snapshot_}, snapshot_->facts);
    const draft resumed = draft_of(*d.next);
    seat_->propose({now->epoch, agreement::encode(*d.next), d.lasts}, [this, turn, resumed](const state::verdict& how) {
      if (turn != turn_) return;
      if (how.what == state::verdict::kind::conflict) return resume_place();
      if (how.what == state::verdict::kind::failed) return lose_touch();
      current_ = {};
      current_.next = resumed;
      publish();
    });
  });
}

}  // namespace sluice::unit
