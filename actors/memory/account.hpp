#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "actors/base/bytes.hpp"

namespace sluice::memory {

class ledger;

/// What one party holds of a core's memory: a plain counter, changed through the core's ledger.
class account {
 public:
  std::uint64_t used() const { return used_; }
  /// What the ledger grants it whatever the others hold.
  std::uint64_t floor() const { return floor_; }

  account(const account&) = delete;
  account& operator=(const account&) = delete;

 private:
  friend class ledger;
  enum class kind : std::uint8_t { own, strangers, share };
  explicit account(kind of) : kind_(of) {}
  std::uint64_t used_ = 0, floor_ = 0;
  kind kind_;
  bool closed_ = false;
};

/// Somebody who was refused and waits for memory to come free, of whomever. Waiters are woken one for each piece of
/// memory that is given back, first come first served; who still has not enough waits again, behind the others: so
/// sessions take turns.
class waiter {
 public:
  /// Within the call that gave memory back: notes it for later, and neither takes memory nor gives it back.
  virtual void on_memory() noexcept = 0;
  virtual ~waiter() = default;
  bool waiting() const { return waiting_; }

 private:
  friend class ledger;
  waiter* previous_ = nullptr;
  waiter* next_ = nullptr;
  bool waiting_ = false;
};

/// How the memory of one core is divided: plain numbers, on that core only. With `limit` L:
///
///   - *Strangers* (whoever has not authenticated, and discovery) have one account of S = L/16, from 1 to 64 MiB, from
///     the first of them on. They never get more, and nobody else gets any of it.
///   - Each session has a *share*, with a floor F that is always granted: the largest transfer window twice, and a
///     receive slab, but no more than its part of half the rest, (L - S) / 2 / sessions. When F would sink below 16 KiB
///     there is no room for another session.
///   - What is beyond the floors, L - S - sessions * F, is for all shares and for the gateway's own use (caches,
///     journals). A share gets no more of it than twice what it leaves free: with k that want all they can get each has
///     2/(2k+1) of it, and half as much is left for whoever comes next. An eighth of L - S is the gateway's own only,
///     so that floors of sessions that come find memory while others give up what was granted to them as long as they
///     were fewer.
///
/// What is on the heap on behalf of a party (text that has not ended, say) is paid for too, by charge.
class ledger {
 public:
  enum class claim : std::uint8_t {
    ordinary,
    spare,    // only while half of what is beyond the floors is free, of strangers half of theirs: for speed alone
    pressing  // as much as there is: the alternative is the end of the session
  };

  static constexpr std::uint64_t largest_floor = 2 * mib + 256 * kib, min_floor = 16 * kib;

  explicit ledger(std::uint64_t limit) : limit_(limit) {}
  ledger(const ledger&) = delete;
  ledger& operator=(const ledger&) = delete;

  account& own() { return own_; }
  account& strangers();

  /// Opens a share; null when there is no room for another.
  account* open_share();
  /// Its holder is gone. What it still has of memory counts as beyond the floors until it comes back.
  void close_share(account& share);

  bool admit(account& a, std::uint64_t octets, claim as = claim::ordinary) {
    if (as == claim::spare && &a == &strangers_ && a.used_ + octets > strangers_limit_ / 2) return false;
    if (a.used_ + octets > a.floor_ && !admit_beyond(a, octets, as)) return false;
    a.used_ += octets;
    return true;
  }
  /// What was admitted comes back.
  void give(account& a, std::uint64_t octets) {
    take_back(a, octets);
    if (first_) wake();
  }
  /// What was admitted could not be had after all.
  void take_back(account& a, std::uint64_t octets) {
    if (a.used_ > a.floor_) beyond_ -= std::min(octets, a.used_ - a.floor_);
    a.used_ -= octets;
  }

  void wait(waiter& w);
  void forget(waiter& w);

  std::uint64_t limit() const { return limit_; }
  std::uint64_t strangers_limit() const { return strangers_limit_; }
  std::size_t shares() const { return open_; }
  /// Octets beyond the floors that nobody holds.
  std::uint64_t free_beyond() const { return shared_ > beyond_ ? shared_ - beyond_ : 0; }

 private:
  bool admit_beyond(account& a, std::uint64_t octets, claim as);
  std::uint64_t floor_for(std::size_t shares) const;
  void divide();
  void wake();

  const std::uint64_t limit_;
  std::uint64_t strangers_limit_ = 0;
  std::uint64_t shared_ = limit_;  // beyond the strangers' and the floors
  std::uint64_t beyond_ = 0;       // taken of it
  account own_{account::kind::own};
  account strangers_{account::kind::strangers};
  std::vector<std::unique_ptr<account>> all_;  // shares, and those closed whose memory is still out
  std::size_t open_ = 0;
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};

/// A session's share; gives itself up.
class share {
 public:
  share() = default;
  /// Empty when there is no room.
  static share open(ledger& of) { return share(of, of.open_share()); }
  share(share&& other) noexcept : of_(other.of_), account_(std::exchange(other.account_, nullptr)) {}
  share& operator=(share other) noexcept {
    std::swap(of_, other.of_);
    std::swap(account_, other.account_);
    return *this;
  }
  ~share() {
    if (account_) of_->close_share(*account_);
  }
  explicit operator bool() const { return account_ != nullptr; }
  account& operator*() const { return *account_; }

 private:
  share(ledger& of, account* a) : of_(&of), account_(a) {}
  ledger* of_ = nullptr;
  account* account_ = nullptr;
};

/// Octets of heap that an account pays for. Without an account it is free.
class charge {
 public:
  charge() = default;
  charge(ledger& of, account& payer) : of_(&of), payer_(&payer) {}
  charge(charge&& other) noexcept : of_(other.of_), payer_(other.payer_), bytes_(std::exchange(other.bytes_, 0)) {}
  charge& operator=(charge&& other) noexcept {
    if (bytes_ != 0) set(0);
    of_ = other.of_;
    payer_ = other.payer_;
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ~charge() {
    if (bytes_ != 0) set(0);
  }
  std::uint64_t octets() const { return bytes_; }
  /// The payment goes on as that of a block (pool::take_paid).
  std::uint64_t spend() { return std::exchange(bytes_, 0); }
  /// False, and nothing has changed, when the account has not so much.
  bool set(std::uint64_t octets, ledger::claim as = ledger::claim::ordinary) {
    if (!payer_) return true;
    if (octets > bytes_ && !of_->admit(*payer_, octets - bytes_, as)) return false;
    if (octets < bytes_) of_->give(*payer_, bytes_ - octets);
    bytes_ = octets;
    return true;
  }

 private:
  ledger* of_ = nullptr;
  account* payer_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace sluice::memory
