#pragma once
#include <map>
#include <unordered_set>
#include <vector>

#include "tests/sim/judge.hpp"
#include "tests/sim/stamp.hpp"

namespace sluice::sim {

/// A range of sectors.
struct range {
  std::uint64_t first = 0, count = 0;
  bool overlaps(const range& other) const { return first < other.first + other.count && other.first < first + count; }
};

/// What each sector of a logical unit may hold, given the writes that were sent and what their initiators know of them.
/// A write may take effect at any one moment between its begin and its end; a write that ended good did. From this
/// follows for each sector which writes may have been the last.
class medium_model {
 public:
  /// `lasting`: the medium survives a loss of power, with what is certain to be on it.
  medium_model(judge& told, std::uint64_t sectors, bool lasting);

  // -- writes, by a number of their own ------------------------------------------------------------------------
  /// `same`: all sectors get the pattern of make_stamp(write, any_sector); `zero`: all become zeroes.
  enum class pattern { own, same, zero };
  void begin_write(std::uint64_t write, range where, pattern what);
  /// Ended good; `durable`: what it wrote survives from now on.
  /// An answer that comes after the power was lost says only what was durable.
  void end_write(std::uint64_t write, bool durable);
  /// Ended, or was lost, and did something or nothing; nothing more will happen.
  void undecided(std::uint64_t write);
  /// Its initiator waits on, yet it has no effect after now; a no-op when it has ended.
  void stopped(std::uint64_t write);
  /// Was refused: did not happen.
  void refused(std::uint64_t write);

  // -- reads ---------------------------------------------------------------------------------------------------
  void begin_read(std::uint64_t read, range where);
  /// Ended good with these stamps, one for each sector from the first on; fewer when the range was cut.
  /// `from_medium`: what was seen is durable (FUA), unless the power was lost meanwhile.
  void end_read(std::uint64_t read, const std::vector<stamp>& seen, bool from_medium);
  /// Ended without data.
  void forget_read(std::uint64_t read);
  /// Whether every sector of the read could hold what is claimed.
  bool possible(std::uint64_t read, const std::vector<stamp>& claimed) const;
  /// Whether some sector could hold something else, that a write of the same number did not put there.
  bool possibly_other(std::uint64_t read, const std::vector<stamp>& claimed) const;

  // -- what lasts ------------------------------------------------------------------------------------------------
  /// A flush that began at `begun` ended good.
  void flushed(std::uint64_t begun);
  /// Likewise a write that makes durable what was acknowledged before it; not what was only seen, of a write that
  /// failed.
  void acknowledged_flushed(std::uint64_t begun);
  void power_lost();
  /// The gateway ended after a flush had failed, and its power was not lost. Who comes after it cannot know what the
  /// system shows and the medium does not hold: only what is written anew is made durable by a flush.
  void restarted_after_loss();

 private:
  static constexpr std::uint64_t never = ~std::uint64_t{0};
  struct value {
    stamp content;
    std::uint64_t write;
    std::uint64_t ended = never;       // no effect after this
    std::uint64_t superseded = never;  // a later write had replaced it by then; kept while the medium may go back to it
    std::uint64_t replaced = never;    // likewise, by a write that is acknowledged
    bool outlasts_flushes = false;     // what replaced it may be lost already
  };
  using sector = std::vector<value>;
  struct writing {
    range where;
    pattern what;
    std::uint64_t begun;
    unsigned powers_lost;
  };
  struct candidate {
    stamp content;
    std::uint64_t write;
  };
  struct reading {
    range where;
    std::uint64_t begun;
    unsigned powers_lost;
    std::vector<std::vector<candidate>> may_be;
  };

  static stamp stamp_of(std::uint64_t write, pattern what, std::uint64_t number);
  void conclude(std::uint64_t write, std::uint64_t when);
  /// The sector held one of the values of `content` at a moment after `since`: what had ended by then is replaced.
  void narrow(sector& of, stamp content, std::uint64_t since);
  static void supersede(value& older, std::uint64_t now);
  static void forget_superseded(sector& of, std::uint64_t before);
  bool holds(const std::vector<candidate>& may_be, stamp content) const;

  judge& judge_;
  bool lasting_;
  unsigned powers_lost_ = 0;
  std::vector<sector> sectors_;
  std::map<std::uint64_t, writing> writes_;  // that have not ended
  std::map<std::uint64_t, reading> reads_;
  std::unordered_set<std::uint64_t> refused_;
};

}  // namespace sluice::sim
