#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "actors/reactor/descriptor_watch.hpp"
#include "fabrics/vhost/dirty_log.hpp"
#include "fabrics/vhost/inflight.hpp"
#include "fabrics/vhost/owned_handle.hpp"
#include "fabrics/vhost/split_ring.hpp"

namespace sluice::vhost {

/// All that a ring needs to run, as the front end's messages have said so far.
struct ring_setup {
  std::shared_ptr<const guest_memory> memory;
  split_ring::places places;
  bool has_places = false;
  std::uint16_t base = 0;  // the first available entry that was not taken yet
  bool enabled = false;
  bool event_index = false, indirect = false;
  shared_handle kick, call, failure;
  std::shared_ptr<const mapping> inflight;  // of all rings; null: nobody keeps one
  std::uint64_t inflight_offset = 0;        // where this ring's part begins
  std::uint64_t inflight_bytes = 0;         // of its part
  std::shared_ptr<const dirty_log> log;     // null: nothing is logged
  bool logs_used = false;                   // writes to the used ring, too
  std::uint64_t log_address = 0;

  bool complete() const { return memory && kick && has_places && places.size != 0; }
};

/// A virtqueue at work on one core: takes what the guest makes available, gives it back, and tells the guest. All calls
/// on that core's loop.
class queue final : reactor::descriptor_watch {
 public:
  /// Who serves what comes.
  class user {
   public:
    /// Whether there is room for another chain; without, the ring waits for room().
    virtual bool has_room() const noexcept = 0;
    /// The chain is the user's until give_back(); its vectors may be swapped away.
    virtual void take(queue& from, chain& what) noexcept = 0;
    /// A passive one has room that it had not when take_one() was asked last.
    virtual void on_room(queue& in) noexcept = 0;

   protected:
    ~user() = default;
  };

  /// A passive one takes nothing by itself: its user asks by take_one().
  queue(reactor::loop& on, user& by, unsigned index, bool passive);
  ~queue();

  unsigned index() const { return index_; }
  /// Begins with a setup that is complete, or goes on with another one. False: the ring cannot lie where it is said to.
  bool set(const ring_setup& wanted);
  /// Takes nothing more; `stopped` gets the next available entry when all that was taken has been given back.
  void stop(std::function<void(std::uint16_t next)> stopped);
  /// Takes nothing more, and what was taken is not given back: the front end is gone. `halted` runs when nothing of it
  /// is watched any more.
  void halt(std::function<void()> halted);

  /// Of a passive one: false when the guest has made nothing available.
  bool take_one(chain& into);
  void give_back(std::uint16_t head, std::uint32_t written);
  /// Its user has room again.
  void room();
  /// A chain that was taken is left to whoever comes next, by the record of requests in flight.
  void keep();
  /// Octets of the guest's memory were written: for the dirty log.
  void wrote(const iovec& part);
  const std::shared_ptr<const guest_memory>& memory() const { return now_.memory; }
  bool running() const { return ring_.bound() && !broken_; }

 private:
  void on_ready(unsigned events) noexcept override;
  void on_stopped(std::int64_t problem) noexcept override;
  void start();
  void watch();
  void run() noexcept;
  bool take_next();
  void poll() noexcept;
  void notify() noexcept;
  void fail(const char* why);
  void check_stopped();

  reactor::loop& loop_;
  user& user_;
  const unsigned index_;
  const bool passive_;
  ring_setup now_;
  split_ring ring_;
  inflight_record record_;
  std::deque<std::uint16_t> again_;  // heads that a predecessor left
  chain chain_;
  std::size_t taken_ = 0;  // and not given back
  bool broken_ = false, stopping_ = false;
  bool starved_ = false;          // there was no room
  bool owes_signal_ = false;      // whether or not the guest asked for one
  unsigned idle_wakes_ = 0;       // of a kick's descriptor, with no kick
  std::uint64_t busy_until_ = 0;  // polls until then
  unsigned failed_polls_ = 0, polls_to_skip_ = 0;
  shared_handle watched_;
  std::function<void(std::uint16_t)> stopped_;
  std::function<void()> halted_;
  reactor::member_runnable<queue, &queue::poll> poll_{*this};
  reactor::member_runnable<queue, &queue::notify> notify_{*this};
};

}  // namespace sluice::vhost
