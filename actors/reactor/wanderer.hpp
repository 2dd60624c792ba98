#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

/// What several loops use and one of them runs: it sits on a loop with users, and moves to another when the last user
/// there goes. Held by a shared_ptr; its users are gone before it is.
class wanderer : public std::enable_shared_from_this<wanderer> {
 public:
  wanderer() = default;
  wanderer(const wanderer&) = delete;
  wanderer& operator=(const wanderer&) = delete;

  // -- users, on their loop ------------------------------------------------------------------------------------------
  void attach(loop& on);
  void detach(loop& on);
  /// Whether detach() would not make it move.
  bool stays_without(const loop& on) const noexcept;

  // -- any thread ----------------------------------------------------------------------------------------------------
  bool has_users() const noexcept;
  /// The loop that it sits on; null: none, or it is on its way. Whoever leaves something for it first and looks then,
  /// and finds it elsewhere, has to poke; whoever finds it on the way need not: it looks around where it arrives.
  loop* here() const noexcept { return here_.load(std::memory_order_seq_cst); }
  /// Has wake() called soon, on whatever loop it sits on by then.
  void poke() noexcept;

 protected:
  /// `users` of it are gone.
  virtual ~wanderer();

 private:
  /// It sits on `on` from now on, and looks at all that was left for it. On that loop.
  virtual void sit_down(loop& on) = 0;
  /// It leaves `on`: nothing of it is under way there. On that loop.
  virtual void get_up(loop& on) = 0;
  /// Something was left for it. On the loop that it sits on.
  virtual void wake() noexcept = 0;

  void arrive(loop& on);
  void move_on();

  struct member {
    loop* on;
    unsigned users;
  };
  std::atomic<loop*> here_ = nullptr;
  mutable std::mutex guard_;  // of members_, and of who sits where
  std::vector<member> members_;
};

}  // namespace sluice::reactor
