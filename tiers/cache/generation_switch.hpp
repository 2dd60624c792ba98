#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "tiers/cache/cache_core.hpp"
#include "tiers/cache/counters.hpp"
#include "tiers/cache/trace/trace_recorder.hpp"

namespace sluice::cache {

class cache_channel;

/// All channels of a cache store: which tiers they use, what they counted, and how they go over to other tiers while
/// requests are under way everywhere.
///
/// A write is marked in one core's sets only, so two cores know nothing of each other's writes. Hence the steps:
///
///  1. The old core keeps nothing from now on, and nothing is read from its RAM. Every loop hears of it, and forgets
///     what it was about to write to flash: after that, no fill version of the old core counts any more.
///  2. Every channel, on its loop, begins new requests with the new core, which does not keep anything yet either.
///  3. When all requests that began with the old core are over, every write to come is marked in the new one: it keeps
///     what requests bring that begin from now on. Those that began before may bring what the old core's writes
///     replaced.
///
/// Meanwhile all reads go below. A flash that stays belongs to both cores, whose writes remove blocks from its index.
/// When the new core lies over another journal, neither of the two holds anything back before the last step: writes
/// know nothing of each other either, and what is under way may still change the flash that the journals share.
class generation_switch : public std::enable_shared_from_this<generation_switch> {
 public:
  /// `is_alone` is called on a loop with a channel soon after the last step has been done.
  explicit generation_switch(std::shared_ptr<cache_core> first, std::function<void()> is_alone = {})
      : current_(std::move(first)), tell_alone_(std::move(is_alone)) {}

  // -- a channel, on its loop -----------------------------------------------------------------------------------
  /// The core to begin with.
  std::shared_ptr<cache_core> join(cache_channel& channel, reactor::loop& loop, const counters& counted);
  /// With all cores that it began something with, the current one or not.
  void leave(const cache_channel& channel, const counters& counted,
             const std::vector<std::shared_ptr<cache_core>>& used);
  /// A channel has nothing under way any more with a core that is not the current one.
  void let_go(const std::shared_ptr<cache_core>& of);

  // -- control paths --------------------------------------------------------------------------------------------
  std::shared_ptr<cache_core> core() const;
  /// Likewise, or the one that is about to take its place.
  std::shared_ptr<cache_core> newest() const;
  /// Calls `what` for the current core, and for the one that is about to take its place.
  void for_cores(const std::function<void(cache_core&)>& what) const;
  /// Whether channels are about to go over.
  bool is_exchanging() const;
  /// Whether nothing is under way but over what the newest core lies over.
  bool is_over_one() const;
  /// Not while is_exchanging(). Returns at once.
  void exchange(std::shared_ptr<cache_core> next);
  /// The pins of the core are others.
  void pins_changed();
  /// As the store's; whoever hands over makes void what cores keep.
  void take_over();
  void hand_over();
  /// Whether the medium is this gateway's, as the store's tenure says: nothing is kept while it is not. Any thread.
  void set_tenure(bool holds);
  /// Adds up what all channels counted, those that are gone included.
  void sum(counters& into) const;

  std::atomic<std::uint64_t> read_ahead_bytes = 0;  // in buffers of all channels
  trace_recorder recorder;

 private:
  struct member {
    cache_channel* channel;
    reactor::loop* loop;
    const counters* counted;
  };
  struct departing {
    std::shared_ptr<cache_core> core;
    std::size_t users;  // channels with something under way
  };
  void release(const std::shared_ptr<cache_core>& of);
  void on_every_loop(void (generation_switch::*what)(reactor::loop&));
  void forget_on(reactor::loop& here);
  void go_over_on(reactor::loop& here);
  std::vector<cache_channel*> channels_on(const reactor::loop& here) const;
  std::vector<reactor::loop*> loops() const;
  void one_loop_is_through();
  void keep_when_alone();

  mutable std::mutex guard_;
  std::shared_ptr<cache_core> current_;
  const std::function<void()> tell_alone_;
  std::shared_ptr<cache_core> next_;  // in step 1
  std::size_t loops_left_ = 0;        // of step 1 or 2
  std::vector<departing> departing_;
  bool taken_over_ = true;
  bool has_tenure_ = true;
  std::vector<member> members_;
  counters gone_;
};

}  // namespace sluice::cache
