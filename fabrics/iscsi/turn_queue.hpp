#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>

#include "actors/reactor/loop.hpp"
#include "fabrics/iscsi/chain.hpp"
#include "fabrics/iscsi/time_budget.hpp"

namespace sluice::iscsi {

/// The strangers of one core: connections that nobody has vouched for yet (logins under way, discovery), and the
/// portals that bring new ones. They share a part of the core's time, whatever their number. Beyond it they wait:
/// nothing is read from their sockets, and connections stay in the backlog of the portal. Who has a turn next is
/// decided
///   - by what the turn is for: a login that proves itself by CHAP before one that begins, before a new connection,
///     before discovery and logins whose text does not end; each kind has some turns in a round, so that none starves,
///     and the last have no more than a part of the time;
///   - among those, by address, one after the other; of an address, who has waited for longest.
/// So a flood waits for itself, and a login in the midst of it for little. They share memory as well: when one finds
/// none, another makes way. On the loop's thread. Without a stranger that waits nothing of it runs.
class turn_queue final : public reactor::runnable, public std::enable_shared_from_this<turn_queue> {
 public:
  /// One part of the time of the core, and what may be saved: some hundred logins at once.
  static constexpr unsigned parts_of_time = 16;
  static constexpr std::uint64_t saved_ns = 100 * ns_per_ms;
  /// What of these turns for `other` purposes get: those never end where somebody means harm, and each answer brings
  /// the next request.
  static constexpr unsigned parts_for_others = 4;
  /// What the loop does around each turn of a stranger, which nobody measures: waiting for it, polling its socket.
  static constexpr std::uint64_t around_ns = 5 * ns_per_us;
  /// No turn takes longer by itself: beyond that another program had the processor, which is not the strangers' doing.
  static constexpr std::uint64_t longest_ns = ns_per_ms;
  /// In one turn of the loop, so that sessions wait for no more than that.
  static constexpr unsigned turns_at_once = 4;
  static constexpr std::uint64_t time_at_once_ns = 200 * ns_per_us;

  /// What a turn is for.
  enum class purpose : std::uint8_t {
    proving,    // a login whose initiator has been asked for its secret, or has proved that it knows it
    admitted,   // a login that access control admits by its name
    beginning,  // the first PDU
    accepting,  // a portal's
    other,      // discovery, and logins that have not said all of their first text
  };
  static constexpr std::size_t purposes = 5;

  struct of_address;

  class entry {
   public:
    /// Deals with one PDU; may enter again.
    virtual void take_turn() noexcept = 0;
    /// The connection ends, for another one's sake.
    virtual void make_way() noexcept = 0;
    /// Octets of memory that it would give up.
    virtual std::uint64_t holds() const noexcept = 0;
    virtual ~entry() = default;
    bool waiting() const { return turn_.linked; }
    purpose what_for() const { return purpose_; }

   private:
    friend class turn_queue;
    purpose purpose_ = purpose::beginning;
    chain_link<entry> turn_, arrival_;
    of_address* address_ = nullptr;  // of an entry that has arrived
  };

  /// Work for strangers outside of their turns, paid for when it ends. Within a turn it is paid for already.
  class work {
   public:
    explicit work(turn_queue& by);
    ~work();
    work(const work&) = delete;
    work& operator=(const work&) = delete;

   private:
    turn_queue& queue_;
    const bool counts_;
    const std::uint64_t began_ns_;
  };

  explicit turn_queue(reactor::loop& on);

  void arrive(entry& who, const std::string& address);
  /// The connection has a session, or has ended. A no-op for who has not arrived.
  void depart(entry& who);
  void set_purpose(entry& who, purpose of);
  /// Waits for a turn; a no-op when it waits already.
  void enter(entry& who);
  /// For memory: the one that holds the most makes way (the first that came, of several) among those whose address has
  /// no fewer connections than that of `asking`, and not only one; if there is none, among those that came before
  /// `asking`. Logins that prove themselves stay.
  void make_room(entry& asking);

 private:
  using turns = chain<entry, &entry::turn_>;

  /// Of one address, those that wait for a turn for one purpose.
  struct lane {
    turns waiting;
    chain_link<lane> place;
  };

 public:
  struct of_address {
    std::string name;
    unsigned count = 0;   // of strangers there that nobody has told to go
    unsigned shares = 0;  // entries that refer to this
    std::array<lane, purposes> lanes;
  };

 private:
  lane& lane_of(entry& who);
  void remove_turn(entry& who);
  void forget(entry& who);
  entry* next();
  bool may_go(std::size_t purpose) const;
  bool somebody_may_go() const;
  void run() noexcept override;
  void on_earned() noexcept;
  void run_again();

  reactor::loop& loop_;
  time_budget budget_{parts_of_time, saved_ns};
  time_budget budget_of_others_{parts_of_time * parts_for_others, saved_ns / parts_for_others};  // part of the above
  std::array<chain<lane, &lane::place>, purposes> lanes_;  // those that are not empty, by purpose
  std::array<unsigned, purposes> left_of_round_;
  chain<entry, &entry::arrival_> arrivals_;
  std::map<std::string, of_address> addresses_;
  of_address nowhere_;  // of entries that have not arrived
  std::size_t waiting_ = 0;
  bool at_work_ = false;
  reactor::member_timer<turn_queue, &turn_queue::on_earned> earned_{*this};
  std::shared_ptr<turn_queue> itself_;  // while the loop has it queued: the last connection may end meanwhile
};

}  // namespace sluice::iscsi
