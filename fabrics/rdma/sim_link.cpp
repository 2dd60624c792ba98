#include "fabrics/rdma/sim_link.hpp"

#include <algorithm>
#include <utility>

namespace sluice::rdma {

// -- the target's chains -------------------------------------------------------------------------------------------

void sim_link::post(work& w, std::span<const request> chain) {
  for (std::size_t i = 0; i < chain.size(); ++i) {
    auto made = std::make_shared<entry>();
    made->what = chain[i];
    if (i + 1 == chain.size()) made->of = &w;
    sends.push_back(made);
    if (now != state::accepted) continue;
    // Nothing reaches a peer that does not know yet that it was accepted.
    last_send = std::max({last_send + 1, last_to_peer + 1, network.world_.now_ns() + latency()});
    network.world_.at(last_send, [self = shared_from_this(), made] { self->arrive_at_peer(made); });
  }
  if (now == state::over) end("");  // an ended queue pair flushes what is posted
}

void sim_link::arrive_at_peer(const std::shared_ptr<entry>& e) {
  if (now == state::over || std::ranges::find(sends, e) == sends.end()) return;
  if (network.world_.chance(network.options_.loss)) return end("a message was lost");
  e->arrived = true;
  const request& r = e->what;
  std::uint64_t octets = 0;
  for (unsigned i = 0; i < r.part_count; ++i) octets += r.parts[i].iov_len;
  if (r.what == request::kind::send) {
    std::vector<std::uint8_t> message;
    for (unsigned i = 0; i < r.part_count; ++i) {
      const auto* from = static_cast<const std::uint8_t*>(r.parts[i].iov_base);
      message.insert(message.end(), from, from + r.parts[i].iov_len);
    }
    if (r.remote_key && !initiator->exposed_.contains(r.remote_key)) return end("a key to invalidate is not there");
    initiator->conceal(r.remote_key);
    initiator->handler_.on_message(message);
  } else {
    const bytes there = initiator->find(r.remote_key, r.remote_address, octets, r.what == request::kind::write);
    if (there.empty() && octets > 0) return end("a remote key does not allow the access");
    if (r.what == request::kind::write) {
      auto to = there.begin();
      for (unsigned i = 0; i < r.part_count; ++i)
        to = std::copy_n(static_cast<const std::uint8_t*>(r.parts[i].iov_base), r.parts[i].iov_len, to);
    } else {
      e->held = initiator->held_.contains(r.remote_key);
    }
  }
  if (!e->held && now == state::accepted) finish(e);
}

/// The peer's answer is on its way.
void sim_link::finish(const std::shared_ptr<entry>& e) {
  network.world_.after(latency(), [self = shared_from_this(), e] {
    if (self->now == state::over || std::ranges::find(self->sends, e) == self->sends.end()) return;
    const request& r = e->what;
    if (r.what == request::kind::read) {
      std::uint64_t octets = 0;
      for (unsigned i = 0; i < r.part_count; ++i) octets += r.parts[i].iov_len;
      const bytes there = self->initiator->find(r.remote_key, r.remote_address, octets, false);
      auto from = there.begin();
      for (unsigned i = 0; i < r.part_count && !there.empty(); ++i) {
        std::copy_n(from, r.parts[i].iov_len, static_cast<std::uint8_t*>(r.parts[i].iov_base));
        from += static_cast<std::ptrdiff_t>(r.parts[i].iov_len);
      }
    }
    e->done = true;
    self->complete();
  });
}

/// Entries complete in the order of their queue, whatever order their answers came in.
void sim_link::complete() {
  while (!sends.empty() && sends.front()->done) {
    rdma::work* const of = sends.front()->of;
    sends.pop_front();
    if (of && target) {
      ++target->ending_;
      tell_target([of](simulated_connection& c) {
        --c.ending_;
        of->on_done(outcome::done, 0);
      });
    }
  }
}

bool sim_link::waits_for(std::uint32_t key) const {
  return std::ranges::any_of(sends, [&](const auto& e) { return e->held && e->what.remote_key == key; });
}

void sim_link::let_go(std::uint32_t key) {
  for (const auto& each : sends)
    if (each->what.remote_key == key && std::exchange(each->held, false)) finish(each);
}

// -- what the peer sends -------------------------------------------------------------------------------------------

void sim_link::post_receive(work& w, const iovec& into) {
  receives.push_back({&w, into});
  if (now == state::over) return end("");
  deliver();
}

void sim_link::arrive_from_peer(std::vector<std::uint8_t> octets) {
  if (now == state::over) return;
  if (receives.empty()) ++network.unready_;
  unready.push_back(std::move(octets));
  deliver();
}

void sim_link::deliver() {
  while (!unready.empty() && !receives.empty() && now != state::over) {
    const receive next = receives.front();
    const std::vector<std::uint8_t> octets = std::move(unready.front());
    if (octets.size() > next.into.iov_len) return end("a message is longer than its buffer");
    receives.pop_front();
    unready.pop_front();
    std::ranges::copy(octets, static_cast<std::uint8_t*>(next.into.iov_base));
    ++target->ending_;
    tell_target([of = next.of, size = octets.size()](simulated_connection& c) {
      --c.ending_;
      of->on_done(outcome::done, static_cast<std::uint32_t>(size));
    });
  }
}

// -- the end -------------------------------------------------------------------------------------------------------

void sim_link::end(const std::string& why) {
  const state before = std::exchange(now, state::over);
  if (before == state::accepted) tell_peer([](peer& p) { p.handler_.on_closed(); });
  if (!target || !target->handler_) return;
  bool first = before == state::accepted && !why.empty();
  for (const auto& each : std::exchange(sends, {})) {
    if (each->of)
      tell_target([of = each->of, how = first ? outcome::failed : outcome::flushed](simulated_connection&) {
        of->on_done(how, 0);
      });
    first = first && !each->of;
  }
  for (const receive& each : std::exchange(receives, {}))
    tell_target([of = each.of](simulated_connection&) { of->on_done(outcome::flushed, 0); });
  if (!why.empty())
    tell_target([why](simulated_connection& c) {
      if (c.handler_ && !c.closing_ && !std::exchange(c.lost_, true)) c.handler_->on_lost(why);
    });
}

void sim_link::tell_target(std::function<void(simulated_connection&)> what) {
  last_to_target = std::max(last_to_target + 1, network.world_.now_ns() + latency() / 8);
  network.world_.at(last_to_target, [self = shared_from_this(), what = std::move(what)] {
    if (!self->target) return;
    self->target->host_->loop.post([self, what] {
      if (self->target) what(*self->target);
    });
  });
}

void sim_link::tell_peer(std::function<void(peer&)> what) {
  last_to_peer = std::max(last_to_peer + 1, network.world_.now_ns() + latency());
  network.world_.at(last_to_peer, [self = shared_from_this(), what = std::move(what)] {
    if (self->initiator) what(*self->initiator);
  });
}

}  // namespace sluice::rdma
