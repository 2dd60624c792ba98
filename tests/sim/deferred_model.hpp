#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/flush_log.hpp"

namespace sluice::sim {

/// Who has to hear that a flush failed [SPC-4 4.5.7, SBC-3 4.15]: each I_T nexus to which writes were acknowledged that
/// no good flush covers, once, by a deferred error or by the status of its own flush; nobody else. Written from the
/// standard and the flushes that the medium saw: it shares nothing with the gateway's book.
///
/// All that a host knows of the moment in which the gateway acknowledged a write is that it lies between the command
/// and its status; so some reports are certain, some are possible.
class deferred_model {
 public:
  static constexpr unsigned max_nexuses = 4;

  explicit deferred_model(const flush_log& flushes) : flushes_(flushes) {}

  /// The host's nexus is a new one.
  void nexus_begins(unsigned host, std::uint64_t now);
  /// Another unit has taken the place of the one that acknowledged what was written until now: it need not tell of it.
  void unit_replaced(std::uint64_t now);
  /// A write that may be in a volatile cache, begun then, is acknowledged to the host; `certain`: it is in one.
  void acknowledged(unsigned host, std::uint64_t begun, std::uint64_t now, bool certain);
  /// The command by which a host hears of a failure.
  struct hearing {
    std::uint64_t begun, begun_ns;
    bool by_its_own_flush = false;  // by its status, else by a deferred error
    bool may_be_late = false;  // its status may wait for data of the host, or come from a unit that gives its place
  };
  /// Returns what is wrong with that; empty: nothing.
  std::string told(unsigned host, const hearing& by, std::uint64_t now);
  /// An answer is lost that may have told.
  void maybe_told(unsigned host, std::uint64_t now) { nexuses_.at(host).must_after = now; }
  /// Whether a command that reports what is pending, begun then, must have told of a failure that nothing told of.
  bool must_have_told(unsigned host, std::uint64_t begun_ns) const;

 private:
  using flush = flush_log::flush;
  /// The failure is known on all cores, longest; a command that comes later finds it.
  static constexpr std::uint64_t spread_ns = 20'000'000;

  struct write {
    std::uint64_t begun, ended;
    bool certain;
  };
  /// A report by which some failures were surely told, and how things stood before it.
  struct report {
    std::uint64_t heard;
    std::uint64_t of;  // when the latest of them began
    std::uint64_t may_after;
    std::vector<write> writes;
    bool unsure;             // it may have told of an earlier one only
    unsigned overtaken = 0;  // reports that came later and are part of what this one may have told
  };
  struct nexus {
    std::vector<write> writes;
    std::uint64_t may_after = 0;   // failures that ended by then were told
    std::uint64_t must_after = 0;  // failures that ended by then may have been told
    std::vector<report> reports;
  };

  static bool failed(const flush& f) { return f.how == flush_log::ending::failed; }
  bool surely_covered(const write& w, const flush& failure) const;
  bool maybe_covered(const write& w, const flush& failure) const;
  bool failed_between(std::uint64_t after, std::uint64_t before) const;
  bool concerns(const flush& failure, const std::vector<write>& writes) const;
  bool may_hear(const nexus& n, std::uint64_t before) const;
  bool was_overtaken(nexus& n, const hearing& by) const;
  const flush* told_of(const hearing& by) const;

  const flush_log& flushes_;
  std::array<nexus, max_nexuses> nexuses_;
};

}  // namespace sluice::sim
