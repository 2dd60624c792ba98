#include "tests/sim/deferred_model.hpp"

#include <algorithm>

namespace sluice::sim {

void deferred_model::nexus_begins(unsigned host, std::uint64_t now) {
  nexuses_.at(host) = {{}, now, now, {}};
}

void deferred_model::unit_replaced(std::uint64_t now) {
  for (nexus& n : nexuses_) {
    n.must_after = now;
    for (write& w : n.writes) w.certain = false;
  }
}

void deferred_model::acknowledged(unsigned host, std::uint64_t begun, std::uint64_t now, bool certain) {
  nexuses_.at(host).writes.push_back({begun, now, certain});
}

/// A good flush that began after the write, and beside which no other one failed: systems report a loss to one of those
/// that ask, and forget it.
bool deferred_model::surely_covered(const write& w, const flush& failure) const {
  const auto& all = flushes_.all();
  return std::any_of(all.begin(), all.end(), [&](const flush& good) {
    if (good.how != flush_log::ending::good || good.begun <= w.ended || good.ended >= failure.begun) return false;
    return std::none_of(all.begin(), all.end(), [&](const flush& beside) {
      if (&beside == &good || beside.begun > good.ended) return false;
      const bool is_over = beside.ended != 0 && beside.ended < failure.begun;
      return !is_over || (failed(beside) && beside.ended > good.begun);
    });
  });
}

bool deferred_model::maybe_covered(const write& w, const flush& failure) const {
  return std::any_of(flushes_.all().begin(), flushes_.all().end(), [&](const flush& good) {
    return good.how == flush_log::ending::good && good.begun > w.begun && good.ended < failure.ended;
  });
}

bool deferred_model::failed_between(std::uint64_t after, std::uint64_t before) const {
  return std::any_of(flushes_.all().begin(), flushes_.all().end(),
                     [&](const flush& f) { return failed(f) && f.ended > after && f.ended < before; });
}

bool deferred_model::concerns(const flush& failure, const std::vector<write>& writes) const {
  return std::any_of(writes.begin(), writes.end(),
                     [&](const write& w) { return w.begun < failure.ended && !surely_covered(w, failure); });
}

/// Of a failure that ended before then.
bool deferred_model::may_hear(const nexus& n, std::uint64_t before) const {
  return std::any_of(flushes_.all().begin(), flushes_.all().end(), [&](const flush& f) {
    return failed(f) && f.ended > n.may_after && f.ended < before && concerns(f, n.writes);
  });
}

/// Reports come to the host in another order than they were made in, when a status waits for data of its command, or
/// when two units make them of which one takes the place of the other. So what was under way when a report came may
/// tell of another failure that seemed part of it. Each tells of one that the others do not tell of.
bool deferred_model::was_overtaken(nexus& n, const hearing& by) const {
  for (report& r : n.reports) {
    if (!r.unsure && (!by.may_be_late || r.heard < by.begun)) continue;
    const auto reportable = std::count_if(flushes_.all().begin(), flushes_.all().end(), [&](const flush& f) {
      if (!failed(f) || f.ended <= r.may_after || f.ended > r.heard) return false;
      return f.begun == r.of || concerns(f, r.writes);
    });
    if (reportable <= 1 + static_cast<std::ptrdiff_t>(r.overtaken)) continue;
    ++r.overtaken;
    return true;
  }
  return false;
}

/// The latest failure that the command surely told of.
const deferred_model::flush* deferred_model::told_of(const hearing& by) const {
  const flush* latest = nullptr;
  const flush* meanwhile = nullptr;
  unsigned failed_meanwhile = 0;
  for (const flush& f : flushes_.all()) {
    if (!failed(f)) continue;
    if (f.ended_ns + spread_ns < by.begun_ns) latest = &f;
    if (f.ended > by.begun && ++failed_meanwhile == 1) meanwhile = &f;
  }
  return by.by_its_own_flush && failed_meanwhile == 1 ? meanwhile : latest;
}

std::string deferred_model::told(unsigned host, const hearing& by, std::uint64_t now) {
  nexus& n = nexuses_.at(host);
  n.must_after = now;
  // Whoever flushes hears how that ended, whether he wrote or not.
  const bool own_failed = by.by_its_own_flush && failed_between(by.begun, now);
  if (!own_failed && !may_hear(n, now))
    return was_overtaken(n, by) ? "" : "it hears of a failed flush that does not concern it, or once more";
  if (const flush* f = told_of(by)) {
    // Its own flush may have been good, and what failed meanwhile another one, while the answer was on its way.
    const bool unsure = f->ended > by.begun && may_hear(n, by.begun);
    n.reports.push_back({now, f->begun, n.may_after, n.writes, unsure});
    n.may_after = std::max(n.may_after, f->ended);
    std::erase_if(n.writes, [f](const write& w) { return w.ended < f->ended; });
  }
  return {};
}

/// The first failure after a write is told of; for a later one the write says nothing.
bool deferred_model::must_have_told(unsigned host, std::uint64_t begun_ns) const {
  if (!flushes_.any_failed()) return false;
  const nexus& n = nexuses_.at(host);
  for (const flush& f : flushes_.all()) {
    if (!failed(f) || f.ended <= n.must_after || f.ended_ns + spread_ns >= begun_ns) continue;
    for (const write& w : n.writes)
      if (w.certain && w.ended < f.ended && !maybe_covered(w, f) && !failed_between(w.begun, f.ended)) return true;
  }
  return false;
}

}  // namespace sluice::sim
