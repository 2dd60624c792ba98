#include "gateway/unit/unit_actor.hpp"

namespace sluice::unit {

namespace {

/// Notes to a shard: the task events as they are, then these.
enum message_kind : std::uint32_t { manage_message = 0x100, call_message, leave_message };

}  // namespace

shard_actor::shard_actor(caf::actor_config& config, shard_options options, caf::actor coordinator,
                         std::shared_ptr<store::store> medium, snapshot_ptr first)
    : pinned(config),
      options_(options),
      coordinator_(std::move(coordinator)),
      medium_(std::move(medium)),
      first_(std::move(first)) {}

caf::behavior shard_actor::make_behavior() {
  shard_.emplace(options_, static_cast<coordinator_link&>(*this), own_core().loop(), medium_->attach(own_core().loop()),
                 std::move(first_));
  shard_->set_endpoint(this);
  set_exit_handler([this](const caf::exit_msg&) { leave_when_idle(); });
  return {
      [this](to_shard& message) { shard_->on_message(std::move(message)); },
  };
}

void shard_actor::leave_when_idle() {
  if (shard_->idle()) return quit();
  if (!armed()) own_core().loop().arm(*this, ns_per_ms);
}

void shard_actor::on_timer() noexcept {
  send_message(nullptr, leave_message);
}

void shard_actor::on_exit() {
  own_core().loop().disarm(*this);
  shard_.reset();
  medium_.reset();
  ended_ = true;
  coordinator_ = nullptr;
}

void shard_actor::send(to_coordinator message) {
  event_based_actor::send(coordinator_, std::move(message));
}

void shard_actor::post(port::task& subject, port::task_event event) noexcept {
  // Until its turn comes, what the task needs may come nearer: 200 ns for each line of memory.
  if (event == port::task_event::submit && shard_) shard_->foresee(subject);
  send_message(&subject, static_cast<std::uint32_t>(event));
}

void shard_actor::post(port::task_management& request) noexcept {
  send_message(&request, manage_message);
}

void shard_actor::on_message(void* subject, std::uint32_t kind) {
  switch (kind) {
    case manage_message:
      shard_->on_manage(*static_cast<port::task_management*>(subject));
      return;
    case leave_message:
      return leave_when_idle();
    case call_message: {
      const std::unique_ptr<std::function<void(shard&)>> work(static_cast<std::function<void(shard&)>*>(subject));
      (*work)(*shard_);
      return;
    }
    default:
      shard_->on_task(*static_cast<port::task*>(subject), static_cast<port::task_event>(kind));
  }
}

void shard_actor::enqueue_call(std::function<void(shard&)> work) {
  send_message(new std::function<void(shard&)>(std::move(work)), call_message);
}

void shard_actor::add_nexus(std::shared_ptr<const port::i_t_nexus> nexus, access::attention_listener* listener) {
  enqueue_call(
      [nexus = std::move(nexus), listener](shard& s) { s.attach(nexus, scsi::asc::reset_occurred, listener); });
}

void shard_actor::remove_nexus(std::uint64_t nexus_id, port::loss_reason reason, std::function<void()> removed) {
  // The callback belongs to another actor: it must not run inside this one's turn.
  auto later = [&loop = own_core().loop(), removed = std::move(removed)] { loop.post(removed); };
  enqueue_call([=](shard& s) { s.detach(nexus_id, reason, later); });
}

void shard_actor::raise(std::uint64_t nexus_id, scsi::additional_sense code, std::uint64_t directory_version) {
  enqueue_call([=](shard& s) { s.establish_attention(nexus_id, code, directory_version); });
}

void shard_actor::withdraw(std::uint64_t nexus_id, scsi::additional_sense code) {
  enqueue_call([=](shard& s) { s.withdraw_attention(nexus_id, code); });
}

coordinator_actor::coordinator_actor(caf::actor_config& config, std::unique_ptr<unit::coordinator> inside,
                                     late_links links)
    : pinned(config), links_(std::move(links)), coordinator_(std::move(inside)) {}

caf::behavior coordinator_actor::make_behavior() {
  return {
      [this](to_coordinator& message) { coordinator_->on_message(std::move(message)); },
  };
}

void coordinator_actor::on_exit() {
  if (predecessor_) predecessor_->send(successor_gone{});
  coordinator_.reset();
  predecessor_.reset();
  successor_.reset();
  for (const auto& link : links_) link->disconnect();
}

void coordinator_actor::connect(const std::vector<caf::actor>& shards) {
  for (std::size_t i = 0; i < shards.size(); ++i) links_.at(i)->connect(*this, shards[i]);
  coordinator_->links_are_up();
}

}  // namespace sluice::unit
