#include "fabrics/iscsi/turn_queue.hpp"

#include <algorithm>

namespace sluice::iscsi {
namespace {

/// Turns of each purpose in a round, when all have somebody waiting.
constexpr std::array<unsigned, turn_queue::purposes> round_of_turns = {16, 8, 8, 4, 2};

constexpr std::size_t number(turn_queue::purpose of) {
  return static_cast<std::size_t>(of);
}

}  // namespace

turn_queue::work::work(turn_queue& by)
    : queue_(by), counts_(!std::exchange(by.at_work_, true)), began_ns_(by.loop_.now_ns()) {}

turn_queue::work::~work() {
  if (!counts_) return;
  queue_.at_work_ = false;
  queue_.budget_.spend(std::min(queue_.loop_.now_ns() - began_ns_, longest_ns));
}

turn_queue::turn_queue(reactor::loop& on) : loop_(on), left_of_round_(round_of_turns) {}

turn_queue::lane& turn_queue::lane_of(entry& who) {
  return (who.address_ ? *who.address_ : nowhere_).lanes[number(who.purpose_)];
}

void turn_queue::arrive(entry& who, const std::string& address) {
  arrivals_.push(who);
  who.address_ = &addresses_.try_emplace(address).first->second;
  if (who.address_->shares++ == 0) who.address_->name = address;
  ++who.address_->count;
}

void turn_queue::depart(entry& who) {
  remove_turn(who);
  forget(who);
  if (!who.address_) return;
  of_address& at = *std::exchange(who.address_, nullptr);
  if (--at.shares == 0) addresses_.erase(addresses_.find(at.name));
}

/// It is going. It refers to its address until it departs: it may be waiting there.
void turn_queue::forget(entry& who) {
  if (!arrivals_.has(who)) return;
  arrivals_.remove(who);
  --who.address_->count;
}

void turn_queue::set_purpose(entry& who, purpose of) {
  const bool waits = who.waiting();
  if (waits) remove_turn(who);
  who.purpose_ = of;
  if (waits) enter(who);
}

void turn_queue::enter(entry& who) {
  if (who.waiting()) return;
  lane& at = lane_of(who);
  at.waiting.push(who);
  lanes_[number(who.purpose_)].push(at);
  ++waiting_;
  // It does not wait for time that only others lack.
  if (earned_.armed() && who.purpose_ != purpose::other && !budget_.is_spent()) loop_.disarm(earned_);
  run_again();
}

void turn_queue::remove_turn(entry& who) {
  if (!who.waiting()) return;
  lane& at = lane_of(who);
  at.waiting.remove(who);
  if (at.waiting.empty()) lanes_[number(who.purpose_)].remove(at);
  if (--waiting_ > 0 || !earned_.armed()) return;
  loop_.disarm(earned_);
  itself_.reset();  // whoever calls has a share of it
}

/// Whether anybody waits for that, and may have a turn as far as the purpose goes.
bool turn_queue::may_go(std::size_t of) const {
  return !lanes_[of].empty() && (of != number(purpose::other) || !budget_of_others_.is_spent());
}

bool turn_queue::somebody_may_go() const {
  for (std::size_t i = 0; i < purposes; ++i)
    if (may_go(i)) return true;
  return false;
}

turn_queue::entry* turn_queue::next() {
  if (!somebody_may_go()) return nullptr;
  for (;;) {
    for (std::size_t i = 0; i < purposes; ++i) {
      if (!may_go(i) || left_of_round_[i] == 0) continue;
      --left_of_round_[i];
      lane& at = *lanes_[i].first();
      entry& chosen = *at.waiting.first();
      at.waiting.remove(chosen);
      lanes_[i].remove(at);
      if (!at.waiting.empty()) lanes_[i].push(at);  // behind the other addresses
      --waiting_;
      return &chosen;
    }
    left_of_round_ = round_of_turns;
  }
}

void turn_queue::make_room(entry& asking) {
  const unsigned least = std::max(asking.address_ ? asking.address_->count : 0u, 2u);
  entry* crowded = nullptr;
  entry* older = nullptr;
  bool came_before = true;
  for (entry* each = arrivals_.first(); each; each = arrivals_.after(*each)) {
    if (each == &asking) came_before = false;
    if (each == &asking || each->purpose_ == purpose::proving) continue;
    const std::uint64_t holds = each->holds();
    if (holds == 0) continue;
    if (each->address_->count >= least && (!crowded || holds > crowded->holds())) crowded = each;
    if (came_before && (!older || holds > older->holds())) older = each;
  }
  entry* goes = crowded ? crowded : older;
  if (!goes) return;
  forget(*goes);
  goes->make_way();
}

void turn_queue::run_again() {
  if (queued_ || earned_.armed()) return;
  itself_ = shared_from_this();
  loop_.defer(*this);
}

void turn_queue::on_earned() noexcept {
  loop_.defer(*this);
}

void turn_queue::run() noexcept {
  const std::shared_ptr<turn_queue> alive = std::move(itself_);
  std::uint64_t now_ns = loop_.now_ns();
  const std::uint64_t until_ns = now_ns + time_at_once_ns;
  budget_.earn_until(now_ns);
  budget_of_others_.earn_until(now_ns);
  at_work_ = true;
  for (unsigned i = 0; i < turns_at_once && now_ns < until_ns && !budget_.is_spent(); ++i) {
    entry* const chosen = next();
    if (!chosen) break;
    const bool for_other = chosen->purpose_ == purpose::other;  // it may end in its turn
    chosen->take_turn();
    const std::uint64_t began_ns = std::exchange(now_ns, loop_.now_ns());
    const std::uint64_t took_ns = std::min(now_ns - began_ns, longest_ns) + around_ns;
    budget_.spend(took_ns);
    if (for_other) budget_of_others_.spend(took_ns);
  }
  at_work_ = false;
  if (waiting_ == 0) return;
  if (!budget_.is_spent() && somebody_may_go()) return run_again();
  itself_ = alive;
  loop_.arm(earned_, ns_per_ms);
}

}  // namespace sluice::iscsi
