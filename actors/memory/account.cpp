#include "actors/memory/account.hpp"

#include <algorithm>

#include "actors/base/check.hpp"

namespace sluice::memory {

account& ledger::strangers() {
  if (strangers_limit_ == 0) {
    strangers_limit_ = std::min(limit_, std::clamp(limit_ / 16, std::uint64_t{mib}, std::uint64_t{64 * mib}));
    strangers_.floor_ = strangers_limit_;
    divide();
  }
  return strangers_;
}

std::uint64_t ledger::floor_for(std::size_t shares) const {
  return std::min((limit_ - strangers_limit_) / 2 / std::max<std::size_t>(shares, 1), largest_floor);
}

account* ledger::open_share() {
  if (floor_for(open_ + 1) < min_floor) return nullptr;
  all_.push_back(std::unique_ptr<account>(new account(account::kind::share)));
  ++open_;
  divide();
  return all_.back().get();
}

void ledger::close_share(account& share) {
  SLUICE_CHECK(!share.closed_);
  share.closed_ = true;
  --open_;
  divide();
}

/// Floors follow the number of shares. What was granted as a floor may be beyond it afterwards.
void ledger::divide() {
  std::erase_if(all_, [](const auto& a) { return a->closed_ && a->used_ == 0; });
  const std::uint64_t floor = floor_for(open_);
  shared_ = limit_ - strangers_limit_ - open_ * floor;
  beyond_ = own_.used_;
  for (const auto& a : all_) {
    a->floor_ = a->closed_ ? 0 : floor;
    beyond_ += a->used_ - std::min(a->used_, a->floor_);
  }
}

bool ledger::admit_beyond(account& a, std::uint64_t octets, claim as) {
  if (a.kind_ == account::kind::strangers) return false;
  const std::uint64_t grows = a.used_ + octets - std::max(a.used_, a.floor_);
  std::uint64_t room = free_beyond();
  if (a.kind_ == account::kind::share && as != claim::pressing) {
    const std::uint64_t kept = (limit_ - strangers_limit_) / 8;
    room -= std::min(room, kept);
    const std::uint64_t has = a.used_ + octets - a.floor_;
    const std::uint64_t wanted_left = as == claim::spare ? (shared_ - std::min(shared_, kept)) / 2 : 0;
    const std::uint64_t left = room - std::min(room, grows);
    if (grows > room || has > 2 * left || left < wanted_left) return false;
  }
  if (grows > room) return false;
  beyond_ += grows;
  return true;
}

void ledger::wait(waiter& w) {
  if (w.waiting_) return;
  w.waiting_ = true;
  w.previous_ = last_;
  w.next_ = nullptr;
  (last_ ? last_->next_ : first_) = &w;
  last_ = &w;
}

void ledger::forget(waiter& w) {
  if (!w.waiting_) return;
  w.waiting_ = false;
  (w.previous_ ? w.previous_->next_ : first_) = w.next_;
  (w.next_ ? w.next_->previous_ : last_) = w.previous_;
}

void ledger::wake() {
  waiter& next = *first_;
  forget(next);
  next.on_memory();
}

}  // namespace sluice::memory
