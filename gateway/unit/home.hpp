#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "gateway/state/state_store.hpp"
#include "gateway/unit/links.hpp"

namespace sluice::unit {

struct home_options {
  std::string name;  // the unit's, for the keys of its lasting state
  scsi::unit_facts facts;
  bool maps = false;  // of the store's properties
  std::vector<scsi::target_port_group> groups;
  /// Of the unit whose place this one takes while initiators use it; none: what was kept.
  std::optional<reservations::state> reservations = {};
};

/// Where the cores agree about one logical unit. One change at a time: it is made durable, then published to every
/// shard, and only when all have acknowledged it is whoever asked for it answered. Everything runs on the loop's
/// thread.
class home {
 public:
  using done = std::function<void(result<void>)>;

  /// `shards[i]` is the shard with index i; links, `loop` and `kept` outlive the home. Loads what `kept` holds
  /// (blocks).
  static result<std::unique_ptr<home>> make(const home_options& options, std::vector<shard_link*> shards,
                                            reactor::loop& loop, state::state_store& kept);

  /// The snapshot that new shards start from.
  const snapshot_ptr& snapshot() const { return snapshot_; }
  void on_message(to_home message);

  // -- the operator's changes; `finished` runs later on this loop, when they are in force everywhere -----------------
  void establish_unit_attention(scsi::additional_sense code, std::uint64_t except_nexus = 0, done finished = {});
  /// The medium has another size; initiators hear CAPACITY DATA HAS CHANGED.
  void set_capacity(std::uint64_t capacity_blocks, done finished = {});
  /// Other facts (read_only, thin, product …); the capacity, block size and names stay. INQUIRY DATA HAS CHANGED, and
  /// MODE PARAMETERS CHANGED for read_only.
  void set_facts(const scsi::unit_facts& facts, done finished = {});
  /// ASYMMETRIC ACCESS STATE CHANGED.
  void set_groups(std::vector<scsi::target_port_group> groups, done finished = {});
  void clear_reservations(done finished = {});

  /// The unit is about to give its place to another one of its name. `frozen` gets its state, on this loop, when
  /// nothing of it is changing; commands that would change it are answered BUSY from then on, until thaw().
  void freeze(std::function<void(const snapshot_ptr&)> frozen);
  void thaw() { frozen_ = false; }

  bool idle() const { return !busy_ && queue_.empty(); }

 private:
  /// One change on its way: what will be, what goes along, and what happens when it is in force.
  struct change {
    std::shared_ptr<unit_snapshot> next;
    std::vector<attention_order> attentions;
    std::vector<abort_order> aborts;
    struct lasting {
      std::string key;
      std::optional<std::string> value;  // nullopt: erase
    };
    std::optional<lasting> keep;  // what must be durable before anybody hears of it
    std::function<void(const result<void>&)> finish;
  };
  struct fence {
    fence_request request;
    std::size_t loud = 0;  // shards that have not said that they are quiet
    bool raised = false;
  };

  home(const home_options& options, std::vector<shard_link*> shards, reactor::loop& loop, state::state_store& kept);
  result<void> load();

  using operator_step = std::function<void()>;
  using step = std::variant<control_request, manage_request, operator_step>;
  void enqueue(step s);
  void next_step();
  void end_step();
  void commit(change c);
  void publish();
  void finish_change(const result<void>& outcome);
  void operator_change(std::function<void(change&)> make, done finished);
  std::shared_ptr<unit_snapshot> draft() const;

  // home_commands.cpp
  void run(const control_request& request);
  void answer(const control_request& request, const scsi::outcome& outcome);
  void commit_for(const control_request& request, change c);
  void persistent_reserve_out(const control_request& request);
  void reserve_or_release(const control_request& request, bool reserves);
  void mode_select(const control_request& request);
  void start_stop(const control_request& request);
  void prevent_allow(const control_request& request);
  void run(const manage_request& request);
  void run(const operator_step& what) { what(); }
  std::vector<control_request> take_aborted(const std::vector<abort_order>& orders);
  void lose(std::uint64_t nexus);

  void on(control_request& message);
  void on(control_cancel& message);
  void on(manage_request& message);
  void on(acknowledgement& message);
  void on(fence_request& message);
  void on(fence_quiet& message);
  void on(fence_release& message);
  void on(nexus_lost& message);
  void raise_fences();

  const home_options options_;
  const std::vector<shard_link*> shards_;
  reactor::loop& loop_;
  state::state_store& kept_;
  snapshot_ptr snapshot_;
  bool frozen_ = false;
  bool keeps_reservations_ = false;  // the state store has a reservation blob

  std::deque<step> queue_;
  bool busy_ = false;
  change current_;
  std::size_t unacknowledged_ = 0;

  std::deque<fence> fences_;                                                // in the order of their requests
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  // for callbacks of the state store
};

}  // namespace sluice::unit
