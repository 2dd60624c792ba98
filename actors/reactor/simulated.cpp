#include "actors/reactor/simulated.hpp"

#include "actors/reactor/sim_datagrams.hpp"
#include "actors/reactor/sim_disk.hpp"
#include "actors/reactor/sim_events.hpp"
#include "actors/reactor/sim_loop.hpp"
#include "actors/reactor/sim_network.hpp"

namespace sluice::reactor {

sim_world::sim_world(std::uint64_t seed, sim_options options)
    : options_(options),
      random_state_(seed),
      network_(std::make_unique<sim_network>(*this)),
      disk_(std::make_unique<sim_disk>(*this)),
      sim_events_(std::make_unique<sim_events>(*this)),
      datagrams_(std::make_unique<sim_datagrams>(*this)) {}

sim_world::~sim_world() {
  SLUICE_CHECK(loops_.empty());
}

std::unique_ptr<loop> sim_world::make_loop(unsigned index, std::uint64_t buffer_bytes) {
  return std::make_unique<sim_loop>(*this, index, buffer_bytes);
}

std::uint64_t sim_world::random() {  // SplitMix64
  std::uint64_t mixed = random_state_ += 0x9e3779b97f4a7c15;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return mixed ^ mixed >> 31;
}

std::uint64_t sim_world::below(std::uint64_t bound) {
  return bound ? random() % bound : 0;
}

bool sim_world::chance(double probability) {
  if (probability <= 0) return false;
  return static_cast<double>(random() >> 11) * 0x1p-53 < probability;
}

std::uint64_t sim_world::draw(sim_options::range from) {
  return from.least + below(from.most - from.least + 1);
}

void sim_world::note(std::uint64_t detail) {
  digest_ = (digest_ ^ detail ^ now_ << 1) * 0x100000001b3 + 0x9e3779b9;
}

void sim_world::at(std::uint64_t when_ns, std::function<void()> what) {
  events_.emplace(std::pair(std::max(when_ns, now_), next_event_++), std::move(what));
}

bool sim_world::step() {
  if (events_.empty()) return false;
  auto next = events_.extract(events_.begin());
  now_ = next.key().first;
  note(next.key().second);
  next.mapped()();
  return true;
}

bool sim_world::run_until(const std::function<bool()>& done, std::uint64_t deadline_ns) {
  while (!done()) {
    if (events_.empty() || events_.begin()->first.first > deadline_ns) {
      now_ = std::max(now_, deadline_ns);
      return false;
    }
    step();
  }
  return true;
}

void sim_world::run_for(std::uint64_t duration_ns) {
  run_until([] { return false; }, now_ + duration_ns);
}

std::uint64_t sim_world::begin_request(sim_loop& on, operation& op) {
  begin(op);
  const std::uint64_t request = next_request_++;
  op.scratch.words[0] = request;
  requests_.emplace(request, started{on.number(), &op});
  return request;
}

void sim_world::finish_request(std::uint64_t request, std::int64_t result) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return;
  const started of = found->second;
  requests_.erase(found);
  loops_.at(of.loop)->deliver(*of.op, result);
}

void sim_world::finish_request_after(std::uint64_t delay_ns, std::uint64_t request, std::int64_t result) {
  after(delay_ns, [this, request, result] { finish_request(request, result); });
}

void sim_world::cancel_request(sim_loop& on, operation& op) {
  const auto found = requests_.find(op.scratch.words[0]);
  if (found == requests_.end() || found->second.op != &op) return;  // complete, about to be told
  disk_->cancelled(found->first);
  sim_events_->cancelled(found->first);
  requests_.erase(found);
  on.deliver(op, -ECANCELED);
}

unsigned sim_world::loop_of(std::uint64_t request) const {
  return loops_.at(requests_.at(request).loop)->index();
}

void sim_world::forget_requests(std::uint64_t loop) {
  std::erase_if(requests_, [loop](const auto& entry) {
    if (entry.second.loop != loop) return false;
    entry.second.op->in_flight_ = false;
    return true;
  });
}

void sim_world::crash_loop(std::uint64_t number) {
  disk_->crash(number);
  end_loop(number);
}

void sim_world::end_loop(std::uint64_t number) {
  SLUICE_CHECK(running_ == nullptr);
  vanish(number);
  forget_requests(number);
  loops_.at(number)->forget();
}

void sim_world::kill(unsigned loop_index) {
  note(loop_index);
  for (const auto& [number, each] : loops_) {
    if (each->index() != loop_index) continue;
    disk_->kill(number);
    end_loop(number);
  }
}

/// The end of a loop is the orderly end of a process: its connections break, the page cache stays.
void sim_world::retire(std::uint64_t number) {
  disk_->release(number);
  vanish(number);
  std::erase_if(requests_, [number](const auto& entry) { return entry.second.loop == number; });
  loops_.erase(number);
}

void sim_world::crash(unsigned loop_index) {
  note(loop_index);
  for (const auto& [number, each] : loops_)
    if (each->index() == loop_index) crash_loop(number);
}

void sim_world::crash() {
  for (const auto& [number, each] : loops_) crash_loop(number);
}

void sim_world::unplug(unsigned loop_index, ending how) {
  SLUICE_CHECK(running_ == nullptr);
  note(loop_index);
  std::vector<std::uint64_t> unplugged, under_way;
  for (const auto& [number, each] : loops_)
    if (each->index() == loop_index) unplugged.push_back(number);
  for (const std::uint64_t number : unplugged) {
    disk_->detach(number, how == ending::machine);
    vanish(number);
    for (const auto& [request, of] : requests_)
      if (of.loop == number) under_way.push_back(request);
  }
  for (const std::uint64_t request : under_way) finish_request(request, -EIO);
}

void sim_world::vanish(std::uint64_t loop) {
  network_->crash(loop);
  sim_events_->crash(loop);
  datagrams_->crash(loop);
}

void sim_world::reset_connection(handle end) {
  network_->reset(end);
}
void sim_world::stall(handle end, std::uint64_t duration_ns) {
  network_->stall(end, duration_ns);
}
void sim_world::partition(unsigned loop_a, unsigned loop_b, bool cut) {
  network_->partition(loop_a, loop_b, cut);
}
sim_file_faults& sim_world::faults(const std::string& path) {
  return disk_->faults(path);
}
void sim_world::add_link(const std::string& name, const mac_address& address, const std::string& segment,
                         std::uint32_t mtu) {
  datagrams_->add_link(name, address, segment, mtu);
}
void sim_world::set_link(const std::string& name, bool up) {
  datagrams_->set_link(name, up);
}
void sim_world::remove_link(const std::string& name) {
  datagrams_->remove_link(name);
}
void sim_world::netlink_notice(netlink_family family, unsigned group, const_bytes octets) {
  datagrams_->notice(family, group, octets);
}
void sim_world::answer_netlink(netlink_answerer with) {
  datagrams_->answer_with(std::move(with));
}
void sim_world::remove_file(const std::string& path) {
  disk_->remove(path);
}
void sim_world::make_device(const std::string& path, std::uint64_t size_bytes) {
  disk_->make_device(path, size_bytes);
}
void sim_world::medium_error(const std::string& path, std::uint64_t offset, std::uint64_t length) {
  disk_->medium_error(path, offset, length);
}

}  // namespace sluice::reactor
