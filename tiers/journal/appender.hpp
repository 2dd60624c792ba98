#pragma once
#include <array>
#include <deque>
#include <utility>
#include <vector>

#include "tiers/journal/journal_job.hpp"

namespace sluice::journal {

/// Writes records. While some are under way, the jobs that come wait together for the next one. On the owner's loop.
class appender {
 public:
  appender(journal_core& core, journal_owner& owner);

  /// The job's blocks are to be written, behind those of all jobs before it; written() of the owner comes when they are
  /// durable.
  void add(journal_job& job) noexcept;
  /// Starts records, as many as may be; which of these reasons ends it.
  enum class outcome : std::uint8_t { nothing_waits, busy, full, slowed };
  outcome pump(std::uint64_t now_ns) noexcept;
  /// The log is to become empty: it takes records slowly.
  void set_emptying(bool emptying) noexcept { emptying_ = emptying; }
  /// No record is under way.
  bool quiet() const noexcept { return in_flight_.empty(); }
  bool empty() const noexcept { return quiet() && waiting_.empty(); }
  /// The jobs that wait, for another way to do them.
  std::deque<journal_job*> take_waiting() noexcept { return std::exchange(waiting_, {}); }
  /// When slowed: how long until pump() may go on.
  std::uint64_t pause_ns(std::uint64_t now_ns) const noexcept {
    return next_record_ns_ > now_ns ? next_record_ns_ - now_ns : 0;
  }

 private:
  static constexpr unsigned depth = 4;
  class record final : public reactor::operation {
   public:
    void on_complete(std::int64_t result) noexcept override { owner->completed(*this, result); }
    appender* owner = nullptr;
    aligned_memory memory;
    record_header header;
    log_position position = 0;
    std::vector<journal_job*> jobs;
    iovec part{};
    bool done = false;
    bool good = false;
  };

  void build(record& r) noexcept;
  void completed(record& r, std::int64_t result) noexcept;
  void commit(record& r) noexcept;
  void give_up() noexcept;
  void slow_down(std::uint64_t now_ns) noexcept;

  journal_core& core_;
  journal_owner& owner_;
  std::array<record, depth> records_;
  std::vector<record*> free_;
  std::deque<record*> in_flight_;  // in the order of their numbers
  std::deque<journal_job*> waiting_;
  std::uint64_t next_record_ns_ = 0;
  bool emptying_ = false;
};

}  // namespace sluice::journal
