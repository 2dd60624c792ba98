#include "tests/sim/deferred_model.hpp"

#include <algorithm>

namespace sluice::sim {

void deferred_model::nexus_begins(unsigned host, std::uint64_t now) {
  nexuses_.at(host) = {{}, now, now};
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

bool deferred_model::may_hear(const nexus& n) const {
  for (const flush& f : flushes_.all()) {
    if (!failed(f) || f.ended <= n.may_after) continue;
    for (const write& w : n.writes)
      if (w.begun < f.ended && !surely_covered(w, f)) return true;
  }
  return false;
}

/// The latest failure that the command surely told of.
const deferred_model::flush* deferred_model::told_of(std::uint64_t begun, std::uint64_t begun_ns,
                                                     bool by_its_own_flush) const {
  const flush* latest = nullptr;
  const flush* meanwhile = nullptr;
  unsigned failed_meanwhile = 0;
  for (const flush& f : flushes_.all()) {
    if (!failed(f)) continue;
    if (f.ended_ns + spread_ns < begun_ns) latest = &f;
    if (f.ended > begun && ++failed_meanwhile == 1) meanwhile = &f;
  }
  return by_its_own_flush && failed_meanwhile == 1 ? meanwhile : latest;
}

std::string deferred_model::told(unsigned host, std::uint64_t begun, std::uint64_t begun_ns, std::uint64_t now,
                                 bool by_its_own_flush) {
  nexus& n = nexuses_.at(host);
  // Whoever flushes hears how that ended, whether he wrote or not.
  const bool own_failed = by_its_own_flush && failed_between(begun, now);
  if (!own_failed && !may_hear(n)) return "it hears of a failed flush that does not concern it, or once more";
  n.must_after = now;
  if (const flush* f = told_of(begun, begun_ns, by_its_own_flush)) {
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
