#include "fabrics/rdma/simulated.hpp"

#include <algorithm>
#include <utility>

#include "fabrics/rdma/sim_link.hpp"

namespace sluice::rdma {

// -- the peer ------------------------------------------------------------------------------------------------------

peer::peer(simulated_network& in, std::string address, handler& told)
    : network_(in), address_(std::move(address)), handler_(told) {}

peer::~peer() {
  vanish();
}

void peer::connect(const std::string& to, const_bytes private_data) {
  vanish();
  link_ = std::make_shared<sim_link>(network_);
  link_->initiator = this;
  std::vector<std::uint8_t> asked(private_data.begin(), private_data.end());
  network_.world_.after(link_->latency(), [link = link_, to, asked, from = address_] {
    const auto found = link->network.listeners_.find(to);
    if (link->now == sim_link::state::over) return;
    if (found == link->network.listeners_.end()) {
      link->now = sim_link::state::over;
      return link->tell_peer([](peer& p) { p.handler_.on_rejected({}); });
    }
    simulated_host& host = found->second->host_;
    host.loop.post([link, to, asked, from, &host] {
      const auto still = link->network.listeners_.find(to);
      if (still == link->network.listeners_.end()) return;
      auto made = std::make_unique<simulated_connection>(link, host, from, to, asked);
      link->target = made.get();
      still->second->told_(std::move(made));
    });
  });
}

void peer::send(std::vector<std::uint8_t> octets) {
  if (!connected()) return;
  simulated_network& network = network_;
  if (network.world_.chance(network.options_.loss)) return link_->end("a message was lost");
  const std::uint64_t at = std::max(link_->last_message + 1, network.world_.now_ns() + link_->latency());
  link_->last_message = at;
  network.world_.at(
      at, [link = link_, octets = std::move(octets)]() mutable { link->arrive_from_peer(std::move(octets)); });
}

void peer::disconnect() {
  if (link_) link_->end("the peer has disconnected");
}

void peer::vanish() {
  if (!link_) return;
  link_->initiator = nullptr;
  link_->end("the peer is gone");
  link_.reset();
}

bool peer::connected() const {
  return link_ && link_->now == sim_link::state::accepted;
}

std::uint32_t peer::expose(bytes memory, bool writable) {
  exposed_[++next_key_] = {memory, writable};
  return next_key_;
}

bytes peer::find(std::uint32_t key, std::uint64_t address, std::uint64_t octets, bool writes) {
  const auto found = exposed_.find(key);
  if (found == exposed_.end() || (writes && !found->second.writable)) return {};
  const bytes memory = found->second.memory;
  const std::uint64_t offset = address - reinterpret_cast<std::uint64_t>(memory.data());
  if (offset > memory.size() || octets > memory.size() - offset) return {};
  return memory.subspan(offset, octets);
}

void peer::release(std::uint32_t key) {
  held_.erase(key);
  if (link_) link_->let_go(key);
}

bool peer::is_awaited(std::uint32_t key) const {
  return link_ && link_->waits_for(key);
}

// -- the target's side ---------------------------------------------------------------------------------------------

simulated_connection::simulated_connection(std::shared_ptr<sim_link> link, simulated_host& on, std::string from,
                                           std::string to, std::vector<std::uint8_t> asked)
    : link_(std::move(link)), host_(&on), peer_(std::move(from)), local_(std::move(to)), asked_(std::move(asked)) {}

simulated_connection::~simulated_connection() {
  SLUICE_CHECK(!handler_);  // opened, and not drained
  if (!answered_) reject({});
  link_->target = nullptr;
}

queue_depths simulated_connection::limits() const {
  return link_->network.options_.limits;
}

result<void> simulated_connection::move_to(host& other) {
  SLUICE_CHECK(!handler_);
  host_ = &static_cast<simulated_host&>(other);
  return {};
}

result<void> simulated_connection::open(const queue_depths& depths, handler& told) {
  SLUICE_CHECK(host_->loop.runs_here() && !handler_);
  SLUICE_CHECK(depths.sends <= limits().sends && depths.receives <= limits().receives);
  if (link_->network.queue_pairs_ >= link_->network.options_.queue_pairs)
    return fail(errc::no_space, "the device has no more queue pairs");
  ++link_->network.queue_pairs_;
  depths_ = depths;
  handler_ = &told;
  if (link_->now == sim_link::state::over) link_->end("the peer is gone");
  return {};
}

void simulated_connection::check_local(const iovec& part) const {
  SLUICE_CHECK(host_->loop.buffers().region_of(part) != memory::pool::no_region);
}

void simulated_connection::receive(work& w, const iovec& into) noexcept {
  check_local(into);
  SLUICE_CHECK(handler_ && link_->receives.size() < depths_.receives);
  link_->post_receive(w, into);
}

result<void> simulated_connection::accept(const_bytes private_data) {
  SLUICE_CHECK(handler_ && !answered_);
  answered_ = true;
  if (link_->now == sim_link::state::over) return fail(errc::closed, "the peer is gone");
  link_->now = sim_link::state::accepted;
  std::vector<std::uint8_t> said(private_data.begin(), private_data.end());
  link_->tell_peer([said, link = link_](rdma::peer& p) {
    p.handler_.on_accepted(said);
    // What the peer sends at once may come before this.
    link->network.world_.after(link->latency(), [link] {
      link->tell_target([](simulated_connection& c) {
        if (c.handler_ && !c.closing_ && !c.lost_) c.handler_->on_established();
      });
    });
  });
  return {};
}

void simulated_connection::reject(const_bytes private_data) noexcept {
  if (std::exchange(answered_, true) || link_->now == sim_link::state::over) return;
  link_->now = sim_link::state::over;
  std::vector<std::uint8_t> said(private_data.begin(), private_data.end());
  link_->tell_peer([said](rdma::peer& p) { p.handler_.on_rejected(said); });
}

void simulated_connection::send(work& w, std::span<const request> chain) noexcept {
  SLUICE_CHECK(handler_ && !chain.empty() && chain.size() <= send_room());
  for (const request& each : chain) {
    SLUICE_CHECK(each.part_count <= max_parts(each.what));
    for (unsigned i = 0; i < each.part_count; ++i) check_local(each.parts[i]);
  }
  link_->post(w, chain);
}

std::uint32_t simulated_connection::send_room() const noexcept {
  return depths_.sends - static_cast<std::uint32_t>(link_->sends.size());
}

void simulated_connection::close() noexcept {
  if (std::exchange(closing_, true)) return;
  SLUICE_CHECK(handler_);
  if (!answered_) reject({});
  link_->end("");
  link_->tell_target([](simulated_connection& c) {
    --c.link_->network.queue_pairs_;
    std::exchange(c.handler_, nullptr)->on_drained();
  });
}

// -- hosts ---------------------------------------------------------------------------------------------------------

simulated_listener::simulated_listener(simulated_host& on, std::string where, asked told)
    : host_(on), where_(std::move(where)), told_(std::move(told)) {
  host_.network.listeners_.emplace(where_, this);
}

simulated_listener::~simulated_listener() {
  host_.network.listeners_.erase(where_);
}

result<std::unique_ptr<listener>> simulated_host::listen(const reactor::endpoint& where, listener::asked told) {
  const std::string address = where.to_string();
  if (network.listeners_.contains(address)) return fail(errc::already_exists, address + " is in use");
  return std::make_unique<simulated_listener>(*this, address, std::move(told));
}

host_maker simulated_network::hosts() {
  return [this](reactor::loop& on) -> result<std::unique_ptr<host>> {
    return std::make_unique<simulated_host>(*this, on);
  };
}

const char* to_string(outcome how) {
  switch (how) {
    case outcome::done:
      return "done";
    case outcome::failed:
      return "failed";
    case outcome::flushed:
      return "flushed";
  }
  return "unknown";
}

}  // namespace sluice::rdma
