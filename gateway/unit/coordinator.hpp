#pragma once
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "gateway/agreement/joining.hpp"
#include "gateway/state/authority.hpp"
#include "gateway/unit/links.hpp"
#include "gateway/unit/tenure.hpp"

namespace sluice::unit {

struct coordinator_options {
  std::string name = {};  // of the unit, for the log
  gateway_id gateway = 0;
  scsi::unit_facts facts;  // of this gateway; serial and NAA come from what is agreed
  bool maps = false;       // of the store's properties
  std::vector<scsi::target_port_group> groups;
  std::string serial;                  // the unit's identity when none was made yet
  std::string configured_serial = {};  // told in place of it; empty: it is told
  std::uint64_t configured_naa = 0;    // likewise; 0: the one that follows from it
  bool replaces = false;               // takes the place of a coordinator of this gateway while initiators use it
  /// The one whose place it takes has tasks: see coordinator::predecessor_left().
  bool awaits_predecessor = false;
  std::optional<agreement::former> before = {};  // what a former format says
  bool shares = false;                           // with other gateways: see agreement::ownership
  bool relays = false;                           // with shares: commands to whoever owns the unit
  bool awaits_links = false;                     // nothing is sent to shards before links_are_up()
  unit::tenure* tenure = nullptr;                // with shares; null: the medium is always ready. Outlives it
};

/// Where the cores of a gateway agree about one logical unit, among themselves and with other gateways. It decides
/// (agreement/decide.hpp), proposes that to the authority (state/authority.hpp), and when it is committed publishes it
/// to every shard. One change at a time; everything runs on the loop's thread. What it keeps to:
///  - *Nothing before the commit*: no shard sees a decision, and nobody an effect of it, before it is committed.
///  - *Nobody is told before all obey*: whoever asked is answered when every shard here has acknowledged the
///    publication, with the tasks that it aborts gone, and confirm() says the same of the other gateways.
///  - *A conflict is decided anew*, on the state that won, after that is in force here.
///  - *What others commit is taken in in order of epochs*, with the events of all epochs in between, each once.
///  - *Who has lost touch answers nobody*: the snapshot says so, all tasks here end without status, and after joining
///    anew every nexus hears of a reset.
/// It does not wait for confirmations before it goes on, else two gateways could wait for each other: a change of epoch
/// e waits for others only to take in epochs up to e, which they do between their own changes.
class coordinator final : state::watcher {
 public:
  using done = std::function<void(result<void>)>;

  /// `shards[i]` is the shard with index i; links and `loop` outlive the coordinator.
  coordinator(coordinator_options options, std::vector<shard_link*> shards, reactor::loop& loop,
              std::unique_ptr<state::seat> seat);
  ~coordinator();
  /// Becomes a member; `started` runs when there is a snapshot. Once, before all else. A record that is damaged gives a
  /// unit that does nothing until clear_reservations(): damage() says what is wrong. When its identity cannot be read
  /// either, it tells none.
  void start(done started);

  /// The shards can be reached from now on.
  void links_are_up();

  /// The snapshot that new shards start from.
  const snapshot_ptr& snapshot() const { return snapshot_; }
  const std::string& damage() const { return damage_; }
  void on_message(to_coordinator message);

  // -- the operator's changes; `finished` runs later on this loop, when they are in force everywhere -----------------
  void establish_unit_attention(scsi::additional_sense code, std::uint64_t except_nexus = 0, done finished = {});
  /// The medium has another size; initiators hear CAPACITY DATA HAS CHANGED.
  void set_capacity(std::uint64_t capacity_blocks, done finished = {});
  /// Other facts (read_only, thin, product …); the capacity, block size and names stay. INQUIRY DATA HAS CHANGED, and
  /// MODE PARAMETERS CHANGED for read_only.
  void set_facts(const scsi::unit_facts& facts, done finished = {});
  /// The groups of this gateway. ASYMMETRIC ACCESS STATE CHANGED.
  void set_groups(std::vector<scsi::target_port_group> groups, done finished = {});
  /// Another member is to own the unit; `finished` runs when it does, errc::not_found when it is no member.
  void move(gateway_id to, done finished = {});
  /// Which gateways are drained has changed.
  void reconsider_owner();
  /// Also gives up state that is damaged: the unit starts from nothing but its identity.
  void clear_reservations(done finished = {});

  /// The unit is about to give its place to another one of its name. `frozen` gets its state, on this loop, when
  /// nothing of it is changing; commands that would change it are answered BUSY from then on, until thaw(), and resets
  /// and losses of nexuses concern this coordinator alone.
  void freeze(std::function<void(const snapshot_ptr&)> frozen);
  /// The other one has not come, or is gone.
  void thaw();
  /// Of the one whose place this one takes: no nexus reaches it, and no task of it is left. Until then commands that
  /// change what is agreed and task management of the whole unit wait here, for the tasks that they must end or keep
  /// out may be there.
  void predecessor_left();
  /// And nothing of it is at its medium. Until then nobody here reads or writes blocks.
  void predecessor_over();

  /// Of one that gives its place and the one that takes it: how they reach each other. Before the first nexus goes
  /// over; the links outlive both.
  void give_place_to(coordinator_link& successor) { successor_ = &successor; }
  void take_place_of(coordinator_link& predecessor) { predecessor_ = &predecessor; }

  bool idle() const { return !busy_ && queue_.empty() && unconfirmed_.empty() && passed_on_.empty(); }

 private:
  using draft = std::shared_ptr<unit_snapshot>;
  /// A change of what this gateway knows by itself.
  struct local_step {
    std::function<void(unit_snapshot&, std::vector<attention_order>&)> make;
    done finished;
  };
  struct agreed_step {
    agreement::change wanted;
    done finished;
  };
  using plain_step = std::function<void()>;  // ends with end_step(), or goes on as busy
  using step = std::variant<control_request, manage_request, nexus_lost, local_step, agreed_step, plain_step>;

  /// One change on its way: what will be, what goes along, and whom it is for.
  struct change {
    draft next;
    std::vector<attention_order> attentions;
    std::vector<abort_order> aborts;
    bool lasts = false;
    bool committed = false;  // by this coordinator: confirmed before it is answered
    std::optional<step> of;  // answered in the end, or decided anew; none: somebody else's
    scsi::outcome outcome = {};
  };
  struct range_lock {
    range_lock_request request;
    std::size_t loud = 0;  // shards that have not said that they are quiet
    bool raised = false, granted = false;
  };

  void enqueue(step s);
  bool must_wait(const step& s) const;
  void next_step();
  void end_step();
  void run(control_request&& request);
  void run(manage_request&& request);
  void run(nexus_lost&& message);
  void run(local_step&& what);
  void run(agreed_step&& what);
  void run(plain_step&& what) { what(); }
  void decide(const agreement::change& wanted, step of);
  void begin(const agreement::decision& d, step of);
  void finish(step& of, const result<scsi::outcome>& outcome);

  // coordinator_agreement.cpp: with the authority and the shards
  void propose();
  void on_verdict(const state::verdict& how);
  void take_in(const state::record& newer);
  void publish();
  void in_force();
  void claim_if_free();
  bool yields() const;
  void settle_moves();
  void await_shards(std::function<void()> then);
  void follow_tenure(unit_snapshot& next);
  void begin_tenure() noexcept;
  void when_tenure_ended(std::function<void()> then);
  std::vector<control_request> take_aborted(const std::vector<abort_order>& orders);
  draft draft_of(const agreement::agreed& agreed) const;
  agreement::joining joining_now();
  std::vector<scsi::target_port_group> as_told(std::vector<scsi::target_port_group> groups) const;
  void lose_touch();
  void join_anew();
  void resume_place();
  void start_damaged(const error& why, const done& started);
  void give_up_damaged(done finished);
  void on_committed(const state::record& newer) override;
  void on_lost() override;
  void on_gone(gateway_id gateway, std::uint64_t incarnation) override;

  void on(control_request& message);
  void on(control_cancel& message);
  void on(manage_request& message);
  void on(acknowledgement& message);
  void on(range_lock_request& message);
  void on(range_lock_quiet& message);
  void on(range_lock_release& message);
  void on(nexus_lost& message);
  void on(nexus_known& message);
  void on(cut_request& message);
  void on(flush_failed& message);
  void on(passed_reset& message);
  void on(passed_reset_done& message);
  void on(successor_gone& message);
  template <class Matches>
  bool is_behind(const range_lock& f, Matches matches) const;
  void hold_range_locks();
  void grant_range_locks();

  const coordinator_options options_;
  const std::vector<shard_link*> shards_;
  reactor::loop& loop_;
  const std::unique_ptr<state::seat> seat_;
  std::uint64_t incarnation_ = 0;
  snapshot_ptr snapshot_;
  std::uint64_t publications_ = 0;
  std::vector<scsi::target_port_group> own_groups_;
  std::string damage_;
  bool frozen_ = false;
  bool has_predecessor_ = options_.awaits_predecessor;
  coordinator_link *predecessor_ = nullptr, *successor_ = nullptr;
  std::map<std::uint64_t, manage_request> passed_on_;  // that the successor does first
  std::uint64_t next_passed_ = 1;

  std::deque<step> queue_;
  bool busy_ = false;
  bool links_are_up_ = !options_.awaits_links;
  bool claims_ = false;
  struct moving {
    gateway_id to;
    std::uint64_t number;
    bool given_up;  // by the former owner
    done finished;
    std::optional<control_request> asked;  // a command that waits for it, instead
  };
  void begin(moving what);
  void end(const moving& what, const result<void>& outcome);
  std::vector<moving> moving_;
  std::uint64_t next_move_ = 0;
  change current_;
  std::optional<state::record> newer_;  // committed by others, not taken in yet
  std::size_t unacknowledged_ = 0;      // publications, of each shard
  std::function<void()> acknowledged_;  // what happens when there are none
  std::list<step> unconfirmed_;         // in force here; other gateways may not obey yet
  std::uint64_t turn_ = 0;              // what was asked of the authority in an earlier one comes too late

  std::uint64_t tenure_ = 0;  // the epoch of the ownership that the medium is, or is being made, ready for; 0: none
  bool tenure_has_begun_ = false;
  unsigned tenures_ending_ = 0;
  std::function<void()> tenure_ended_;  // what happens when there are none
  reactor::member_timer<coordinator, &coordinator::begin_tenure> begin_again_{*this};
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  // for what comes from the tenure

  std::map<std::uint64_t, scsi::transport_id> initiators_;  // of the nexuses of this gateway
  std::deque<range_lock> range_locks_;                      // in the order of their requests
};

}  // namespace sluice::unit
