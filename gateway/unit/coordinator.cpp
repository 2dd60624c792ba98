#include "gateway/unit/coordinator.hpp"

#include <algorithm>

#include "actors/base/check.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/outcome_builders.hpp"

// One step after the other: what shards and the operator ask for is decided here, and answered when it is in force.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

coordinator::coordinator(coordinator_options options, std::vector<shard_link*> shards, reactor::loop& loop,
                         std::unique_ptr<state::seat> seat)
    : options_(std::move(options)),
      shards_(std::move(shards)),
      loop_(loop),
      seat_(std::move(seat)),
      own_groups_(as_told(options_.groups)) {
  SLUICE_CHECK(!shards_.empty());
  // The shards have it from their start.
  if (has_predecessor_)
    range_locks_.push_back({{0, predecessor_lock_id(options_.gateway), predecessor_lock_range}, 0, true, true});
}

coordinator::~coordinator() {
  if (begin_again_.armed()) loop_.disarm(begin_again_);
}

void coordinator::on_message(to_coordinator message) {
  std::visit([this](auto& m) { on(m); }, message);
}

void coordinator::enqueue(step s) {
  queue_.push_back(std::move(s));
  next_step();
}

void coordinator::next_step() {
  while (!busy_ && links_are_up_) {
    if (newer_) {
      const state::record newer = std::move(*newer_);
      newer_.reset();
      if (newer.epoch > snapshot_->epoch) take_in(newer);
      continue;
    }
    const auto first = std::find_if(queue_.begin(), queue_.end(), [this](const step& s) { return !must_wait(s); });
    if (first == queue_.end()) return;
    step s = std::move(*first);
    queue_.erase(first);
    busy_ = true;
    std::visit([this](auto&& what) { run(std::move(what)); }, std::move(s));
  }
}

bool coordinator::must_wait(const step& s) const {
  return has_predecessor_ && (std::holds_alternative<control_request>(s) || std::holds_alternative<manage_request>(s));
}

void coordinator::end_step() {
  busy_ = false;
}

// -- what shards ask for -------------------------------------------------------------------------------------------

void coordinator::on(control_request& message) {
  if (snapshot_->serves == unit_snapshot::service::on) return enqueue(std::move(message));
  shards_[message.shard]->send(control_answer{message.id, outcomes::busy()});
}
void coordinator::on(control_cancel& message) {
  const auto found = std::find_if(queue_.begin(), queue_.end(), [&](const step& s) {
    const auto* request = std::get_if<control_request>(&s);
    return request && request->shard == message.shard && request->id == message.id;
  });
  if (found == queue_.end()) return;  // it is being done, or was: its answer comes, or is on its way
  queue_.erase(found);
  shards_[message.shard]->send(control_answer{message.id, {}});
}
void coordinator::on(manage_request& message) {
  if (!successor_) return enqueue(std::move(message));
  const std::uint64_t id = next_passed_++;
  passed_on_.emplace(id, message);
  successor_->send(passed_reset{id, message.nexus, message.function});
}
/// At once, unlike what initiators ask of this unit itself: the other one sees to its own tasks.
void coordinator::on(passed_reset& message) {
  enqueue(agreed_step{agreement::reset{message.nexus, 0, message.function},
                      [this, id = message.id](const result<void>&) { predecessor_->send(passed_reset_done{id}); }});
}
void coordinator::on(passed_reset_done& message) {
  if (auto own_part = passed_on_.extract(message.id)) enqueue(std::move(own_part.mapped()));
}
void coordinator::on(successor_gone&) {
  successor_ = nullptr;
  for (auto& [id, request] : std::exchange(passed_on_, {})) enqueue(std::move(request));
}
/// Its task management ends with a nexus [SAM-5 6.3.4]: what it would abort now is commands that came later.
void coordinator::on(nexus_lost& message) {
  if (message.gone) initiators_.erase(message.nexus);
  std::vector<step> ended;
  std::erase_if(queue_, [&](step& s) {
    const auto* request = std::get_if<manage_request>(&s);
    if (!request || request->nexus != message.nexus) return false;
    ended.push_back(std::move(s));
    return true;
  });
  for (step& each : ended) finish(each, outcomes::good());
  // Who joins anew drops what its nexuses held: nothing is left to agree on, and that may take as long as the cluster.
  if (snapshot_->serves == unit_snapshot::service::suspended)
    return shards_[message.shard]->send(nexus_forgotten{message.id});
  enqueue(message);
}
void coordinator::on(nexus_known& message) {
  initiators_.emplace(message.nexus, std::move(message.initiator));
}

void coordinator::on(cut_request& message) {
  enqueue(agreed_step{agreement::cut{options_.gateway}, [this, asked = message](const result<void>& outcome) {
                        shards_[asked.shard]->send(cut_answer{asked.id, outcome.has_value()});
                      }});
}

void coordinator::on(flush_failed&) {
  for (shard_link* shard : shards_) shard->send(flush_failed{});
}

void coordinator::run(control_request&& request) {
  if (frozen_ || snapshot_->serves != unit_snapshot::service::on) {
    step of = std::move(request);
    finish(of, outcomes::busy());
    return end_step();
  }
  std::vector<scsi::transport_id> known;
  for (const auto& [nexus, initiator] : initiators_) known.push_back(initiator);
  const agreement::command asked{request.nexus,      request.id, request.who, {request.cdb.data(), request.cdb_bytes},
                                 request.parameters, known};
  const agreement::decision d = agreement::decide(*snapshot_, asked, snapshot_->facts);
  if (d.moves_to == 0) return begin(d, std::move(request));
  end_step();
  begin(moving{d.moves_to, ++next_move_, false, {}, std::move(request)});
}

void coordinator::run(manage_request&& request) {
  decide(agreement::reset{request.nexus, request.id, request.function}, std::move(request));
}
void coordinator::run(nexus_lost&& message) {
  decide(agreement::nexus_loss{message.nexus}, message);
}
void coordinator::run(agreed_step&& what) {
  const agreement::change wanted = what.wanted;
  decide(wanted, std::move(what));
}

void coordinator::decide(const agreement::change& wanted, step of) {
  begin(agreement::decide(*snapshot_, wanted, snapshot_->facts), std::move(of));
}

/// Answers what changes nothing; all else is proposed.
void coordinator::begin(const agreement::decision& d, step of) {
  if (!d.next) {
    finish(of, d.outcome);
    return end_step();
  }
  current_ = {};
  current_.next = draft_of(*d.next);
  current_.attentions = d.attentions;
  current_.aborts = d.aborts;
  current_.lasts = d.lasts;
  current_.of = std::move(of);
  current_.outcome = d.outcome;
  propose();
}

namespace {

/// What had to last could not be written, and did not happen.
scsi::outcome not_kept(const control_request& request) {
  constexpr std::uint8_t persistent_reserve_out = 0x5f;
  return request.cdb[0] == persistent_reserve_out ? outcomes::insufficient_registration_resources()  // [SPC-4 5.12.5]
                                                  : outcomes::hardware_error();
}

}  // namespace

void coordinator::finish(step& of, const result<scsi::outcome>& outcome) {
  if (const auto* request = std::get_if<control_request>(&of)) {
    shards_[request->shard]->send(control_answer{request->id, outcome ? *outcome : not_kept(*request)});
  } else if (const auto* managed = std::get_if<manage_request>(&of)) {
    shards_[managed->shard]->send(manage_answer{managed->id, port::task_response::function_complete});
  } else if (const auto* lost = std::get_if<nexus_lost>(&of)) {
    shards_[lost->shard]->send(nexus_forgotten{lost->id});
  } else {
    const auto* local = std::get_if<local_step>(&of);
    const auto* agreed = std::get_if<agreed_step>(&of);
    const done finished = local ? local->finished : agreed ? agreed->finished : done();
    if (finished) finished(outcome ? result<void>() : tl::unexpected(outcome.error()));
  }
}

// -- the operator ----------------------------------------------------------------------------------------------------

void coordinator::run(local_step&& what) {
  current_ = {};
  current_.next = std::make_shared<unit_snapshot>(*snapshot_);
  what.make(*current_.next, current_.attentions);
  current_.of = std::move(what);
  publish();
}

void coordinator::establish_unit_attention(scsi::additional_sense code, std::uint64_t except_nexus, done finished) {
  enqueue(local_step{[=](unit_snapshot&, std::vector<attention_order>& attentions) {
                       attentions.push_back({{.only = {}, .except_nexus = except_nexus}, code});
                     },
                     std::move(finished)});
}

void coordinator::set_capacity(std::uint64_t capacity_blocks, done finished) {
  enqueue(local_step{[=](unit_snapshot& next, std::vector<attention_order>& attentions) {
                       if (next.facts.capacity_blocks == capacity_blocks) return;
                       next.facts.capacity_blocks = capacity_blocks;
                       attentions.push_back({{}, scsi::asc::capacity_changed});
                     },
                     std::move(finished)});
}

void coordinator::set_facts(const scsi::unit_facts& facts, done finished) {
  enqueue(local_step{[facts](unit_snapshot& next, std::vector<attention_order>& attentions) {
                       scsi::unit_facts& now = next.facts;
                       const scsi::unit_facts before = now;
                       now = facts;
                       now.capacity_blocks = before.capacity_blocks;
                       now.block_size = before.block_size;
                       now.serial = before.serial;
                       now.naa = before.naa;
                       now.naa_extension = before.naa_extension;
                       attentions.push_back({{}, scsi::asc::inquiry_data_changed});
                       if (now.read_only != before.read_only)
                         attentions.push_back({{}, scsi::asc::mode_parameters_changed});
                     },
                     std::move(finished)});
}

/// What others learn of a shared unit's ports here, beside who owns it: whether they relay.
std::vector<scsi::target_port_group> coordinator::as_told(std::vector<scsi::target_port_group> groups) const {
  if (options_.relays)
    for (scsi::target_port_group& each : groups) each.state = scsi::asymmetric_access::active_non_optimized;
  return groups;
}

void coordinator::set_groups(std::vector<scsi::target_port_group> groups, done finished) {
  own_groups_ = as_told(std::move(groups));
  enqueue(agreed_step{agreement::port_groups{options_.gateway, own_groups_}, std::move(finished)});
}

void coordinator::clear_reservations(done finished) {
  if (damage_.empty()) return enqueue(agreed_step{agreement::clear_reservations{}, std::move(finished)});
  enqueue(plain_step([this, finished = std::move(finished)] { give_up_damaged(finished); }));
}

void coordinator::links_are_up() {
  links_are_up_ = true;
  claim_if_free();
  next_step();
}

void coordinator::move(gateway_id to, done finished) {
  begin(moving{to, ++next_move_, false, std::move(finished), {}});
}

void coordinator::begin(moving what) {
  if (!snapshot_->owned || !snapshot_->members.contains(what.to))
    return end(what, fail(errc::not_found, "that gateway does not serve the unit"));
  if (snapshot_->owned->owner == what.to) return end(what, {});
  const agreement::move wanted{what.to};
  const std::uint64_t number = what.number;
  moving_.push_back(std::move(what));
  enqueue(agreed_step{wanted, [this, number](const result<void>&) {
                        for (moving& each : moving_)
                          if (each.number == number) each.given_up = true;
                        settle_moves();
                      }});
}

/// Who asked for a move learns what has become of it.
void coordinator::end(const moving& what, const result<void>& outcome) {
  if (!what.asked) return what.finished(outcome);
  const scsi::outcome failed = outcomes::hardware_error(scsi::asc::set_target_port_groups_failed);
  shards_[what.asked->shard]->send(control_answer{what.asked->id, outcome ? outcomes::good() : failed});
}

void coordinator::reconsider_owner() {
  if (!busy_ && snapshot_) claim_if_free();
}

void coordinator::freeze(std::function<void(const snapshot_ptr&)> frozen) {
  enqueue(plain_step([this, frozen = std::move(frozen)] {
    frozen_ = true;
    frozen(snapshot_);
    end_step();
  }));
}

void coordinator::thaw() {
  if (frozen_) enqueue(plain_step([this] { resume_place(); }));
}

void coordinator::predecessor_left() {
  has_predecessor_ = false;
  next_step();
}

void coordinator::predecessor_over() {
  predecessor_left();
  range_lock_release all_blocks{predecessor_lock_id(options_.gateway)};
  on(all_blocks);
}

}  // namespace sluice::unit
