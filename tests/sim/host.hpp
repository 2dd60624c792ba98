#pragma once
#include <functional>
#include <optional>

#include "tests/sim/field.hpp"
#include "tests/sim/session.hpp"

namespace sluice::sim {

/// One initiator at work: sends commands that it makes up, some at a time, and holds every answer against the models;
/// logs in again when its connection is lost, and out when it has done its share.
class host final : session::listener {
 public:
  host(field& of, unsigned number, unsigned share);
  ~host();
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  void begin(const reactor::endpoint& portal);
  bool finished() const { return finished_; }
  /// Connection of now, for faults.
  reactor::handle connection() const { return session_.connection(); }
  /// Owes the data that it is asked for, until it is told to go on.
  void owe(bool on) { session_.owe(on); }
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
    bool fua = false;
    bool beyond = false;         // past the end of any capacity
    std::vector<stamp> claimed;  // compare_and_write
    pr_command reservation;
    unit_view::write_cache cache_before = unit_view::write_cache::on, cache_wanted = unit_view::write_cache::on;
    outgoing out;
  };
  struct management {
    iscsi::management_function function;
    unit_view* unit;
    std::vector<std::uint32_t> concerned;  // own commands that had left
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
  void pump();

  // host_commands.cpp: what it sends
  void next();
  void send(op&& o);
  op make(kind what, unit_view& unit);
  range pick_range(const unit_view& unit);
  void make_read(op& o);
  void make_write(op& o);
  void make_write_same(op& o);
  void make_unmap(op& o);
  void make_compare_and_write(op& o);
  void make_reserve_out(op& o);
  void make_mode_select(op& o);
  void expect_effects(op& o);
  void manage();
  std::uint32_t new_tag();

  // host_answers.cpp: what it makes of answers
  void conclude(const op& o, const answer& what);
  void good(const op& o, const answer& what);
  void good_read(const op& o, const answer& what);
  void check_condition(const op& o, const answer& what);
  void refused(const op& o);
  void undecided(const op& o);
  void end_exclusive(const op& o);
  void bad(const op& o, const std::string& why);
  static bool writes(const op& o);
  static pr_need need_of(const op& o);

  std::uint64_t below(std::uint64_t bound) { return field_.world.below(bound); }
  bool chance(double p) { return field_.world.chance(p); }

  field& field_;
  const unsigned number_;
  unsigned share_;
  const unsigned depth_;
  std::unique_ptr<reactor::loop> loop_;
  session session_;
  reactor::endpoint portal_;
  bool finished_ = false, leaving_ = false, was_up_ = false;
  std::map<std::uint32_t, op> ops_;
  std::map<std::uint32_t, management> managements_;
  std::vector<op> lost_;  // their connection is gone; they may yet take effect
  std::vector<management> lost_managements_;
  std::optional<std::uint32_t> echo_;
  std::map<std::uint64_t, stamp> known_;  // sectors of unit 0 as last read: what COMPARE AND WRITE bets on
  reactor::member_timer<host, &host::on_retry> retry_{*this};
  reactor::member_timer<host, &host::on_watch> watch_{*this};
};

}  // namespace sluice::sim
