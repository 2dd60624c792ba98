#include "tests/agreement/served_gateway.hpp"

#include <utility>

namespace sluice::agreement_sim {

namespace {
constexpr reactor::sim_options::range message_delay_ns{1 * ns_per_us, 300 * ns_per_us};
constexpr std::uint64_t authority_key = 1000, image_key = 1001, tenure_key = 1002;
}  // namespace

void served_gateway::to_coordinator_link::send(unit::to_coordinator message) {
  owner->post(index, [o = owner, m = std::move(message)]() mutable {
    if (o->coordinator_) o->coordinator_->on_message(std::move(m));
  });
}

void served_gateway::to_shard_link::send(unit::to_shard message) {
  owner->post(100 + index, [o = owner, i = index, m = std::move(message)]() mutable {
    if (const auto* news = std::get_if<unit::publication>(&m)) o->oracle_.published(o->id_, news->snapshot->epoch);
    if (i < o->shards_.size()) o->shards_[i]->on_message(std::move(m));
  });
}

served_gateway::served_gateway(reactor::sim_world& world, reactor::loop& loop, ram::ram_store& medium,
                               simulated_image* image, simulated_relay& relay, simulated_authority& all, oracle& told,
                               gateway_id id, plant bug)
    : world_(world),
      loop_(loop),
      medium_(medium),
      image_(image),
      relay_(relay),
      authority_(all),
      oracle_(told),
      id_(id),
      bug_(bug) {
  tenure_.owner = this;
  for (unsigned i = 0; i < shards; ++i) {
    coordinator_links_[i].owner = shard_links_[i].owner = this;
    coordinator_links_[i].index = shard_links_[i].index = i;
  }
}

served_gateway::~served_gateway() {
  kill();
}

// -- the process -----------------------------------------------------------------------------------------------------

void served_gateway::post(std::uint64_t key, std::function<void()> what) {
  inbox_[key].push_back(std::move(what));
  world_.after(world_.draw(message_delay_ns), [this, life = life_] {
    if (life != life_) return;
    if (paused_)
      ++held_steps_;
    else
      step();
  });
}

/// Does one of the things at the heads of the lines.
void served_gateway::step() {
  if (inbox_.empty()) return;
  auto line = inbox_.begin();
  std::advance(line, static_cast<std::ptrdiff_t>(world_.below(inbox_.size())));
  const std::function<void()> what = std::move(line->second.front());
  line->second.pop_front();
  if (line->second.empty()) inbox_.erase(line);
  what();
}

void served_gateway::pause(bool on) {
  if (std::exchange(paused_, on) == on || on) return;
  for (std::uint64_t n = std::exchange(held_steps_, 0); n > 0; --n)
    world_.after(world_.draw(message_delay_ns), [this, life = life_] {
      if (life != life_) return;
      if (paused_)
        ++held_steps_;
      else
        step();
    });
}

void served_gateway::drain() {
  while (!inbox_.empty()) step();
}

void served_gateway::start() {
  if (coordinator_) return;
  unit::coordinator_options how;
  how.gateway = id_;
  how.facts.capacity_blocks = 64;
  how.facts.volatile_cache = true;
  how.groups = {{.number = id_, .ports = {id_}}};
  how.shares = how.relays = shares();
  how.awaits_links = true;
  how.serial = "0123456789abcdef0123456789abcdef";
  std::vector<unit::shard_link*> links;
  for (to_shard_link& l : shard_links_) links.push_back(&l);
  const auto in_process = [this, life = life_](std::function<void()> what) {
    if (life == life_) post(authority_key, std::move(what));
  };
  if (shares()) {
    opened_ = image_->open([this, life = life_](std::function<void()> what) {
      if (life == life_) post(image_key, std::move(what));
    });
    open_image();
    how.tenure = &tenure_;
  }
  auto seat = authority_.connect(
      id_, in_process, [opened = opened_] { return opened ? opened->connection() : 0; },
      [opened = opened_] {
        if (opened) opened->reconnect();
      });
  seat_ = seat.get();
  coordinator_ = std::make_unique<unit::coordinator>(how, links, loop_, std::move(seat));
  try_start();
}

/// Some gateways have a cache.
void served_gateway::open_image() {
  store_ = opened_;
  if (id_ % 3 == 0) return;
  cache::options wanted;
  wanted.ram_bytes = 64 * kib;
  wanted.bypass_bytes = wanted.prefetch_bytes = 0;
  const auto made = cache::cache_store::open(opened_, wanted);
  if (!made) return oracle_.fail(made.error().message);
  store_ = *made;
  if (bug_ != plant::stale_cache) store_->end_tenure();
  store_->take_over();
}

void served_gateway::image_tenure::begin(std::function<void(const result<void>&)> done) {
  owner->post(tenure_key, [this, done = std::move(done)] {
    done(owner->bug_ == plant::stale_cache ? result<void>() : owner->store_->begin_tenure());
  });
}

void served_gateway::image_tenure::end(std::function<void()> done) {
  owner->post(tenure_key, [this, done = std::move(done)] {
    if (owner->bug_ != plant::stale_cache) owner->store_->end_tenure();
    done();
  });
}

void served_gateway::try_start() {
  coordinator_->start([this](const result<void>& outcome) {
    if (!outcome) return try_start();
    for (unsigned i = 0; i < shards; ++i) {
      unit::shard_options limits;
      limits.index = i;
      limits.gateway = id_;
      if (shares()) {
        limits.unit = "disk";
        limits.owners = &relay_.on(id_, i);
        limits.deadline_ns = 2 * ns_per_s;
      }
      store::store& medium = store_ ? *store_ : static_cast<store::store&>(medium_);
      shards_.push_back(std::make_unique<unit::shard>(limits, coordinator_links_[i], loop_, medium.attach(loop_),
                                                      coordinator_->snapshot()));
    }
    oracle_.published(id_, coordinator_->snapshot()->epoch);
    started_ = true;
    coordinator_->links_are_up();
  });
}

/// The process ends at once. What it had is taken down in order, unseen by anybody.
void served_gateway::kill() {
  if (!coordinator_) return;
  paused_ = false;
  held_steps_ = 0;
  ++life_;
  started_ = false;
  seat_->end();
  if (opened_) opened_->end();
  relay_.end(id_);
  drain();
  for (const auto& [nexus, index] : std::exchange(attached_, {})) {
    shards_[index]->detach(nexus, port::loss_reason::connection_lost, [] {});
    oracle_.detached(nexus);
  }
  for (const auto& [nexus, index] : std::exchange(relayed_, {}))
    shards_[index]->detach(nexus, port::loss_reason::connection_lost, [] {});
  for (int rounds = 0; rounds < 4; ++rounds) {  // what a request's end sets off may be another one
    drain();
    if (opened_) opened_->end();
    relay_.end(id_);
  }
  shards_.clear();
  coordinator_.reset();
  store_.reset();
  opened_.reset();
  seat_ = nullptr;
  inbox_.clear();
  ++life_;  // what was answered just now never left the process
}

bool served_gateway::serves() const {
  return started_ && !paused_ && seat_->may_serve() &&
         coordinator_->snapshot()->serves == unit::unit_snapshot::service::on;
}

bool served_gateway::acts_as_owner() const {
  if (!admits()) return false;
  for (const auto& each : shards_)
    if (each->snapshot().owned && each->snapshot().owned->owner == id_ && !each->snapshot().opening) return true;
  return false;
}

void served_gateway::move_to(gateway_id other) {
  if (started_ && !paused_) coordinator_->move(other, [](const result<void>&) {});
}

void served_gateway::tend_owner(const std::set<gateway_id>& drained) {
  if (!started_ || paused_) return;
  coordinator_->reconsider_owner();
  const unit::unit_snapshot& here = *coordinator_->snapshot();
  if (!here.owned || here.owned->owner != id_ || !drained.contains(id_)) return;
  for (const auto& [gateway, incarnation] : here.members)
    if (!drained.contains(gateway)) return move_to(gateway);
}

void served_gateway::attach(unsigned index, const std::shared_ptr<const port::i_t_nexus>& identity) {
  shards_[index]->attach(identity, 0);
  attached_[identity->id] = index;
  const unsigned host = static_cast<unsigned>(identity->initiator.name.back() - '0');
  oracle_.attached(identity->id, host * max_gateways + place(), shards_[index]->snapshot().epoch);
}

void served_gateway::detach(unsigned index, std::uint64_t nexus, std::function<void()> done) {
  shards_[index]->detach(nexus, port::loss_reason::connection_lost, [this, nexus, done = std::move(done)] {
    attached_.erase(nexus);
    oracle_.detached(nexus);
    done();
  });
}

void served_gateway::attach_relayed(unsigned index, const std::shared_ptr<const port::i_t_nexus>& identity) {
  shards_[index]->attach(identity, 0);
  relayed_[identity->id] = index;
}

void served_gateway::detach_relayed(unsigned index, std::uint64_t nexus, std::function<void()> done) {
  if (!relayed_.contains(nexus)) return;
  shards_[index]->detach(nexus, port::loss_reason::connection_lost, [this, nexus, done = std::move(done)] {
    relayed_.erase(nexus);
    done();
  });
}

}  // namespace sluice::agreement_sim
