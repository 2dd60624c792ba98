#include "gateway/unit/unit_actor.hpp"

namespace sluice::unit {

namespace {

/// Notes to a shard: the task events as they are, then these.
enum note_kind : std::uint32_t { manage_note = 0x100, call_note };

}  // namespace

shard_actor::shard_actor(caf::actor_config& config, shard_options options, caf::actor home_of_unit,
                         std::shared_ptr<store::store> medium, snapshot_ptr first)
    : pinned(config),
      options_(options),
      home_of_unit_(std::move(home_of_unit)),
      medium_(std::move(medium)),
      first_(std::move(first)) {}

caf::behavior shard_actor::make_behavior() {
  shard_.emplace(options_, static_cast<home_link&>(*this), home().loop(), medium_->attach(home().loop()),
                 std::move(first_));
  shard_->set_door(this);
  return {
      [this](to_shard& message) { shard_->on_message(std::move(message)); },
  };
}

void shard_actor::on_exit() {
  shard_.reset();
  medium_.reset();
  ended_ = true;
  home_of_unit_ = nullptr;
}

void shard_actor::send(to_home message) {
  event_based_actor::send(home_of_unit_, std::move(message));
}

void shard_actor::post(port::task& subject, port::task_event event) noexcept {
  // Until its turn comes, what the task needs may come nearer: 200 ns for each line of memory.
  if (event == port::task_event::submit && shard_) shard_->foresee(subject);
  send_note(&subject, static_cast<std::uint32_t>(event));
}

void shard_actor::post(port::task_management& request) noexcept {
  send_note(&request, manage_note);
}

void shard_actor::on_note(void* subject, std::uint32_t kind) {
  switch (kind) {
    case manage_note:
      shard_->on_manage(*static_cast<port::task_management*>(subject));
      return;
    case call_note: {
      const std::unique_ptr<std::function<void(shard&)>> work(static_cast<std::function<void(shard&)>*>(subject));
      (*work)(*shard_);
      return;
    }
    default:
      shard_->on_task(*static_cast<port::task*>(subject), static_cast<port::task_event>(kind));
  }
}

void shard_actor::enqueue_call(std::function<void(shard&)> work) {
  send_note(new std::function<void(shard&)>(std::move(work)), call_note);
}

void shard_actor::add_nexus(std::shared_ptr<const port::i_t_nexus> nexus, access::attention_listener* listener) {
  enqueue_call(
      [nexus = std::move(nexus), listener](shard& s) { s.attach(nexus, scsi::asc::reset_occurred, listener); });
}

void shard_actor::remove_nexus(std::uint64_t nexus_id, port::loss_reason reason, std::function<void()> removed) {
  // The callback belongs to another actor: it must not run inside this one's turn.
  auto later = [&loop = home().loop(), removed = std::move(removed)] { loop.post(removed); };
  enqueue_call([=](shard& s) { s.detach(nexus_id, reason, later); });
}

void shard_actor::raise(std::uint64_t nexus_id, scsi::additional_sense code, std::uint64_t picture_version) {
  enqueue_call([=](shard& s) { s.establish_attention(nexus_id, code, picture_version); });
}

void shard_actor::withdraw(std::uint64_t nexus_id, scsi::additional_sense code) {
  enqueue_call([=](shard& s) { s.withdraw_attention(nexus_id, code); });
}

home_actor::home_actor(caf::actor_config& config, std::unique_ptr<unit::home> inside, late_links links)
    : pinned(config), links_(std::move(links)), home_(std::move(inside)) {}

caf::behavior home_actor::make_behavior() {
  return {
      [this](to_home& message) { home_->on_message(std::move(message)); },
  };
}

void home_actor::on_exit() {
  home_.reset();
  for (const auto& link : links_) link->disconnect();
}

void home_actor::connect(const std::vector<caf::actor>& shards) {
  for (std::size_t i = 0; i < shards.size(); ++i) links_.at(i)->connect(*this, shards[i]);
}

}  // namespace sluice::unit
