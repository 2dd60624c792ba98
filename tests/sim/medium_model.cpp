#include "tests/sim/medium_model.hpp"

#include <algorithm>

#include "actors/base/check.hpp"

namespace sluice::sim {

medium_model::medium_model(judge& told, std::uint64_t sectors, bool lasting)
    : judge_(told), lasting_(lasting), sectors_(sectors, sector{value{zeroes, 0, 0, never}}) {}

stamp medium_model::stamp_of(std::uint64_t write, pattern what, std::uint64_t number) {
  if (what == pattern::zero) return zeroes;
  return make_stamp(write, what == pattern::same ? any_sector : static_cast<std::uint32_t>(number));
}

void medium_model::begin_write(std::uint64_t write, range where, pattern what) {
  SLUICE_CHECK(where.first + where.count <= sectors_.size());
  writes_.emplace(write, writing{where, what, judge_.tick(), powers_lost_});
  for (std::uint64_t i = where.first; i < where.first + where.count; ++i)
    sectors_[i].push_back({stamp_of(write, what, i), write});
  for (auto& [id, read] : reads_) {
    if (!read.where.overlaps(where)) continue;
    const std::uint64_t end = std::min(read.where.first + read.where.count, where.first + where.count);
    for (std::uint64_t i = std::max(read.where.first, where.first); i < end; ++i)
      read.may_be[i - read.where.first].push_back({stamp_of(write, what, i), write});
  }
}

void medium_model::conclude(std::uint64_t write, std::uint64_t when) {
  const auto found = writes_.find(write);
  SLUICE_CHECK(found != writes_.end());
  const range where = found->second.where;
  for (std::uint64_t i = where.first; i < where.first + where.count; ++i)
    for (value& each : sectors_[i])
      if (each.write == write) each.ended = std::min(each.ended, when);
}

/// A write that began after it had ended is acknowledged, and not durable yet.
void medium_model::supersede(value& older, std::uint64_t now) {
  older.superseded = older.outlasts_flushes ? now : std::min(older.superseded, now);
  older.replaced = older.outlasts_flushes ? now : std::min(older.replaced, now);
  older.outlasts_flushes = false;
}

/// The medium cannot go back to what was replaced before that.
void medium_model::forget_superseded(sector& of, std::uint64_t before) {
  std::erase_if(of, [before](const value& each) { return each.superseded < before && !each.outlasts_flushes; });
}

void medium_model::end_write(std::uint64_t write, bool durable) {
  const std::uint64_t now = judge_.tick();
  conclude(write, now);
  const writing done = writes_.extract(write).mapped();
  if (!durable && done.powers_lost != powers_lost_) return;
  for (std::uint64_t i = done.where.first; i < done.where.first + done.where.count; ++i) {
    sector& of = sectors_[i];
    const auto older = [&](const value& each) { return each.write != write && each.ended < done.begun; };
    if (durable || !lasting_)
      std::erase_if(of, older);
    else
      for (value& each : of)
        if (older(each)) supersede(each, now);
  }
}

void medium_model::undecided(std::uint64_t write) {
  conclude(write, judge_.tick());
  writes_.erase(write);
}

void medium_model::stopped(std::uint64_t write) {
  if (writes_.contains(write)) conclude(write, judge_.tick());
}

void medium_model::refused(std::uint64_t write) {
  judge_.tick();
  const auto found = writes_.find(write);
  SLUICE_CHECK(found != writes_.end());
  const range where = found->second.where;
  for (std::uint64_t i = where.first; i < where.first + where.count; ++i)
    std::erase_if(sectors_[i], [write](const value& each) { return each.write == write; });
  writes_.erase(found);
  refused_.insert(write);
}

void medium_model::begin_read(std::uint64_t read, range where) {
  reading started{where, judge_.tick(), powers_lost_, {}};
  for (std::uint64_t i = where.first; i < where.first + where.count; ++i) {
    std::vector<candidate>& may_be = started.may_be.emplace_back();
    for (const value& each : sectors_.at(i))
      if (each.superseded == never) may_be.push_back({each.content, each.write});
  }
  reads_.emplace(read, std::move(started));
}

bool medium_model::holds(const std::vector<candidate>& may_be, stamp content) const {
  return std::any_of(may_be.begin(), may_be.end(),
                     [&](const candidate& each) { return each.content == content && !refused_.contains(each.write); });
}

bool medium_model::possible(std::uint64_t read, const std::vector<stamp>& claimed) const {
  const reading& of = reads_.at(read);
  for (std::size_t i = 0; i < claimed.size(); ++i)
    if (!holds(of.may_be[i], claimed[i])) return false;
  return true;
}

bool medium_model::possibly_other(std::uint64_t read, const std::vector<stamp>& claimed) const {
  const reading& of = reads_.at(read);
  for (std::size_t i = 0; i < claimed.size(); ++i)
    for (const candidate& each : of.may_be[i])
      if (each.write != read && each.content != claimed[i] && !refused_.contains(each.write)) return true;
  return false;
}

void medium_model::narrow(sector& of, stamp content, std::uint64_t since) {
  const std::uint64_t now = judge_.now();
  for (value& each : of)
    if (each.content != content && each.ended < since) each.superseded = std::min(each.superseded, now);
}

static std::string describe(stamp s) {
  if (s == zeroes) return "zeroes";
  return "write " + std::to_string(s >> 32) + " of sector " +
         (static_cast<std::uint32_t>(s) == any_sector ? "any" : std::to_string(static_cast<std::uint32_t>(s)));
}

void medium_model::end_read(std::uint64_t read, const std::vector<stamp>& seen, bool from_medium) {
  judge_.tick();
  const reading done = reads_.extract(read).mapped();
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (!holds(done.may_be[i], seen[i])) {
      std::string why = "read " + std::to_string(read) + ": sector " + std::to_string(done.where.first + i) +
                        " holds " + describe(seen[i]) + ", but may hold only:";
      for (const candidate& each : done.may_be[i]) why += " [" + describe(each.content) + "]";
      return judge_.fail(std::move(why));
    }
    if (done.powers_lost != powers_lost_) continue;
    sector& of = sectors_[done.where.first + i];
    if (from_medium) forget_superseded(of, done.begun);
    narrow(of, seen[i], done.begun);
  }
}

void medium_model::forget_read(std::uint64_t read) {
  judge_.tick();
  reads_.erase(read);
}

void medium_model::flushed(std::uint64_t begun) {
  judge_.tick();
  for (sector& of : sectors_) forget_superseded(of, begun);
}

void medium_model::acknowledged_flushed(std::uint64_t begun) {
  judge_.tick();
  for (sector& of : sectors_)
    std::erase_if(of, [begun](const value& each) { return each.replaced < begun && !each.outlasts_flushes; });
}

void medium_model::restarted_after_loss() {
  for (sector& of : sectors_)
    for (value& each : of) each.outlasts_flushes = true;
}

void medium_model::power_lost() {
  const std::uint64_t now = judge_.tick();
  ++powers_lost_;
  for (sector& of : sectors_) {
    if (!lasting_) {
      of.assign(1, value{zeroes, 0, now, never});
      continue;
    }
    for (value& each : of) {
      each.ended = std::min(each.ended, now);
      each.superseded = each.replaced = never;
      each.outlasts_flushes = false;
    }
  }
  if (lasting_) return;
  // What was under way is gone with the medium.
  for (auto& [id, each] : writes_) each.where.count = 0;
}

}  // namespace sluice::sim
