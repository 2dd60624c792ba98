#pragma once
#include <map>
#include <memory>
#include <string>

#include "actors/reactor/loop.hpp"

namespace sluice::iscsi {

/// The strangers of one core: connections that nobody has vouched for yet (logins under way, discovery). They share
/// the core's time: so many of their PDUs a turn of the loop, one connection after the other, whatever their number.
/// So a flood of logins or of SendTargets costs sessions a bounded time a turn, and a login in the midst of it waits
/// for one PDU of each other connection. And they share memory: when one finds none, one makes way that comes from an
/// address with several of them, the first that came: a login that is alive is young, and alone. On the loop's thread.
class turn_queue final : public reactor::runnable, public std::enable_shared_from_this<turn_queue> {
 public:
  static constexpr unsigned turns_at_once = 4;
  /// After that long no other begins: to list a thousand targets takes longer than anything else that they may ask.
  static constexpr std::uint64_t time_at_once_ns = 200 * ns_per_us;

  class entry {
   public:
    /// Deals with one PDU; may enter again.
    virtual void take_turn() noexcept = 0;
    /// The connection ends, for another one's sake.
    virtual void make_way() noexcept = 0;
    virtual ~entry() = default;
    bool waiting() const { return turn_.linked; }

   private:
    friend class turn_queue;
    struct link {
      entry* previous = nullptr;
      entry* next = nullptr;
      bool linked = false;
    };
    link turn_, arrival_;
    std::map<std::string, unsigned>::iterator address_;  // of an entry that has arrived: how many come from there
  };

  explicit turn_queue(reactor::loop& on) : loop_(on) {}

  void arrive(entry& who, const std::string& address);
  /// The connection has a session, or has ended. A no-op for who has not arrived.
  void depart(entry& who);
  /// Waits for a turn behind the others; a no-op when it waits already.
  void enter(entry& who);
  /// For memory: the first of those makes way whose address has no fewer connections than that of `asking`, and not
  /// only one; if there is none, the first of all, unless it is `asking` itself.
  void make_room(entry& asking);

 private:
  template <entry::link entry::*Link>
  struct list {
    void push(entry& who);
    void remove(entry& who);
    entry* first = nullptr;
    entry* last = nullptr;
  };

  void forget(entry& who);
  void run() noexcept override;
  void run_again();

  reactor::loop& loop_;
  list<&entry::turn_> turns_;
  list<&entry::arrival_> arrivals_;
  std::map<std::string, unsigned> addresses_;
  std::shared_ptr<turn_queue> itself_;  // while the loop has it queued: the last connection may end meanwhile
};

}  // namespace sluice::iscsi
