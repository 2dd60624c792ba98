#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "actors/reactor/simulated.hpp"
#include "tiers/cache/test_history.hpp"
#include "tiers/cache/test_setup.hpp"
#include "tiers/fault/fault_store.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/store/contract_kit.hpp"
#include "tiers/store/contract_seeds.hpp"

/// Several cores, a store below that takes its time and fails, and a checker of every value that is read.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::test_request;

struct plan_of_run {
  std::uint64_t seed;
  const mode* how;
  bool faults = true;
  bool flash = false;
  bool sequential = false;      // some reads go on where another ended: what follows is read ahead
  bool changes = false;         // the tiers change while requests are under way
  bool foreign_writer = false;  // somebody writes to the store below behind the cache's back: must be seen
};

class concurrent_run {
 public:
  explicit concurrent_run(const plan_of_run& plan) : plan_(plan), world_(plan.seed), random_(plan.seed) {
    control_ = world_.make_loop(100);
    cores_.resize(1 + random_() % 4);
    for (unsigned i = 0; i < cores_.size(); ++i) cores_[i].loop = world_.make_loop(i);
    // What cannot shrink grows from its half on.
    shrinks_ = !plan.flash && !plan.how->journals;
    size_sectors_ = shrinks_ ? sectors : sectors / 2;
    file_ = *file::open_store({.path = "/image", .size_bytes = size_sectors_ * sector_bytes}, *control_);
    fault::chances odds;
    odds.seed = plan.seed;
    odds.delay_ppm = 50'000;
    odds.delay_ns = 5 * ns_per_ms;
    if (plan.faults) odds.read_error_ppm = odds.write_error_ppm = odds.torn_write_ppm = odds.no_space_ppm = 20'000;
    const std::uint64_t rams[] = {128 * kib, 512 * kib, 2 * mib};
    test_flash flash;
    if (plan.flash) flash = {control_.get(), "/flash", (random_() % 2 == 0 ? 256 : 1024) * kib};
    if (plan.how->journals && !plan.flash) flash.loop = control_.get();
    store_ =
        test_over(std::make_shared<fault::fault_store>(file_, odds), *plan.how,
                  plan.foreign_writer ? 2 * mib
                  : plan.flash        ? 128 * kib
                                      : rams[random_() % 3],
                  random_() % 2 == 0 || plan.foreign_writer ? 0 : 64 * kib, flash, plan.sequential ? 128 * kib : 0);
    if (plan.flash)
      journaled_flash_ = {
          flash.path,       flash.size_bytes + flash.dirty_bytes, flash.segment_blocks, flash.region_blocks, true,
          flash.dirty_bytes};
    if (!plan.flash) volatile_dirty_ = flash.dirty_bytes;
    const std::uint64_t percents[] = {3, 10, 30, 60};
    write_percent_ = plan.foreign_writer ? 3 : percents[random_() % 4];
    world_.options().disk_latency_ns = {20 * ns_per_us, random_() % 2 == 0 ? 200 * ns_per_us : 2 * ns_per_ms};
    world_.options().early_read = plan.seed % 4 == 3 ? 0.5 : 0;
  }
  ~concurrent_run() {
    for (core& c : cores_) c.lent.clear();
    for (core& c : cores_) {
      if (c.channel) world_.run_until([&] { return c.channel->idle(); }, world_.now_ns() + 10 * ns_per_s);
      c.channel.reset();
    }
    foreign_.reset();
    world_.run_for(ns_per_s);  // shards that were on their way to another owner
    store_.reset();
    file_.reset();
  }

  /// Empty, or what was wrong.
  std::string run() {
    for (core& c : cores_) c.loop->post([this, &c] { c.channel = store_->attach(*c.loop); });
    control_->post([this] { foreign_ = file_->attach(*control_); });
    world_.run_for(ns_per_ms);
    for (int step = 0; step < 1500 && wrong_.empty(); ++step) {
      core& c = cores_[random_() % cores_.size()];
      if (c.in_flight < 6) c.loop->post([this, &c] { act(c); });
      world_.run_for(random_() % 400 * ns_per_us);
      if (step % 401 == 400) shrinks_ ? change_size() : grow();
      if (step % 301 == 300) move_in_or_out();
      if (plan_.changes && step % 67 == 66) change_tiers();
      if (plan_.changes && step % 67 == 33) static_cast<cache_store&>(*store_).take_over();  // what was on its way
      if (plan_.foreign_writer && step % 9 == 0) write_behind_its_back();
    }
    world_.run_until([this] { return in_flight_ == 0; }, world_.now_ns() + 60 * ns_per_s);
    if (in_flight_ != 0) return "requests are never answered";
    check_at_rest();
    return wrong_;
  }
  double flash_hits() const { return std::max(0.0, figure_of(*store_, "flash_hit_blocks")); }
  double used_of_read_ahead() const { return figure_of(*store_, "prefetch_used_blocks"); }
  unsigned changed() const { return changed_; }
  unsigned compared() const { return compared_; }
  unsigned journals() const { return journals_; }
  double hit_ratio() const { return figure_of(*store_, "ram_hit_ratio"); }

 private:
  static constexpr std::uint64_t size = 512 * kib;
  static constexpr std::uint64_t sectors = size / sector_bytes;

  struct core {
    std::unique_ptr<reactor::loop> loop;
    std::unique_ptr<sluice::store::channel> channel;
    unsigned in_flight = 0;
    std::uint64_t next_in_row = 0;
    struct loan {
      std::vector<memory::slice> slices;
      std::uint64_t first, count, start;
    };
    std::vector<loan> lent;
    std::vector<std::unique_ptr<test_request>> requests;
  };

  void fail_with(const std::string& what) {
    if (wrong_.empty()) wrong_ = "at " + std::to_string(world_.now_ns()) + ": " + what;
  }

  void check(std::uint64_t first, const std::vector<std::uint8_t>& found, std::uint64_t start, const char* how) {
    for (std::uint64_t s = 0; s * sector_bytes < found.size(); ++s) {
      const history::value v = history::value_of(found.data() + s * sector_bytes);
      if (v == history::never) return fail_with("a torn sector " + std::to_string(first + s));
      check_sector(first + s, v, start, how);
      last_seen_[first + s] = v;
    }
  }
  void check_sector(std::uint64_t sector, history::value v, std::uint64_t start, const char* how) {
    if (history_.may_read(sector, v, start, world_.now_ns())) return;
    fail_with(std::string(how) + " since " + std::to_string(start) + ": sector " + std::to_string(sector) + " holds " +
              std::to_string(v) + " of" + history_.tell(sector));
  }

  std::uint64_t draw_first(std::uint64_t count) {
    const std::uint64_t room = size_sectors_ - count + 1;
    return random_() % 3 == 0 ? random_() % room : std::min({random_() % room, random_() % room, random_() % room});
  }

  void act(core& c) {
    if (!c.channel) return;
    return_loan(c);
    const std::uint64_t count = 1 + (random_() % 16 == 0 ? random_() % 200 : random_() % 16);
    if (plan_.sequential && random_() % 4 != 0) return read_on(c);
    if (random_() % 40 == 0) return flush(c);
    const std::uint64_t first = draw_first(count);
    if (random_() % 100 >= write_percent_) return read(c, first, count);
    switch (random_() % 6) {
      case 0:
        return compare(c, first, std::min<std::uint64_t>(count, 16));
      case 1:
        return write(c, random_() % 2 ? verb::discard : verb::write_zeroes, first, count);
      case 2:
        return write(c, verb::write_same, first, count);
      default:
        return write(c, verb::write, first, count);
    }
  }

  void read_on(core& c) {
    if (c.next_in_row + 8 > size_sectors_ || random_() % 64 == 0) c.next_in_row = random_() % (size_sectors_ / 2);
    read(c, c.next_in_row, 8);
    c.next_in_row += 8;
  }

  /// What was lent must still be something that the sectors held since.
  void return_loan(core& c) {
    if (c.lent.empty() || random_() % 2 == 0) return;
    core::loan loan = std::move(c.lent.back());
    c.lent.pop_back();
    std::vector<std::uint8_t> seen;
    for (const memory::slice& s : loan.slices) seen.insert(seen.end(), s.data(), s.data() + s.size());
    check(loan.first, seen, loan.start, "lent");
  }

  void read(core& c, std::uint64_t first, std::uint64_t count) {
    const std::uint64_t start = world_.now_ns();
    core::loan loan{{}, first, count, start};
    if (random_() % 2 == 0 && c.channel->borrow(first * sector_bytes, count * sector_bytes, loan.slices)) {
      c.lent.push_back(std::move(loan));
      return;
    }
    auto made = std::make_unique<test_request>(verb::read, first * sector_bytes, count * sector_bytes,
                                               payload(random_, std::vector<std::uint8_t>(count * sector_bytes, 0xee)));
    test_request* r = made.get();
    status now;
    if (random_() % 2 == 0 && c.channel->try_now(*r, now)) {
      if (now == status::good) check(first, r->content(), start, "read at once");
      return;
    }
    r->on_done = [this, &c, r, first, start] {
      if (r->outcome == status::good) check(first, r->content(), start, "read");
      settled(c);
    };
    submit(c, std::move(made));
  }

  void write(core& c, verb what, std::uint64_t first, std::uint64_t count) {
    const bool zero = what == verb::discard || what == verb::write_zeroes;
    const history::value v = zero ? 0 : next_value_++;
    const std::uint64_t start = world_.now_ns();
    std::vector<std::uint8_t> content(zero ? 0 : (what == verb::write_same ? 1 : count) * sector_bytes);
    history::fill(content, v);
    auto made = std::make_unique<test_request>(what, first * sector_bytes, count * sector_bytes,
                                               what == verb::write_same ? whole(content) : payload(random_, content));
    history_.begin(first, count, v, start);
    busy_.emplace_back(first, count);
    made->fua = random_() % 8 == 0;
    test_request* r = made.get();
    r->on_done = [this, &c, r, first, count, v, start] {
      history_.end(first, count, v, start, r->outcome == status::good, world_.now_ns());
      busy_.erase(std::find(busy_.begin(), busy_.end(), std::pair(first, count)));
      settled(c);
    };
    submit(c, std::move(made));
  }
  void flush(core& c) {
    auto made = std::make_unique<test_request>(verb::flush, 0, 0);
    made->on_done = [this, &c] { settled(c); };
    submit(c, std::move(made));
  }
  payload whole(const std::vector<std::uint8_t>& content) {
    for (;;)
      if (payload made(random_, content); made.parts().size() == 1) return made;
  }

  /// Nothing else may overlap it: the caller's promise.
  void compare(core& c, std::uint64_t first, std::uint64_t count) {
    for (const auto& [from, length] : busy_)
      if (from < first + count && first < from + length) return;
    const history::value v = next_value_++;
    std::vector<std::uint8_t> expected(count * sector_bytes), replacement(count * sector_bytes);
    // What somebody saw there last, and what would be there if that had been replaced since.
    const std::vector<history::value> bet(last_seen_.begin() + static_cast<std::ptrdiff_t>(first),
                                          last_seen_.begin() + static_cast<std::ptrdiff_t>(first + count));
    for (std::uint64_t s = 0; s < count; ++s)
      history::fill(bytes(expected).subspan(s * sector_bytes, sector_bytes), bet[s]);
    history::fill(replacement, v);
    payload both(random_, expected);
    const auto compare_parts = static_cast<unsigned>(both.parts().size());
    both.append(payload(random_, replacement));
    auto made = std::make_unique<test_request>(verb::compare_and_write, first * sector_bytes, count * sector_bytes,
                                               std::move(both));
    made->parts_compare = compare_parts;
    const std::uint64_t start = world_.now_ns();
    history_.begin(first, count, v, start);
    busy_.emplace_back(first, count);
    test_request* r = made.get();
    r->on_done = [this, &c, r, first, count, v, start, bet] {
      if (r->outcome == status::good) {
        ++compared_;
        for (std::uint64_t s = 0; s < count; ++s) check_sector(first + s, bet[s], start, "compared");
      }
      history_.end(first, count, v, start, r->outcome == status::good, world_.now_ns());
      busy_.erase(std::find(busy_.begin(), busy_.end(), std::pair(first, count)));
      settled(c);
    };
    submit(c, std::move(made));
  }

  void submit(core& c, std::unique_ptr<test_request> made) {
    ++c.in_flight;
    ++in_flight_;
    c.requests.push_back(std::move(made));
    test_request& r = *c.requests.back();
    r.submitting = true;
    c.channel->submit(r);
    r.submitting = false;
  }
  void settled(core& c) {
    --c.in_flight;
    --in_flight_;
  }

  /// Cuts the store and lets it grow again, while reads are under way everywhere, and writes before the cut.
  void change_size() {
    const std::uint64_t cut = sectors / 2 + random_() % (sectors / 2);
    size_sectors_ = cut;
    const auto untouched = [&] {
      return std::none_of(busy_.begin(), busy_.end(), [&](const auto& each) { return each.first + each.second > cut; });
    };
    world_.run_until(untouched, world_.now_ns() + ns_per_s);
    const std::uint64_t start = world_.now_ns();
    history_.begin(cut, sectors - cut, 0, start);
    if (!store_->resize(cut * sector_bytes)) return fail_with("cannot shrink");
    world_.run_for(random_() % 3 * ns_per_ms);
    if (!store_->resize(size)) return fail_with("cannot grow");
    history_.end(cut, sectors - cut, 0, start, true, world_.now_ns());
    size_sectors_ = sectors;
  }

  void grow() {
    const std::uint64_t more = std::min(sectors, size_sectors_ + 1 + random_() % (sectors / 3));
    if (!store_->resize(more * sector_bytes)) return fail_with("cannot grow");
    size_sectors_ = more;
  }

  /// A core goes, or comes back: shards change their owners.
  void move_in_or_out() {
    core& c = cores_[random_() % cores_.size()];
    if (cores_.size() == 1) return;
    world_.run_until([&] { return c.in_flight == 0; }, world_.now_ns() + ns_per_s);
    c.loop->post([this, &c] {
      if (c.in_flight != 0 || (c.channel && !c.channel->idle())) return;
      if (c.channel)
        c.channel.reset();  // what it lent may come back later
      else
        c.channel = store_->attach(*c.loop);
    });
    world_.run_for(ns_per_ms);
  }

  /// Other RAM, flash and manners, or the same tiers without what they hold, or another one that uses what lies below.
  void change_tiers() {
    auto& cache = static_cast<cache_store&>(*store_);
    options wanted;
    // A cache with a journal changes to any mode and back; one without has no room for write-back.
    do wanted.mode = modes()[random_() % modes().size()];
    while (wanted.mode->journals && !plan_.how->journals);
    wanted.prefetch_bytes = plan_.sequential && random_() % 4 != 0 ? 128 * kib : 0;
    wanted.bypass_bytes = random_() % 2 == 0 ? 0 : 64 * kib;
    const std::uint64_t rams[] = {128 * kib, 256 * kib, 512 * kib};
    wanted.ram_bytes = rams[random_() % 3];
    const std::uint64_t flashes[] = {256 * kib, 1024 * kib};
    const std::string path = random_() % 2 == 0 ? "/flash" : "/flash2";
    if (random_() % 4 != 0) wanted.flash = {path, flashes[random_() % 2], 8, 8};
    if (plan_.how->journals) wanted.flash = journaled_flash_;
    if (plan_.how->journals) wanted.volatile_dirty_bytes = volatile_dirty_;
    wanted.record_blocks = 16;
    if (plan_.how->journals && random_() % 3 == 0) {
      const std::uint64_t dirty = (1 + random_() % 2) * mib;
      wanted.flash = {path, dirty + flashes[random_() % 2], 8, 8, true, dirty};
      wanted.volatile_dirty_bytes = 0;
    }
    const auto change = cache.prepare(wanted, random_() % 8 == 0);
    if (!change) {
      // A flash that is on its way out may still have its file open.
      if (change.error().code != errc::busy) fail_with(change.error().message);
      return;
    }
    if (change->after_hand_over) {
      cache.begin_hand_over();
      const auto is_over = [&] { return cache.handed_over().has_value(); };
      if (!world_.run_until(is_over, world_.now_ns() + 5 * ns_per_s)) return cache.take_over();
      journaled_flash_ = wanted.flash;
      volatile_dirty_ = wanted.volatile_dirty_bytes;
      ++journals_;
    }
    (*change)();
    if (change->after_hand_over) cache.take_over();
    ++changed_;
  }

  void write_behind_its_back() {
    const std::uint64_t first = draw_first(16);
    const history::value v = next_value_++;
    std::vector<std::uint8_t> content(16 * sector_bytes);
    history::fill(content, v);
    foreign_requests_.push_back(
        std::make_unique<test_request>(verb::write, first * sector_bytes, content.size(), payload(random_, content)));
    test_request* r = foreign_requests_.back().get();
    const std::uint64_t start = world_.now_ns();
    history_.begin(first, 16, v, start);
    ++in_flight_;
    r->on_done = [this, r, first, v, start] {
      history_.end(first, 16, v, start, r->outcome == status::good, world_.now_ns());
      --in_flight_;
    };
    control_->post([this, r] { foreign_->submit(*r); });
  }

  void check_at_rest() {
    for (core& c : cores_) {
      for (const core::loan& loan : c.lent) {
        std::vector<std::uint8_t> seen;
        for (const memory::slice& s : loan.slices) seen.insert(seen.end(), s.data(), s.data() + s.size());
        check(loan.first, seen, loan.start, "lent");
      }
      c.lent.clear();
      if (c.channel) c.loop->post([this, &c] { read(c, 0, size_sectors_); });
    }
    world_.run_for(ns_per_s);
  }

  const plan_of_run plan_;
  reactor::sim_world world_;
  std::mt19937_64 random_;
  std::unique_ptr<reactor::loop> control_;
  std::vector<core> cores_;
  std::shared_ptr<sluice::store::store> file_, store_;
  std::unique_ptr<sluice::store::channel> foreign_;
  std::vector<std::unique_ptr<test_request>> foreign_requests_;
  history history_{sectors};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> busy_;
  std::uint64_t size_sectors_ = 0;
  std::uint64_t write_percent_ = 0;
  std::uint64_t in_flight_ = 0;
  unsigned changed_ = 0;
  unsigned compared_ = 0;
  bool shrinks_ = true;
  flash_options journaled_flash_;     // as it is now
  std::uint64_t volatile_dirty_ = 0;  // likewise
  unsigned journals_ = 0;             // that took the place of others
  history::value next_value_ = 1;
  std::vector<history::value> last_seen_ = std::vector<history::value>(sectors);
  std::string wrong_;
};

class concurrency : public testing::TestWithParam<const mode*> {};

TEST_P(concurrency, no_read_is_ever_stale) {
  double hits = 0;
  unsigned compared = 0;
  const std::uint64_t seeds = sluice::store::contract::seeds_or(100);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    concurrent_run run({.seed = seed, .how = GetParam(), .faults = seed % 2 == 0});
    ASSERT_EQ(run.run(), "") << "seed " << seed;
    hits += run.hit_ratio();
    compared += run.compared();
  }
  EXPECT_GT(hits / static_cast<double>(seeds), 0.05) << "a cache that never answers proves nothing";
  EXPECT_GT(compared, 5 * seeds);
}

TEST_P(concurrency, no_read_is_ever_stale_with_flash) {
  double hits = 0;
  const std::uint64_t seeds = sluice::store::contract::seeds_or(60);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    concurrent_run run({.seed = seed, .how = GetParam(), .faults = seed % 2 == 0, .flash = true});
    ASSERT_EQ(run.run(), "") << "seed " << seed;
    hits += run.flash_hits();
  }
  EXPECT_GT(hits, 10 * seeds);
}

TEST_P(concurrency, no_read_is_ever_stale_that_was_read_ahead) {
  double used = 0;
  constexpr std::uint64_t seeds = 100;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    concurrent_run run({.seed = seed,
                        .how = GetParam(),
                        .faults = seed % 2 == 0,
                        .flash = seed % 3 == 0,
                        .sequential = true,
                        .changes = seed % 3 == 0});
    ASSERT_EQ(run.run(), "") << "seed " << seed;
    used += run.used_of_read_ahead();
  }
  EXPECT_GT(used, 50 * seeds);
}

TEST_P(concurrency, no_read_is_ever_stale_while_the_tiers_change) {
  double hits = 0, flash_hits = 0;
  unsigned changed = 0, journals = 0;
  std::vector<std::uint64_t> seeds{222, 514};  // these once found something
  for (std::uint64_t seed = 1; seed <= sluice::store::contract::seeds_or(100); ++seed) seeds.push_back(seed);
  for (const std::uint64_t seed : seeds) {
    // In write-back also with a journal in memory.
    const bool flash = !GetParam()->journals || seed % 3 != 0;
    concurrent_run run({.seed = seed, .how = GetParam(), .faults = seed % 2 == 0, .flash = flash, .changes = true});
    ASSERT_EQ(run.run(), "") << "seed " << seed;
    hits += run.hit_ratio();
    flash_hits += run.flash_hits();
    changed += run.changed();
    journals += run.journals();
  }
  EXPECT_GT(hits / static_cast<double>(seeds.size()), 0.01);
  EXPECT_GT(flash_hits, seeds.size());
  EXPECT_GT(changed, 15 * seeds.size());
  if (GetParam()->journals) {
    EXPECT_GT(journals, 3 * seeds.size());
  }
}

TEST_P(concurrency, the_checker_sees_what_a_stale_read_is) {
  unsigned seen = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    if (!concurrent_run(
             {.seed = seed, .how = GetParam(), .faults = false, .flash = seed % 2 == 0, .foreign_writer = true})
             .run()
             .empty())
      ++seen;
  EXPECT_GE(seen, 9U);
}

std::string mode_name(const testing::TestParamInfo<const mode*>& info) {
  std::string name = info.param->name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(cache, concurrency, testing::ValuesIn(modes()), mode_name);

}  // namespace
}  // namespace sluice::cache
