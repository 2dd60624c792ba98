#pragma once
#include <memory>

#include "actors/reactor/loop.hpp"

namespace sluice::iscsi {

/// Connections that nobody has vouched for yet (logins under way, discovery) share one core's time: so many of their
/// PDUs a turn of the loop, one connection after the other, whatever their number. So a flood of logins or of
/// SendTargets costs sessions a bounded time a turn, and a login in the midst of it waits for one PDU of each other
/// connection. On the loop's thread.
class turn_queue final : public reactor::runnable, public std::enable_shared_from_this<turn_queue> {
 public:
  static constexpr unsigned turns_at_once = 4;

  class entry {
   public:
    /// Deals with one PDU; may enter again.
    virtual void take_turn() noexcept = 0;
    virtual ~entry() = default;
    bool waiting() const { return waiting_; }

   private:
    friend class turn_queue;
    entry* previous_ = nullptr;
    entry* next_ = nullptr;
    bool waiting_ = false;
  };

  explicit turn_queue(reactor::loop& on) : loop_(on) {}

  /// Behind the others; a no-op when it waits already.
  void enter(entry& who);
  void leave(entry& who);

 private:
  void run() noexcept override;
  void run_again();

  reactor::loop& loop_;
  entry* first_ = nullptr;
  entry* last_ = nullptr;
  std::shared_ptr<turn_queue> itself_;  // while the loop has it queued: the last connection may end meanwhile
};

}  // namespace sluice::iscsi
