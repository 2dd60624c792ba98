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

/// A cache whose journal changes in any way under the requests of several cores, as a gateway changes it, with the
/// power lost or the process killed at moments of chance: every acknowledged sector is there afterwards, with the
/// configuration from before the change or with the one after it.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::test_request;

class change_run {
 public:
  struct outcome {
    unsigned changes = 0, refused = 0, crashes_in_change = 0, went_back = 0;
    std::uint64_t journaled_bytes = 0;
  };

  explicit change_run(std::uint64_t seed) : world_(seed), random_(seed) {
    world_.options().disk_latency_ns = {20 * ns_per_us, random_() % 2 == 0 ? 200 * ns_per_us : 2 * ns_per_ms};
    world_.options().early_read = random_() % 2 == 0 ? 0 : 0.5;
    size_ = random_() % 3 == 0 ? 255 * 1024 + 512 : 256 * 1024;
    cores_.resize(1 + random_() % 3);
    faults_ = random_() % 3 == 0;
    before_ = after_ = draw();
  }
  ~change_run() {
    world_.crash();
    drop();
  }

  void run(outcome& sum) {
    const unsigned lives = 2 + static_cast<unsigned>(random_() % 4);
    for (unsigned life = 0; life <= lives && !failed(); ++life) {
      SCOPED_TRACE("life " + std::to_string(life));
      open(sum);
      if (failed()) return;
      if (life == lives || random_() % 2 == 0) check_all();
      if (life == lives) return;
      for (unsigned i = random_() % 4; i > 0 && !failed(); --i) {
        work(random_() % 100);
        change(sum);
      }
      work(random_() % 60);
      // The end comes at any step of one more change.
      steps_left_ = random_() % 40;
      change(sum);
      if (steps_left_ == 0) ++sum.crashes_in_change;
      steps_left_ = UINT64_MAX;
      sum.journaled_bytes += static_cast<std::uint64_t>(std::max(0.0, figure_of(*store_, "journal_written_bytes")));
      end_life();
    }
  }

 private:
  struct core {
    std::unique_ptr<reactor::loop> loop;
    std::unique_ptr<sluice::store::channel> channel;
    unsigned in_flight = 0;
  };
  struct write_under_way {
    std::uint64_t first, count;
    history::value what;
    std::uint64_t start;
  };

  static bool failed() { return testing::Test::HasFailure(); }
  std::uint64_t sectors() const { return size_ / sector_bytes; }

  /// Any configuration: no flash, flash with and without a journal, a journal in memory.
  options draw() {
    options wanted;
    wanted.ram_bytes = (random_() % 2 == 0 ? 128 : 256) * kib;
    wanted.bypass_bytes = 0;
    wanted.prefetch_bytes = 0;
    wanted.record_blocks = 8;
    wanted.medium = "below";
    wanted.destage_delay_ns = (1 + random_() % 20) * ns_per_ms;
    const std::uint64_t kind = random_() % 8;
    if (kind >= 2) {
      const std::uint64_t dirty = kind == 2 ? 0 : (66 + random_() % 3 * 32) * block_bytes;
      wanted.flash = {random_() % 2 == 0 ? "/flash" : "/flash2", (random_() % 2 == 0 ? 256 : 512) * kib + dirty, 8, 8};
      wanted.flash.dirty_bytes = dirty;
      wanted.flash.journals = dirty != 0;
    }
    if (kind == 1) wanted.volatile_dirty_bytes = (66 + random_() % 2 * 64) * block_bytes;
    do wanted.mode = modes()[random_() % modes().size()];
    while (wanted.mode->journals && !wanted.has_journal());
    if (wanted.has_journal() && random_() % 4 != 0) wanted.mode = &write_back;
    return wanted;
  }

  // -- lives ---------------------------------------------------------------------------------------------------------

  /// As a gateway that starts: a medium that lacks data is used through the journal that holds them only.
  result<std::shared_ptr<cache_store>> try_open(const options& wanted) {
    auto file = file::open_store({.path = "/image", .size_bytes = opened_before_ ? 0 : size_}, *control_);
    if (!file) return tl::unexpected(file.error());
    opened_before_ = true;
    write_back_pages();
    sluice::store::ownership found = *(*file)->read_ownership();
    fault::chances odds;
    odds.seed = random_() | 1;
    if (faults_) odds.write_error_ppm = odds.torn_write_ppm = odds.flush_error_ppm = odds.no_space_ppm = 10'000;
    auto opened = cache_store::open(std::make_shared<fault::fault_store>(*file, odds), wanted, control_.get());
    if (opened && !found.holder.empty() && (*opened)->holder().empty())
      return fail(errc::busy, "the medium lacks data that are in " + found.holder);
    return opened;
  }
  /// What an earlier process left in the page cache gets to the disk by and by.
  void write_back_pages() {
    const auto image = control_->open_file("/image", {});
    ASSERT_TRUE(image && control_->sync_now(*image));
    control_->close(*image);
  }
  void open(outcome& sum) {
    control_ = world_.make_loop(100);
    for (unsigned i = 0; i < cores_.size(); ++i) cores_[i].loop = world_.make_loop(i);
    // What an operator does when the one is refused; in any order, for whichever opens must have all there is.
    if (random_() % 2 == 0) std::swap(before_, after_);
    auto opened = try_open(after_);
    if (!opened) {
      const std::string why = opened.error().message;
      opened = try_open(before_);
      ASSERT_TRUE(opened) << why << "; nor: " << opened.error().message;
      ++sum.went_back;
      after_ = before_;
    }
    before_ = after_;
    store_ = *opened;
    store_->on_change([this] { told_ = true; });
    store_->take_over();
    volatile_ = store_->describe().volatile_cache;
    for (core& c : cores_) c.loop->post([this, &c] { c.channel = store_->attach(*c.loop); });
    world_.run_until(
        [this] {
          return std::all_of(cores_.begin(), cores_.end(), [](const core& c) { return c.channel != nullptr; });
        },
        world_.now_ns() + ns_per_s);
  }
  void drop() {
    for (core& c : cores_) {
      c.channel.reset();
      c.in_flight = 0;
    }
    store_.reset();
    told_ = applying_ = false;
    world_.run_for(ns_per_ms);  // owners that were on their way to another loop
    for (core& c : cores_) c.loop.reset();
    control_.reset();
    for (const write_under_way& each : under_way_)
      history_.end(each.first, each.count, each.what, each.start, false, world_.now_ns());
    under_way_.clear();
    requests_.clear();
  }
  void end_life() {
    const std::uint64_t how = random_() % 4;
    if (how == 0) {
      world_.run_until([this] { return quiet(); }, world_.now_ns() + 60 * ns_per_s);
      ASSERT_TRUE(quiet()) << "requests are never answered" << store_->health();
      if (store_->describe().volatile_cache) {
        const std::uint64_t mark = store_->destage();
        world_.run_until([&] { return store_->undestaged_bytes(mark) == 0; }, world_.now_ns() + 60 * ns_per_s);
      }
      for (core& c : cores_)
        ASSERT_TRUE(world_.run_until([&] { return c.channel->idle(); }, world_.now_ns() + 10 * ns_per_s));
      return drop();
    }
    world_.run_for(random_() % (3 * ns_per_ms));
    if (how != 1) {
      world_.crash();
      for (const write_under_way& each : under_way_)
        history_.may_be_undone(each.first, each.count, each.what, each.start);
    }
    if (how == 1) {
      for (core& c : cores_) world_.kill(c.loop->index());
      world_.kill(control_->index());
    }
    drop();
  }
  bool quiet() const {
    return std::all_of(cores_.begin(), cores_.end(), [](const core& c) { return c.in_flight == 0; });
  }

  // -- the gateway ---------------------------------------------------------------------------------------------------

  /// The control thread while requests go on; false when this life is over.
  bool go_on() {
    if (steps_left_ == 0 || failed()) return false;
    if (steps_left_ != UINT64_MAX) --steps_left_;
    core& c = cores_[random_() % cores_.size()];
    if (c.in_flight < 5) c.loop->post([this, &c] { act(c); });
    world_.run_for(random_() % 300 * ns_per_us);
    if (applying_ || !std::exchange(told_, false)) return true;  // one thing at a time
    store_->take_over();
    volatile_ = store_->describe().volatile_cache;
    return true;
  }
  void work(std::uint64_t steps) {
    while (steps-- > 0 && go_on()) {
    }
  }
  bool is_held(const std::string& path) {
    const auto opened =
        path.empty() ? result<reactor::handle>(reactor::no_handle) : control_->open_file(path, {.exclusive = true});
    if (opened && *opened != reactor::no_handle) control_->close(*opened);
    return !opened && opened.error().code == errc::busy;
  }
  /// One apply.
  void change(outcome& sum) {
    const options wanted = draw();
    // A flash that is on its way out still has its file open.
    const std::uint64_t soon = world_.now_ns() + ns_per_s;
    while (wanted.flash.path != after_.flash.path && is_held(wanted.flash.path) && world_.now_ns() < soon)
      if (!go_on()) return;
    const auto ready = store_->prepare(wanted);
    if (!ready) {
      EXPECT_EQ(ready.error().code, errc::busy) << ready.error().message;
      ++sum.refused;
      return;
    }
    before_ = after_;
    after_ = wanted;
    applying_ = true;
    if (ready->after_hand_over) {
      store_->begin_hand_over();
      const std::uint64_t limit = world_.now_ns() + 2 * ns_per_s;
      while (!store_->handed_over() && world_.now_ns() < limit)
        if (!go_on()) return;
      if (!store_->handed_over()) {
        after_ = before_;
        applying_ = false;
        ++sum.refused;
        return store_->take_over();
      }
    }
    (*ready)();
    volatile_ = store_->describe().volatile_cache;
    if (!go_on()) return;
    store_->take_over();
    applying_ = false;
    ++sum.changes;
    work(random_() % 30);
  }

  // -- requests ------------------------------------------------------------------------------------------------------

  void act(core& c) {
    if (!c.channel) return;
    const std::uint64_t count = std::min(sectors(), 1 + (random_() % 16 == 0 ? random_() % 300 : random_() % 20));
    const std::uint64_t room = sectors() - count + 1;
    const std::uint64_t first = random_() % 2 == 0 ? random_() % room : std::min(random_() % room, random_() % room);
    switch (random_() % 16) {
      case 0:
        return flush(c);
      case 1:
        return write(c, verb::discard, first, count);
      case 2:
        return write(c, verb::write_zeroes, first, count);
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        return read(c, first, count);
      default:
        return write(c, verb::write, first, count);
    }
  }
  void submit(core& c, std::unique_ptr<test_request> r) {
    ++c.in_flight;
    requests_.push_back(std::move(r));
    test_request& sent = *requests_.back();
    sent.submitting = true;
    c.channel->submit(sent);
    sent.submitting = false;
  }
  void flush(core& c) {
    auto r = std::make_unique<test_request>(verb::flush, 0, 0);
    r->on_done = [&c] { --c.in_flight; };
    submit(c, std::move(r));
  }
  /// What the unit promised to be durable when it is answered.
  void write(core& c, verb what, std::uint64_t first, std::uint64_t count) {
    const history::value v = what == verb::write ? ++last_value_ : 0;
    std::vector<std::uint8_t> octets(what == verb::write ? count * sector_bytes : 0);
    history::fill(octets, v);
    auto r = std::make_unique<test_request>(what, first * sector_bytes, count * sector_bytes, payload(random_, octets));
    r->fua = volatile_;
    const write_under_way started{first, count, v, world_.now_ns()};
    under_way_.push_back(started);
    history_.begin(first, count, v, started.start);
    r->on_done = [this, &c, one = r.get(), started] {
      --c.in_flight;
      under_way_.erase(std::find_if(under_way_.begin(), under_way_.end(), [&](const write_under_way& each) {
        return each.what == started.what && each.start == started.start && each.first == started.first;
      }));
      EXPECT_TRUE(faults_ || one->outcome == status::good) << "verb " << static_cast<int>(one->what);
      history_.end(started.first, started.count, started.what, started.start, one->outcome == status::good,
                   world_.now_ns());
    };
    submit(c, std::move(r));
  }
  void read(core& c, std::uint64_t first, std::uint64_t count) {
    auto r = std::make_unique<test_request>(verb::read, first * sector_bytes, count * sector_bytes,
                                            payload(random_, std::vector<std::uint8_t>(count * sector_bytes, 0xee)));
    r->on_done = [this, &c, one = r.get(), first, start = world_.now_ns()] {
      --c.in_flight;
      ASSERT_EQ(one->outcome, status::good);
      expect_read(history_, first, one->content(), start, world_.now_ns());
    };
    submit(c, std::move(r));
  }
  void check_all() {
    core& c = cores_[random_() % cores_.size()];
    for (std::uint64_t first = 0; first < sectors() && !failed(); first += 64) {
      const std::uint64_t count = std::min<std::uint64_t>(64, sectors() - first);
      c.loop->post([this, &c, first, count] { read(c, first, count); });
      world_.run_for(random_() % ns_per_ms);
    }
    EXPECT_TRUE(world_.run_until([this] { return quiet(); }, world_.now_ns() + 60 * ns_per_s))
        << "reads are never answered";
  }

  reactor::sim_world world_;
  std::mt19937_64 random_;
  std::uint64_t size_ = 0;
  bool faults_ = false;
  bool opened_before_ = false;
  bool told_ = false;
  bool applying_ = false;
  bool volatile_ = true;  // as initiators have been told
  std::uint64_t steps_left_ = UINT64_MAX;
  options before_, after_;
  std::unique_ptr<reactor::loop> control_;
  std::vector<core> cores_;
  std::shared_ptr<cache_store> store_;
  history history_{512};
  history::value last_value_ = 0;
  std::vector<write_under_way> under_way_;
  std::vector<std::unique_ptr<test_request>> requests_;
};

TEST(journal_change_crash, every_acknowledged_sector_survives_the_power_and_the_process) {
  change_run::outcome sum;
  const std::uint64_t all = sluice::store::contract::seeds_or(80);
  for (std::uint64_t seed = 1; seed <= all; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    change_run(seed).run(sum);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(sum.changes, all * 2);
  EXPECT_LT(sum.refused, sum.changes);
  EXPECT_GT(sum.crashes_in_change, all / 2);
  EXPECT_GT(sum.went_back, all / 20);
  EXPECT_GT(sum.journaled_bytes, all * 64 * kib);
}

}  // namespace
}  // namespace sluice::cache
