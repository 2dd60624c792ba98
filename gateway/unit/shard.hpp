#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/observe/counters.hpp"
#include "actors/reactor/loop.hpp"
#include "fabrics/port/nexus_endpoint.hpp"
#include "gateway/scsi/parameter_lists.hpp"
#include "gateway/state/lease.hpp"
#include "gateway/unit/command.hpp"
#include "gateway/unit/flush_book.hpp"
#include "gateway/unit/job.hpp"
#include "gateway/unit/links.hpp"
#include "tiers/store/store.hpp"

namespace sluice::unit {

struct shard_options {
  unsigned index = 0;  // among the unit's shards, as the coordinator numbers them; below 4096
  gateway_id gateway = 0;
  std::uint32_t max_tasks = 4096;           // in this shard's task set; more is TASK SET FULL
  std::uint32_t max_tasks_per_nexus = 256;  // likewise
  /// How long a command waits for the medium, see store::properties; 0: as long as it takes.
  std::uint64_t deadline_ns = 0;
  /// Of whoever aborts a command, or ends its nexus, with the medium; only with a deadline. What is given up hurts
  /// nobody, for its blocks stay locked: this only spares a medium that is well the lock.
  std::uint64_t abort_patience_ns = 250 * ns_per_ms;
  /// How long a command waits for memory while nothing of its nexus gets any; then TASK SET FULL.
  std::uint64_t hunger_limit_ns = 2 * ns_per_s;
  // One for all shards of the unit; null: of this one only.
  std::shared_ptr<attention_book> attentions = {};
  std::shared_ptr<flush_book> flushes = {};
  /// Initiators repeat at once what they are told to repeat, and give up after a number of times [some of them within
  /// milliseconds]. So BUSY is held back for a while, and so is the answer of a TEST UNIT READY that would be NOT READY
  /// because of the medium, which is GOOD when the medium is well by then.
  std::uint64_t busy_patience_ns = 100 * ns_per_ms, ready_patience_ns = 3 * ns_per_s;
  bool awaits_predecessor = false;  // as the coordinator's
  /// Until when this gateway may answer by what it agreed on with others; outlives the shard.
  const state::lease* term = &state::lease::of_one_alone();
  std::string unit = {};  // its name, as the gateways of a cluster know it
  /// How commands get to the unit's owner; null: nobody relays. Outlives the shard.
  access::owner_link* owners = nullptr;
  /// How long the owner of the unit may take to end a write that was given up here. Its own patience with the medium is
  /// within that.
  std::uint64_t owner_patience_ns = ns_per_s;
  std::uint32_t max_abandoned = 64;  // requests without a task any more; while there are so many, commands get BUSY
};

/// What a medium owes one core.
struct medium_debt {
  store::availability state = store::availability::ready;
  std::uint32_t waiting = 0;   // commands whose requests it has
  std::uint32_t given_up = 0;  // requests whose commands were answered without it
  std::uint64_t oldest_ns =
      0;  // for how long the first of those that wait does, within a period of the deadlines' clock
};

/// The device server of one logical unit on one core: its part of the task set, its nexuses' unit attentions, its
/// endpoint to the medium. Everything runs on the loop's thread.
class shard {
 public:
  /// `coordinator` and `loop` outlive the shard. `first` is the coordinator's snapshot at that time.
  shard(const shard_options& options, coordinator_link& coordinator, reactor::loop& loop,
        std::unique_ptr<store::channel> medium, snapshot_ptr first);
  /// No nexus is attached any more, and idle() holds.
  ~shard();
  shard(const shard&) = delete;
  shard& operator=(const shard&) = delete;

  // -- what port::task_endpoint brings --------------------------------------------------------------------------
  /// The task comes soon, unless its nexus goes: nothing is decided, nothing checked yet.
  void foresee(const port::task& subject) noexcept {
    if (const auto lba = scsi::lba_of_read(subject.whole_cdb())) medium_->will_read(*lba * block_size());
  }
  void on_task(port::task& subject, port::task_event event) noexcept;
  void on_manage(port::task_management& request) noexcept;

  // -- nexuses ---------------------------------------------------------------------------------------------------
  /// A nexus may send tasks from now on; it is told `attention` first (0: nothing), unless it has another channel,
  /// which has told it or will. `listener`: see unit_endpoint.
  void attach(std::shared_ptr<const port::i_t_nexus> identity,
              scsi::additional_sense attention = scsi::asc::reset_occurred,
              access::attention_listener* listener = nullptr);
  /// Ends the tasks of a nexus silently, or with unit_removed waits for them, then forgets it and runs `done`; its
  /// SPC-2 reservation goes, its persistent one stays. `done` may run before this returns. After unit_removed, another
  /// reason only aborts what is left of its tasks: the first `done` tells when they are gone.
  void detach(std::uint64_t nexus_id, port::loss_reason reason, std::function<void()> done);

  // -- the coordinator
  // ---------------------------------------------------------------------------------------------------
  void on_message(to_shard message);

  /// A unit attention for one nexus here, because its LUN map changed with that version of the directory.
  void establish_attention(std::uint64_t nexus_id, scsi::additional_sense code, std::uint64_t directory_version);
  void withdraw_attention(std::uint64_t nexus_id, scsi::additional_sense code);
  /// The endpoint by which it is known to listeners; once, before the first nexus.
  void set_endpoint(const access::unit_endpoint* endpoint) { endpoint_ = endpoint; }

  const observe::unit_counters& counters() const { return counters_; }
  /// Commands that ended here, by the gateway that they came by; of a unit that gateways share.
  const std::map<gateway_id, std::uint64_t>& came_by() const { return came_by_; }
  const unit_snapshot& snapshot() const { return *snapshot_; }
  std::uint32_t tasks() const { return task_count_; }
  medium_debt debt() const noexcept;
  /// Nothing of this shard is at work on the medium or at the coordinator.
  bool idle() const {
    return active_.empty() && waiting_.empty() && !flushing_.busy && !next_turn_.queued_ && !turn_over_.queued_ &&
           medium_->idle();
  }

  // -- for the jobs (jobs.hpp) --------------------------------------------------------------------------------------
  void finish(command& c, const scsi::outcome& outcome) noexcept;
  /// Does c.io on the spot when it can.
  bool try_medium(command& c) noexcept {
    if (is_locked_out(c)) return false;
    if (c.io.what == store::verb::flush) [[unlikely]]
      begin_flush(c);
    if (!medium_->try_now(c.io, c.medium_status)) return false;
    c.has_written = c.has_written || store::changes_medium(c.io.what);
    if (c.flush != 0) [[unlikely]]
      end_flush(std::exchange(c.flush, 0), c.medium_status);
    return true;
  }
  /// Starts c.io, or parks the task while somebody else's range lock is around its blocks.
  void start_medium(command& c) noexcept;
  void medium_done(command& c, store::status outcome) noexcept;
  /// The next step of a command that was relayed: at once, whatever is locked.
  void go_on_at_owner(command& c) noexcept;
  void end_at_owner(command& c) noexcept;
  void prepare_relayed(command& c, access::relayed_command& there) noexcept;
  /// A buffer that the initiator of a command pays for.
  memory::slice take_buffer(const command& c, std::uint64_t octets) {
    memory::pool& buffers = loop_.buffers();
    memory::account* const payer = c.task ? c.task->payer : nullptr;
    return buffers.take(static_cast<std::uint32_t>(octets), payer ? *payer : buffers.accounts().own());
  }
  /// What a command ends with that finds no buffer: TASK SET FULL, or BUSY when its nexus has no other here that could
  /// end first [SAM-5 5.3.1].
  static scsi::outcome no_room(const command& c) {
    if (c.is_aborted()) return {};
    return c.nexus->tasks > 1 ? scsi::outcomes::task_set_full() : scsi::outcomes::busy();
  }
  /// The command is resumed when it has c.buffer, of so many octets, or must go without.
  void await_memory(command& c, std::uint64_t octets) noexcept;
  /// Makes task.data_in, which is empty, `octets` of the medium's own memory from there, if it can be had; `whole` are
  /// its blocks.
  bool lend(command& c, std::uint64_t offset_bytes, std::uint64_t whole, std::uint64_t octets) noexcept;
  void ask_data(command& c) noexcept;
  /// Asks for a range lock around these blocks; the job goes on when it has that, or may have it no more.
  void lock(command& c, const scsi::block_range& blocks) noexcept;
  void unlock(command& c) noexcept;
  /// Gives the task to its fabric for a get_data or put_data.
  void hand_over(command& c, port::task_event what) noexcept;
  void ask_coordinator(command& c, std::vector<std::uint8_t> parameters);
  /// Ends a command, but not before so much time has passed.
  void hold_back(command& c, const scsi::outcome& outcome, std::uint64_t patience_ns) noexcept;
  /// Makes c.io a flush.
  void prepare_flush(command& c) noexcept;
  void begin_flush(command& c) noexcept;
  /// What a flush of the command means for its nexus, which may have been told by another one that its data are lost.
  scsi::outcome flushed(command& c, store::status outcome) noexcept;
  /// Whether a volatile cache may hold what was acknowledged, by any core.
  bool may_hold_writes() const noexcept {
    return snapshot_->facts.volatile_cache && (snapshot_->mode.write_cache || !options_.flushes->is_all_durable());
  }
  /// A flush that its command does not wait for; the nexus hears of its failure by a deferred error.
  void flush_in_background(command& c) noexcept;
  /// Why TEST UNIT READY fails as far as the medium goes; nullopt when it does not.
  std::optional<scsi::outcome> unready() const noexcept;
  /// A period of the deadlines' clock is over; called by the clock itself (and by tests instead).
  void tick() noexcept;
  /// Who aborts has waited for the medium long enough; likewise.
  void let_go() noexcept;
  /// REQUEST SENSE took a unit attention of the task's nexus.
  void attentions_changed(command& c) noexcept { review(*c.nexus); }
  /// Whether a request may outlive its task.
  bool gives_up() const { return options_.deadline_ns != 0; }
  std::uint32_t block_size() const { return snapshot_->facts.block_size; }

 private:
  struct held_range_lock {
    std::uint64_t id;
    lock_range range;
    bool quiet;              // told the coordinator
    unsigned turns_to_wait;  // for memory that was lent, see lent_
  };
  /// How tasks are aborted, and why.
  struct ending {
    unit::abort_disposition how = unit::abort_disposition::silent;
    port::silence why = port::silence::none;  // those that end silently
  };
  /// Something that waits for aborted tasks to end.
  struct drain {
    std::vector<std::uint64_t> serials;
    std::function<void()> done;
  };
  /// One flush serves all that ask while it waits to begin; those that come after its start need another.
  class background_flush final : public store::request {
   public:
    explicit background_flush(shard& owner) : owner_(owner) {}
    void done(store::status outcome) noexcept override;
    bool busy = false;
    bool again = false;
    std::uint64_t number = 0, since = 0;                    // in the flush_book; the tick at which it began
    std::vector<std::function<void()>> waiting, next_ones;  // who waits for this one, and for the one after it
    bool is_awaited() const { return !waiting.empty() || !next_ones.empty(); }
    /// Nobody waits any longer; it goes on, and a failure of it is told as ever.
    void let_go() noexcept {
      for (auto* who : {&waiting, &next_ones})
        for (const auto& then : std::exchange(*who, {})) then();
    }

   private:
    shard& owner_;
  };

  // shard.cpp: the life of a command
  void submit(port::task& t) noexcept;
  void fetch_first(command& c) noexcept;
  void fetched(command& c) noexcept;
  command* take_command();
  nexus_record* find_nexus(std::uint64_t id) noexcept;
  void decode(command& c) noexcept;
  void start(command& c) noexcept;
  void settle(command& c, const scsi::outcome& outcome) noexcept;
  void count(const command& c, const scsi::outcome& outcome) noexcept;

  // admission.cpp: whether it may run
  std::optional<scsi::outcome> obstacle(command& c) noexcept;
  void review(nexus_record& n) noexcept;

  // dispatch.cpp: what it does
  void execute(command& c) noexcept;
  void read(command& c) noexcept;
  void write(command& c) noexcept;

  // relaying.cpp: what the unit's owner does
  bool is_for_owner(const command& c) const noexcept;
  bool may_be_done_here(const command& c) const noexcept;
  void at_owner(command& c) noexcept;
  void give_up_relayed(command& c) noexcept;
  void on(cut_answer& message);

  // task_set.cpp: in which order
  void advance() noexcept;
  void pass() noexcept;
  bool came_before(const command& c, const lock_range& ordered) const noexcept;
  bool is_behind_range(const command& c) const noexcept;
  bool kept_out(const command& c) const noexcept;
  bool gives_way(const command& c, const lock_range& range) const noexcept;
  bool is_quiet(const held_range_lock& f) const noexcept;
  bool is_locked_out(const command& c) const noexcept;
  void unpark() noexcept;
  void check_quiet() noexcept;
  void ask_range_lock(command& c) noexcept;
  void await_borrowers(held_range_lock& f) noexcept;
  void next_turn() noexcept;
  void turn_over() noexcept;

  // flushing.cpp: what is in a volatile cache
  bool may_be_volatile(const command& c) const noexcept;
  void end_flush(std::uint64_t number, store::status outcome) noexcept;
  void hear_of_failures() noexcept;
  void begin_background_flush() noexcept;
  void when_flushed(std::function<void()> then);
  void on(flush_failed& message);

  // hunger.cpp: commands that wait for memory
  void feed() noexcept;
  void end_hunger(command& c) noexcept;
  void watch_hunger() noexcept;

  // patience.cpp: answers that are held back
  void test_ready(command& c) noexcept;
  void review_held() noexcept;
  void let_answer_go(command& c) noexcept;

  // deadlines.cpp: a medium that does not answer
  void watch_clock() noexcept;
  void on_clock() noexcept;
  bool overdue(const command& c) const noexcept;
  template <class Match>
  void give_up_where(Match matches) noexcept;
  void give_up(command& c) noexcept;
  void abandon(command& c) noexcept;
  bool is_late() const noexcept;
  bool overburdened() const noexcept;

  // management.cpp: aborts and resets
  template <class Match>
  void abort_where(Match matches, ending how, std::vector<std::uint64_t>& serials) noexcept;
  template <class Match>
  std::vector<std::uint64_t> serials_where(Match matches) const;
  std::vector<std::uint64_t> managed_of(std::uint64_t nexus_id) const;
  std::uint64_t lose(std::uint64_t nexus_id, bool gone);
  bool has_agreed_state(std::uint64_t nexus_id) const;
  void abort(command& c, ending how, std::vector<std::uint64_t>& serials) noexcept;
  void take_back(command& c, ending how) noexcept;
  void transport_abort(port::task& subject) noexcept;
  void when_gone(std::vector<std::uint64_t> serials, std::function<void()> done);
  void task_gone(std::uint64_t serial) noexcept;
  bool owes_blocks() const noexcept;
  void when_settled(std::function<void()> done);
  void reply(port::task_management& request, port::task_response response) noexcept;
  void reset_nexus(port::task_management& request) noexcept;
  void apply(const abort_order& order, bool task_aborted_status, std::vector<std::uint64_t>& serials);
  void apply(const attention_order& order);
  void order_attention(nexus_record& n, scsi::additional_sense code);
  bool concerns(const addressees& whom, const nexus_record& n) const;

  void on(publication& message);
  void on(control_answer& message);
  void on(manage_answer& message);
  void on(nexus_forgotten& message);
  void on(range_lock_held& message);
  void on(range_lock_granted& message);
  void on(range_lock_gone& message);

  const shard_options options_;
  const access::unit_endpoint* endpoint_ = nullptr;
  coordinator_link& coordinator_;
  reactor::loop& loop_;
  std::unique_ptr<store::channel> medium_;
  snapshot_ptr snapshot_;
  /// An epoch of what is agreed: relayed commands that were found to be allowed earlier are refused.
  std::uint64_t relayed_since_ = 0;
  std::uint64_t publication_ = 0;  // the number of the last

  std::unordered_map<std::uint64_t, std::unique_ptr<nexus_record>> nexuses_;
  nexus_record* last_nexus_ = nullptr;

  std::deque<command> commands_;  // grows to max_tasks and a few that wait at the coordinator
  command* free_commands_ = nullptr;
  std::uint32_t task_count_ = 0;
  /// Serials are told apart from those of the unit's other shards: a nexus may have tasks at several. Never 0.
  static constexpr std::uint64_t serial_step = 4096;
  std::uint64_t next_serial_ = serial_step + options_.index;
  std::uint64_t range_locks_asked_ = 0;

  command_list active_;
  command_list waiting_;
  bool gate_ = false;  // something may have to wait: range locks or earlier waiting tasks
  bool advancing_ = false, again_ = false;
  std::vector<const command*> owing_;   // pass(): those further ahead that wait for their initiator's data
  std::uint64_t waiting_removals_ = 0;  // by aborts, which may come from what a started task's end sets off
  std::vector<held_range_lock> range_locks_;
  bool lent_ = false;  // the medium has lent memory to reads: who changes it in one step waits until it was looked at
  reactor::member_runnable<shard, &shard::next_turn> next_turn_{*this};
  reactor::member_runnable<shard, &shard::turn_over> turn_over_{*this};

  std::uint64_t tick_ = 0;
  std::uint32_t abandoned_ = 0;
  reactor::member_timer<shard, &shard::on_clock> clock_{*this};
  reactor::member_timer<shard, &shard::let_go> leaving_{*this};

  std::vector<command*> held_;  // place::nobody
  reactor::member_timer<shard, &shard::review_held> held_timer_{*this};
  std::vector<command*> hungry_;  // place::memory, in order
  struct memory_waiter final : memory::waiter {
    explicit memory_waiter(shard& of) : owner(of) {}
    void on_memory() noexcept override { owner.loop_.defer(owner.feed_); }
    shard& owner;
  } memory_waiter_{*this};
  reactor::member_runnable<shard, &shard::feed> feed_{*this};
  reactor::member_timer<shard, &shard::feed> hunger_timer_{*this};

  std::vector<drain> drains_;
  std::vector<std::function<void()>> settled_;  // what happens when the medium has done all that was given up
  std::unordered_map<std::uint64_t, port::task_management*> managed_;  // at the coordinator, by id
  background_flush flushing_{*this};
  std::uint64_t failures_seen_ = 0;  // of flushes, in the unit's book
  observe::unit_counters counters_;
  std::map<gateway_id, std::uint64_t> came_by_;
};

}  // namespace sluice::unit
