#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/base/global_id.hpp"
#include "actors/base/result.hpp"
#include "actors/reactor/loop.hpp"
#include "gateway/state/lease.hpp"

/// Where the gateways that serve one unit agree on a value: one record for each name, changed by compare-and-set.
///
/// What every implementation promises, and a coordinator (unit::coordinator) relies on:
///  1. *Epochs.* Each commit has the epoch after the one it was decided on. No epoch of a name is ever used twice, not
///     even across restarts and losses of power, and none is smaller than one that was seen.
///  2. *Compare-and-set.* A proposal is committed only on the record that it expects. All else is a conflict, and
///     changes nothing.
///  3. *Durability.* A proposal that lasts is durable before `committed` is answered. Another may be forgotten with the
///     last gateway that knew it; its epoch still counts as used.
///  4. *Watching.* A member hears of every commit that is not its own, in order, though not of each by itself: a record
///     stands for all before it. A member that cannot be told in time is told that it is lost.
///  5. *Confirmation.* confirm(e) calls back when each member that may still answer initiators has said in_force(e) or
///     more, or was lost and may answer nobody any more. What is acknowledged to an initiator after that is obeyed
///     everywhere.
namespace sluice::state {

/// What is agreed under one name.
struct record {
  std::uint64_t epoch = 0;
  std::string content;  // empty: nothing was committed yet, or only what did not last
  /// Not empty: a sentence that says why what is stored cannot be relied on; `content` is what could be read of it.
  std::string damage = {};
};

/// Who becomes a member by a proposal: a gateway, and the number of its stay.
struct stay_at {
  gateway_id gateway = 0;
  std::uint64_t incarnation = 0;
};

struct proposal {
  std::uint64_t expected = 0;  // the epoch that it was decided on; it becomes the next one
  std::string content;         // not empty
  bool lasts = false;          // survives the loss of power of all gateways
  /// Keys of the state store that the record stands for from now on: they go in the same write.
  std::vector<std::string> replaces = {};
  /// Set by one that makes this gateway a member: from its commit on, confirm() of others waits for this seat.
  std::optional<stay_at> joins = {};
};

struct verdict {
  enum class kind : std::uint8_t {
    committed,
    conflict,  // `current` is what is agreed instead
    failed,    // could not be made durable, and did not happen
  };
  kind what = kind::committed;
  record current = {};
  error why = {};
};

class watcher {
 public:
  /// Somebody else has committed. Answer with in_force().
  virtual void on_committed(const record& newer) = 0;
  /// This gateway is no member any more, and whether what it proposed last was committed is not known: no verdict and
  /// no confirmation of earlier calls comes any more. Nothing may be answered from what it knew; it may join anew.
  virtual void on_lost() = 0;
  /// Another member ended without a word, or was lost: what it held for its nexuses is to be dropped.
  virtual void on_gone(gateway_id gateway, std::uint64_t incarnation) = 0;

 protected:
  ~watcher() = default;
};

/// One gateway's place at one name. Used on the loop that it was opened for; everything is called back there, and
/// nothing any more once the seat is gone.
class seat {
 public:
  virtual ~seat() = default;
  /// The record now; after a loss it comes when the authority can be reached again.
  virtual void read(std::function<void(result<record>)> done) = 0;
  /// One at a time. `decided` may run before this returns.
  virtual void propose(proposal what, std::function<void(const verdict&)> decided) = 0;
  /// This gateway is a member from now on, under this number (agreement::join has been committed).
  virtual void watch(gateway_id gateway, std::uint64_t incarnation, watcher* tells) = 0;
  /// All cores here obey `epoch`, and no task that it aborts is left.
  virtual void in_force(std::uint64_t epoch) = 0;
  /// See 5 above. `done` may run before this returns.
  virtual void confirm(std::uint64_t epoch, std::function<void()> done) = 0;
  /// `done` runs, not before this returns, when what gateways that are gone by now had sent to the medium has been done
  /// or never will be, as this gateway's own requests see it from then on.
  virtual void barrier(std::function<void()> done) = 0;
  /// Whether this gateway is drained, and one of `others` is there and is not: that one should own things.
  virtual bool yields_to(const std::vector<gateway_id>& others) const { return static_cast<void>(others), false; }
};

class authority {
 public:
  virtual ~authority() = default;
  /// Blocks while it reads. `on` outlives the seat. Control thread.
  virtual result<std::unique_ptr<seat>> open(const std::string& name, reactor::loop& on) = 0;
  /// This gateway's number among those that agree; 0: it is alone.
  virtual gateway_id id() const { return 0; }
  /// Until when it may answer initiators by what is agreed. It outlives the units.
  virtual const lease& term() const { return lease::of_one_alone(); }
};

}  // namespace sluice::state
