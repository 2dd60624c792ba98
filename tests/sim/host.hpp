#pragma once
#include <functional>
#include <optional>
#include <set>

#include "tests/sim/field.hpp"
#include "tests/sim/session.hpp"

namespace sluice::sim {

/// One initiator at work: sends commands that it makes up, some at a time, and holds every answer against the models;
/// logs in again when its connection is lost, and out when it has done its share.
class host final : session::listener, public fence_listener {
 public:
  host(field& of, unsigned number, unsigned share);
  ~host();
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  void begin(const reactor::endpoint& portal);
  bool finished() const { return finished_; }
  /// Connection of now, for faults.
  reactor::handle connection() const { return session_->connection(); }
  /// Owes the data that it is asked for, until it is told to go on.
  void owe(bool on);
  bool logged_in() const { return session_->up() && !leaving_; }
  /// What it sends next writes, or reads, every other block of 4 KiB of the disk's unit; false: it sends nothing more.
  enum class sweep { write, read };
  bool begin_sweep(sweep how);
  bool sweeps() const { return sweep_left_ > 0 && !finished_; }

  // host_frozen.cpp
  /// How a host stands still: it answers pings and takes what comes, but sends no data and no commands; or nothing at
  /// all, neither reading nor sending nor closing.
  enum class stillness { pings_only, frozen };
  void freeze(stillness how);
  bool stands_still() const { return still_since_ns_ != 0; }
  /// Goes on; no-op when it does.
  void thaw();
  /// What stands still never goes on. The host begins anew, with a session of the same name.
  void reboot();
  /// Takes what a host has under way from the unit of the disk, by a reset or by PREEMPT AND ABORT.
  void fence(unsigned victim);
  /// Its answers may be late until then, for what is done to its connection.
  void disturb(std::uint64_t for_ns);
  void on_fenced(unit_view& unit, std::uint64_t begun) override;
  /// Sends nothing more, and ends.
  void give_up();
  std::string describe() const;

 private:
  enum class kind {
    read,
    write,
    write_same,
    unmap,
    compare_and_write,
    flush,
    test_ready,
    request_sense,
    inquiry,
    capacity,
    reserve_out,
    reserve_in,
    mode_select,
    absent
  };
  struct op {
    kind what = kind::read;
    std::uint64_t number = 0;
    unit_view* unit = nullptr;
    range where;  // sectors
    std::uint64_t begun = 0, begun_ns = 0;
    std::uint64_t watched_ns = 0;  // from when on an answer is waited for
    bool fua = false;
    bool immediate = false;       // a flush that is answered before it is done
    bool data_in_only = false;    // its status waits for nothing of this host
    bool beyond = false;          // past the end of any capacity
    bool behind_ordered = false;  // of this host: that waits for whatever others owe [SAM-5 8.7]
    std::vector<stamp> claimed;   // compare_and_write
    pr_command reservation;
    unit_view::write_cache cache_before = unit_view::write_cache::on, cache_wanted = unit_view::write_cache::on;
    outgoing out;
  };
  struct management {
    iscsi::management_function function;
    unit_view* unit;
    std::vector<std::uint32_t> concerned;  // own commands that had left
    std::uint64_t begun = 0, begun_ns = 0;
  };

  // session::listener
  void on_up() override;
  void on_down() override;
  void on_answer(std::uint32_t tag, const answer& what) override;
  void on_managed(std::uint32_t tag, iscsi::management_response response) override;
  void on_echo(std::uint32_t tag) override;
  void on_logged_out() override;

  void on_retry() noexcept;
  void on_watch() noexcept;
  void settle_lost();
  void drop_commands();
  void leave();
  bool held_back(std::function<void()> again);
  static const std::set<unsigned>& everybody();
  void pump();
  std::unique_ptr<session> make_session();
  bool may_break() const;
  void wait_anew();
  bool breach_of_promise(const char* what, std::uint64_t begun_ns);
  void tell_fenced(unit_view& unit, std::uint64_t begun, const std::set<unsigned>& victims);

  // host_commands.cpp: what it sends
  void next();
  void send(op&& o);
  op make(kind what, unit_view& unit);
  range pick_range(const unit_view& unit);
  range next_of_sweep();
  void make_read(op& o);
  void make_write(op& o);
  void make_write_same(op& o);
  void make_unmap(op& o);
  void make_compare_and_write(op& o);
  void make_reserve_out(op& o);
  static void encode_reserve_out(op& o);
  void make_mode_select(op& o);
  void exercise_cache();
  void expect_effects(op& o);
  void manage();
  void reset_unit(unit_view& unit);
  void send_management(management&& m, std::uint16_t lun, std::uint32_t referenced);
  std::uint32_t new_tag();

  // host_answers.cpp: what it makes of answers
  void conclude(const op& o, const answer& what);
  void good(const op& o, const answer& what);
  void good_read(const op& o, const answer& what);
  void good_reserve_out(const op& o);
  void check_condition(const op& o, const answer& what);
  void refused(const op& o);
  void undecided(const op& o);
  void end_exclusive(const op& o);
  void bad(const op& o, const std::string& why);
  static bool writes(const op& o);

  // host_flushes.cpp: what it hears of flushes that failed
  static bool hears_flushes(const op& o);
  void note_volatile(const op& o);
  bool heard_deferred(const op& o, const answer& what);
  void told_of_flush(const op& o, bool by_its_own_flush);
  void read_sense(const op& o, const answer& what);
  void check_reports(const op& o);
  static pr_need need_of(const op& o);

  std::uint64_t below(std::uint64_t bound) { return field_.world.below(bound); }
  bool chance(double p) { return field_.world.chance(p); }

  field& field_;
  const unsigned number_;
  unsigned share_;
  const unsigned depth_;
  std::unique_ptr<reactor::loop> loop_;
  std::unique_ptr<session> session_;
  std::vector<std::unique_ptr<session>> left_standing_;  // of lives before
  reactor::endpoint portal_;
  bool finished_ = false, leaving_ = false, was_up_ = false;
  std::map<std::uint32_t, op> ops_;
  std::map<std::uint32_t, management> managements_;
  std::vector<op> lost_;  // their connection is gone; they may yet take effect
  std::vector<management> lost_managements_;
  std::optional<std::uint32_t> echo_;
  sweep sweep_ = sweep::write;
  unsigned sweep_left_ = 0;
  std::uint64_t still_since_ns_ = 0;  // 0: it does not stand still
  std::uint64_t sent_ns_ = 0;         // when its last command was
  bool owes_ = false;
  bool told_once_more_ = false;           // a planted bug
  bool stood_still_ = false;              // at any time
  std::uint64_t disturbed_until_ns_ = 0;  // answers may be late
  std::uint64_t may_break_until_ns_ = 0;  // its connection alone
  std::uint64_t login_since_ns_ = 0, logout_since_ns_ = 0;
  std::map<std::uint64_t, stamp> known_;  // sectors of unit 0 as last read: what COMPARE AND WRITE bets on
  reactor::member_timer<host, &host::on_retry> retry_{*this};
  reactor::member_timer<host, &host::on_watch> watch_{*this};
};

}  // namespace sluice::sim
