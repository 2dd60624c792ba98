#include "gateway/unit/home.hpp"

#include <algorithm>

#include "actors/base/check.hpp"
#include "gateway/reservations/blob.hpp"
#include "gateway/reservations/machine.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/state/identity.hpp"
#include "gateway/unit/mode_blob.hpp"

namespace sluice::unit {

home::home(const home_options& options, std::vector<shard_link*> shards, reactor::loop& loop, state::state_store& kept)
    : options_(options), shards_(std::move(shards)), loop_(loop), kept_(kept) {}

result<std::unique_ptr<home>> home::make(const home_options& options, std::vector<shard_link*> shards,
                                         reactor::loop& loop, state::state_store& kept) {
  SLUICE_CHECK(!shards.empty());
  std::unique_ptr<home> made(new home(options, std::move(shards), loop, kept));
  if (result<void> loaded = made->load(); !loaded) return tl::unexpected<error>(loaded.error());
  return made;
}

result<void> home::load() {
  auto first = std::make_shared<unit_snapshot>();
  first->epoch = 1;
  first->facts = options_.facts;
  first->maps = options_.maps;
  first->groups = options_.groups;
  first->mode = first->mode_saved = scsi::default_mode_state(options_.facts);
  const auto reservations_blob = kept_.load(state::reservations_key(options_.name));
  if (!reservations_blob) return tl::unexpected<error>(reservations_blob.error());
  if (reservations_blob->has_value()) {
    result<reservations::state> parsed = reservations::parse(**reservations_blob);
    if (!parsed) return tl::unexpected<error>(parsed.error());
    first->reservations = std::move(*parsed);
    keeps_reservations_ = true;
  }
  if (options_.reservations) first->reservations = *options_.reservations;
  const auto modes = kept_.load(state::mode_key(options_.name));
  if (!modes) return tl::unexpected<error>(modes.error());
  if (modes->has_value()) {
    const result<scsi::mode_state> parsed = parse_mode(**modes);
    if (!parsed) return tl::unexpected<error>(parsed.error());
    first->mode_saved = first->mode = *parsed;
  }
  snapshot_ = std::move(first);
  return {};
}

void home::on_message(to_home message) {
  std::visit([this](auto& m) { on(m); }, message);
}

// -- one change at a time ----------------------------------------------------------------------------------------

void home::enqueue(step s) {
  queue_.push_back(std::move(s));
  next_step();
}

void home::next_step() {
  while (!busy_ && !queue_.empty()) {
    step s = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    std::visit([this](const auto& what) { run(what); }, s);
  }
}

void home::end_step() {
  busy_ = false;
}

std::shared_ptr<unit_snapshot> home::draft() const {
  auto next = std::make_shared<unit_snapshot>(*snapshot_);
  ++next->epoch;
  return next;
}

/// Makes durable what must last, then publishes. What could not be made durable does not happen.
void home::commit(change c) {
  current_ = std::move(c);
  if (!current_.keep) return publish();
  auto kept = [this, alive = std::weak_ptr<const bool>(alive_)](const result<void>& outcome) {
    if (alive.expired()) return;
    if (outcome)
      publish();
    else
      finish_change(outcome);
  };
  const change::lasting& item = *current_.keep;
  if (item.value)
    kept_.put(item.key, *item.value, loop_, std::move(kept));
  else
    kept_.erase(item.key, loop_, std::move(kept));
}

void home::publish() {
  snapshot_ = current_.next;
  unacknowledged_ = shards_.size();
  const std::vector<control_request> aborted = take_aborted(current_.aborts);
  for (shard_link* shard : shards_) shard->send(publication{snapshot_, current_.attentions, current_.aborts});
  // The shards answer nobody before these have come.
  for (const control_request& request : aborted) shards_[request.shard]->send(control_answer{request.id, {}});
}

/// Commands that wait here while their tasks are aborted must not be done any more.
std::vector<control_request> home::take_aborted(const std::vector<abort_order>& orders) {
  std::vector<control_request> taken;
  const auto concerned = [&](const control_request& request) {
    return std::any_of(orders.begin(), orders.end(), [&](const abort_order& order) {
      if (order.whom.except_nexus == request.nexus) return false;
      return !order.whom.only || *order.whom.only == request.who;
    });
  };
  std::erase_if(queue_, [&](step& s) {
    auto* request = std::get_if<control_request>(&s);
    if (!request || !concerned(*request)) return false;
    taken.push_back(std::move(*request));
    return true;
  });
  return taken;
}

void home::on(acknowledgement& message) {
  if (!busy_ || message.epoch != snapshot_->epoch || unacknowledged_ == 0) return;
  if (--unacknowledged_ == 0) finish_change({});
}

void home::finish_change(const result<void>& outcome) {
  const auto finish = std::move(current_.finish);
  current_ = {};
  busy_ = false;
  if (finish) finish(outcome);
  next_step();
}

void home::on(control_request& message) {
  enqueue(std::move(message));
}
void home::on(control_cancel& message) {
  const auto found = std::find_if(queue_.begin(), queue_.end(), [&](const step& s) {
    const auto* request = std::get_if<control_request>(&s);
    return request && request->shard == message.shard && request->id == message.id;
  });
  if (found == queue_.end()) return;  // it is being done, or was: its answer comes, or is on its way
  queue_.erase(found);
  shards_[message.shard]->send(control_answer{message.id, {}});
}
void home::on(manage_request& message) {
  enqueue(std::move(message));
}

// -- fences --------------------------------------------------------------------------------------------------------

void home::on(fence_request& message) {
  fences_.push_back({message});
  raise_fences();
}

/// Raises every fence that no earlier one overlaps. An overlapped one waits even for fences that wait themselves, so
/// that nobody starves.
void home::raise_fences() {
  for (std::size_t i = 0; i < fences_.size(); ++i) {
    fence& f = fences_[i];
    if (f.raised) continue;
    const auto end = fences_.begin() + static_cast<std::ptrdiff_t>(i);
    const bool blocked = std::any_of(
        fences_.begin(), end, [&](const fence& earlier) { return earlier.request.range.holds_up(f.request.range); });
    if (blocked) continue;
    f.raised = true;
    f.loud = shards_.size();
    for (shard_link* shard : shards_) shard->send(fence_raised{f.request.id, f.request.range});
  }
}

void home::on(fence_quiet& message) {
  for (fence& f : fences_) {
    if (f.request.id != message.id) continue;
    if (--f.loud == 0) shards_[f.request.shard]->send(fence_granted{f.request.id});
    return;
  }
}

void home::on(fence_release& message) {
  const auto it =
      std::find_if(fences_.begin(), fences_.end(), [&](const fence& f) { return f.request.id == message.id; });
  if (it == fences_.end()) return;
  const bool raised = it->raised;
  fences_.erase(it);
  if (raised)
    for (shard_link* shard : shards_) shard->send(fence_lowered{message.id});
  raise_fences();
}

// -- the operator ----------------------------------------------------------------------------------------------------

void home::operator_change(std::function<void(change&)> make, done finished) {
  enqueue(operator_step([this, make = std::move(make), finished = std::move(finished)] {
    change c;
    c.next = draft();
    make(c);
    if (finished) c.finish = finished;
    commit(std::move(c));
  }));
}

void home::establish_unit_attention(scsi::additional_sense code, std::uint64_t except_nexus, done finished) {
  operator_change(
      [=](change& c) {
        c.attentions.push_back({{.only = {}, .except_nexus = except_nexus}, code});
      },
      std::move(finished));
}

void home::freeze(std::function<void(const snapshot_ptr&)> frozen) {
  enqueue(operator_step([this, frozen = std::move(frozen)] {
    frozen_ = true;
    frozen(snapshot_);
    end_step();
  }));
}

void home::set_capacity(std::uint64_t capacity_blocks, done finished) {
  operator_change(
      [=](change& c) {
        if (c.next->facts.capacity_blocks == capacity_blocks) return;
        c.next->facts.capacity_blocks = capacity_blocks;
        c.attentions.push_back({{}, scsi::asc::capacity_changed});
      },
      std::move(finished));
}

void home::set_facts(const scsi::unit_facts& facts, done finished) {
  operator_change(
      [facts](change& c) {
        scsi::unit_facts& now = c.next->facts;
        const scsi::unit_facts before = now;
        now = facts;
        now.capacity_blocks = before.capacity_blocks;
        now.block_size = before.block_size;
        now.serial = before.serial;
        now.naa = before.naa;
        c.attentions.push_back({{}, scsi::asc::inquiry_data_changed});
        if (now.read_only != before.read_only) c.attentions.push_back({{}, scsi::asc::mode_parameters_changed});
      },
      std::move(finished));
}

void home::set_groups(std::vector<scsi::target_port_group> groups, done finished) {
  operator_change(
      [groups = std::move(groups)](change& c) {
        c.next->groups = groups;
        c.attentions.push_back({{}, scsi::asc::asymmetric_access_changed});
      },
      std::move(finished));
}

void home::clear_reservations(done finished) {
  operator_change(
      [this](change& c) {
        const reservations::effects effects = reservations::clear_by_operator(c.next->reservations);
        c.next->reserve_holder = 0;
        for (const reservations::attention& a : effects.attentions) c.attentions.push_back({{.only = a.who}, a.code});
        if (!keeps_reservations_) return;
        c.keep = change::lasting{state::reservations_key(options_.name), std::nullopt};
        keeps_reservations_ = false;
      },
      std::move(finished));
}

}  // namespace sluice::unit
