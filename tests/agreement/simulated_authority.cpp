#include "tests/agreement/simulated_authority.hpp"

#include <algorithm>

#include "gateway/agreement/codec.hpp"

namespace sluice::agreement_sim {

namespace {
constexpr reactor::sim_options::range line_delay_ns{50 * ns_per_us, 20 * ns_per_ms};
constexpr std::uint64_t lost_event_in = 6;
}  // namespace

// -- lines ---------------------------------------------------------------------------------------------------------

void simulated_authority::cut(gateway_id gateway, bool cut) {
  line& l = lines_[gateway];
  l.cut = cut;
  ++l.life;
}

void simulated_authority::to_authority(gateway_id from, std::function<void()> what) {
  line& l = lines_[from];
  if (l.cut) return;
  l.there_ns = std::max(l.there_ns + 1, world_.now_ns() + world_.draw(line_delay_ns));
  world_.at(l.there_ns, [this, from, life = l.life, what = std::move(what)] {
    if (lines_[from].life == life) what();
  });
}

void simulated_authority::to_gateway(const std::weak_ptr<seat*>& who, gateway_id gateway,
                                     std::function<void(seat&)> what) {
  line& l = lines_[gateway];
  if (l.cut) return;
  l.back_ns = std::max(l.back_ns + 1, world_.now_ns() + world_.draw(line_delay_ns));
  world_.at(l.back_ns, [this, who, gateway, life = l.life, what = std::move(what)] {
    const auto there = who.lock();
    if (!there || lines_[gateway].life != life) return;
    (*there)->deliver_([who, what] {
      if (const auto still = who.lock()) what(**still);
    });
  });
}

std::unique_ptr<simulated_authority::seat> simulated_authority::connect(gateway_id gateway, deliver to_gateway,
                                                                        std::function<std::uint64_t()> connection,
                                                                        std::function<void()> lost) {
  ++lines_[gateway].life;
  return std::make_unique<seat>(*this, gateway, std::move(to_gateway), std::move(connection), std::move(lost));
}

void simulated_authority::restart() {
  for (auto& [gateway, l] : lines_) ++l.life;
  for (const auto& [number, each] : sessions_) {
    gone_[each.gateway] = each.incarnation;
    ended_.insert(each.connection);
  }
  // Nobody may be served until the leases of before are over: so nothing is answered until then.
  sessions_.clear();
  waiting_.clear();
  for (auto& [gateway, l] : lines_) l.there_ns = std::max(l.there_ns, world_.now_ns() + lease_ns);
  if (bug_ == plant::epoch_restarts) now_.epoch = 1;
}

// -- the authority's side --------------------------------------------------------------------------------------------

void simulated_authority::propose(gateway_id from, const state::proposal& what,
                                  std::function<void(const state::verdict&)> answer) {
  if (what.expected != now_.epoch && bug_ != plant::no_compare)
    return answer({state::verdict::kind::conflict, now_, {}});
  now_ = {now_.epoch + 1, what.content};
  committed_(now_, from);
  for (auto& [number, each] : sessions_) {
    if (each.gateway == from) continue;
    if (bug_ == plant::lost_event && world_.below(lost_event_in) == 0) {
      each.acknowledged = now_.epoch;
      continue;
    }
    to_gateway(each.who, each.gateway, [newer = now_, bug = bug_, session = number](seat& s) {
      if (s.session_ != session || !s.tells_) return;
      if (bug != plant::dropped_attention) return s.tells_->on_committed(newer);
      auto changed = *agreement::decode(newer.content, newer.epoch);
      for (agreement::event& e : changed.events) e.attentions.clear();
      s.tells_->on_committed({newer.epoch, agreement::encode(changed)});
    });
  }
  answer({state::verdict::kind::committed, {}, {}});
}

void simulated_authority::watch(const std::weak_ptr<seat*>& who, gateway_id gateway, std::uint64_t incarnation,
                                std::uint64_t epoch, std::uint64_t number, std::uint64_t sent_ns,
                                std::uint64_t connection) {
  std::erase_if(sessions_, [&](const auto& each) {
    if (each.second.gateway != gateway) return false;
    if (each.second.connection != connection) ended_.insert(each.second.connection);
    return true;
  });
  session& made = sessions_[number] = {who, gateway, incarnation, epoch, 0, lines_[gateway].life, connection};
  for (const auto& left : gone_)
    if (left.first != gateway)
      to_gateway(who, gateway, [number, other = left.first, stay = left.second](seat& s) {
        if (s.session_ == number && s.tells_) s.tells_->on_gone(other, stay);
      });
  if (now_.epoch > epoch)
    to_gateway(who, gateway, [newer = now_, number](seat& s) {
      if (s.session_ == number && s.tells_) s.tells_->on_committed(newer);
    });
  hear(number, made);
  to_gateway(who, gateway, [=](seat& s) {
    if (s.session_ == number) s.member_ = true;
    s.renewed(number, sent_ns);
  });
  look_at_waiting();
}

void simulated_authority::renew(const std::weak_ptr<seat*>& who, gateway_id gateway, std::uint64_t number,
                                std::uint64_t sent_ns) {
  const auto found = sessions_.find(number);
  // What was under way over a connection that broke is lost, so its member has to join anew.
  const bool member = found != sessions_.end() && found->second.line == lines_[gateway].life;
  if (member) hear(number, found->second);
  to_gateway(who, gateway, [=](seat& s) {
    if (s.session_ != number) return;
    member ? s.renewed(number, sent_ns) : s.lose();
  });
}

void simulated_authority::hear(std::uint64_t number, session& of) {
  of.heard_ns = world_.now_ns();
  world_.after(lease_ns, [this, number, heard = of.heard_ns] {
    const auto found = sessions_.find(number);
    if (found != sessions_.end() && found->second.heard_ns == heard) lapse(number);
  });
}

void simulated_authority::lapse(std::uint64_t number) {
  const session left = sessions_.at(number);
  sessions_.erase(number);
  gone_[left.gateway] = left.incarnation;
  ended_.insert(left.connection);
  for (const auto& [other, each] : sessions_)
    to_gateway(each.who, each.gateway,
               [gateway = left.gateway, incarnation = left.incarnation, number = other](seat& s) {
                 if (s.session_ == number && s.tells_) s.tells_->on_gone(gateway, incarnation);
               });
  look_at_waiting();
}

void simulated_authority::acknowledge(std::uint64_t number, std::uint64_t epoch) {
  const auto found = sessions_.find(number);
  if (found == sessions_.end()) return;
  found->second.acknowledged = std::max(found->second.acknowledged, epoch);
  look_at_waiting();
}

void simulated_authority::look_at_waiting() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const bool settled = std::all_of(sessions_.begin(), sessions_.end(), [&](const auto& each) {
      return each.first == it->session || each.second.acknowledged >= it->epoch;
    });
    if (!settled) {
      ++it;
      continue;
    }
    it->answer();
    it = waiting_.erase(it);
  }
}

// -- a gateway's side ------------------------------------------------------------------------------------------------

bool simulated_authority::seat::may_serve() const {
  if (all_.bug_ == plant::no_lease) return session_ != 0;
  return member_ && all_.world_.now_ns() < lease_until_ns_;
}

void simulated_authority::seat::read(std::function<void(result<state::record>)> done) {
  const std::uint64_t call = ++call_;
  all_.to_authority(gateway_, [all = &all_, who = std::weak_ptr(self_), gateway = gateway_, call, done] {
    all->to_gateway(who, gateway, [call, done, now = all->now_](seat& s) {
      if (s.call_ == call) done(now);
    });
  });
  // The line may be cut: asked again until it is not.
  all_.world_.after(answer_ns, [who = std::weak_ptr(self_), call, done] {
    const auto there = who.lock();
    if (!there) return;
    (*there)->deliver_([who, call, done] {
      const auto still = who.lock();
      if (still && (*still)->call_ == call) (*still)->read(done);
    });
  });
}

void simulated_authority::seat::propose(state::proposal what, std::function<void(const state::verdict&)> decided) {
  const std::uint64_t call = ++call_;
  const bool early = all_.bug_ == plant::early_effects && member_;
  const std::uint64_t epoch = what.expected + 1;
  all_.to_authority(gateway_,
                    [all = &all_, who = std::weak_ptr(self_), gateway = gateway_, call, what, decided, epoch, early] {
                      all->propose(gateway, what, [&](const state::verdict& how) {
                        all->to_gateway(who, gateway, [call, how, decided, epoch, early](seat& s) {
                          if (s.call_ != call || early) return;
                          ++s.call_;
                          if (how.what == state::verdict::kind::committed) s.committed_ = epoch;
                          decided(how);
                        });
                      });
                    });
  if (early) {
    ++call_;
    return decided({});
  }
  if (session_ != 0) return;  // the lease tells when no answer comes
  all_.world_.after(answer_ns, [who = std::weak_ptr(self_), call, decided] {
    const auto there = who.lock();
    if (!there) return;
    (*there)->deliver_([who, call, decided] {
      const auto still = who.lock();
      if (!still || (*still)->call_ != call) return;
      ++(*still)->call_;
      decided({state::verdict::kind::failed, {}, {errc::timeout, "no answer"}});
    });
  });
}

void simulated_authority::seat::watch(gateway_id gateway, std::uint64_t incarnation, state::watcher* tells) {
  tells_ = tells;
  session_ = all_.next_session_++;
  member_ = false;
  const std::uint64_t sent = all_.world_.now_ns();
  all_.to_authority(gateway_, [all = &all_, who = std::weak_ptr(self_), gateway, incarnation, epoch = committed_,
                               number = session_, sent, connection = connection_()] {
    all->watch(who, gateway, incarnation, epoch, number, sent, connection);
  });
  lease_until_ns_ = sent + lease_ns;  // for the answer
  look_at_lease(session_);
}

void simulated_authority::seat::renewed(std::uint64_t session, std::uint64_t sent_ns) {
  if (session_ != session) return;
  lease_until_ns_ = std::max(lease_until_ns_, sent_ns + lease_ns);
  renew_later(session);
}

void simulated_authority::seat::renew_later(std::uint64_t session) {
  all_.world_.after(renewal_ns, [who = std::weak_ptr(self_), session] {
    const auto there = who.lock();
    if (!there) return;
    (*there)->deliver_([who, session] {
      const auto still = who.lock();
      if (!still || (*still)->session_ != session) return;
      seat& s = **still;
      s.all_.to_authority(s.gateway_, [all = &s.all_, who, gateway = s.gateway_, session,
                                       sent = s.all_.world_.now_ns()] { all->renew(who, gateway, session, sent); });
    });
  });
}

/// Watches the clock; the process may be late in looking at it.
void simulated_authority::seat::look_at_lease(std::uint64_t session) {
  all_.world_.at(lease_until_ns_, [who = std::weak_ptr(self_), session] {
    const auto there = who.lock();
    if (!there) return;
    (*there)->deliver_([who, session] {
      const auto still = who.lock();
      if (!still || (*still)->session_ != session) return;
      seat& s = **still;
      if (s.all_.world_.now_ns() < s.lease_until_ns_) return s.look_at_lease(session);
      if (s.all_.bug_ != plant::no_lease) s.lose();
    });
  });
}

void simulated_authority::seat::lose() {
  session_ = 0;
  member_ = false;
  ++call_;
  lost_();
  if (tells_) tells_->on_lost();
}

void simulated_authority::seat::end() {
  lose();
}

void simulated_authority::seat::in_force(std::uint64_t epoch) {
  all_.to_authority(gateway_, [all = &all_, number = session_, epoch] { all->acknowledge(number, epoch); });
}

/// What lives that are over sent to the image and is not done by now never is.
void simulated_authority::seat::barrier(std::function<void()> done) {
  all_.to_authority(gateway_, [all = &all_, who = std::weak_ptr(self_), gateway = gateway_, number = session_, done] {
    if (all->image_) all->image_->shut_out(all->ended_);
    all->to_gateway(who, gateway, [number, done](seat& s) {
      if (s.session_ == number) done();
    });
  });
}

bool simulated_authority::seat::yields_to(const std::vector<gateway_id>& others) const {
  const auto is_drained = [this](gateway_id each) { return all_.drained_.contains(each); };
  return is_drained(gateway_) && !std::all_of(others.begin(), others.end(), is_drained);
}

void simulated_authority::seat::confirm(std::uint64_t epoch, std::function<void()> done) {
  if (all_.bug_ == plant::unconfirmed) return barrier(std::move(done));
  all_.to_authority(gateway_,
                    [all = &all_, who = std::weak_ptr(self_), gateway = gateway_, number = session_, epoch, done] {
                      const auto answer = [all, who, gateway, number, done] {
                        all->to_gateway(who, gateway, [number, done](seat& s) {
                          if (s.session_ == number) done();
                        });
                      };
                      all->waiting_.push_back({number, epoch, answer});
                      all->look_at_waiting();
                    });
}

}  // namespace sluice::agreement_sim
