#include <gtest/gtest.h>

#include "tiers/cache/test_flash_fixture.hpp"
#include "tiers/store/contract_seeds.hpp"

/// Reads and writes of chance, the power lost or the process killed at a moment of chance, again and again: what the
/// cache reads afterwards is what the store below holds, every sector, each time it is read.
namespace sluice::cache {
namespace {

using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::seeds_or;
using sluice::store::contract::test_request;

class flash_crash_run {
 public:
  enum class flash {
    sound,
    faulty,    // in some lives it does only a part of what it is asked, fails, or reads what lies elsewhere
    vanishing  // it is gone for some time, and comes back as it was; some lives have none, or another one
  };
  flash_crash_run(std::uint64_t seed, flash kind)
      : seed_(seed),
        kind_(kind),
        fixture_(seed, seed % 3 == 0 ? 256 * kib : 1 * mib, 64 * kib, seed % 5 == 0 ? write_around : write_through) {}

  void run(std::uint64_t& hits, std::uint64_t& recovered) {
    fixture_.world.sim().options().early_read = seed_ % 2 == 0 ? 0 : 0.5;
    const unsigned lives = 2 + static_cast<unsigned>(seed_ % 3);
    for (unsigned life = 0; life <= lives && !testing::Test::HasFailure(); ++life) {
      SCOPED_TRACE("life " + std::to_string(life));
      if (kind_ == flash::faulty) draw_faults(life == lives);
      if (kind_ == flash::vanishing) choose_flash();
      fixture_.open();
      recovered += count("flash_recovered_blocks");
      // Some lives are so short that what they found is still in caches when they end.
      if (life == lives || fixture_.random() % 3 != 0) fixture_.compare();
      if (life < lives) work();
      if (life == lives) fixture_.compare();
      hits += count("flash_hit_blocks");
      if (life < lives) end_life();
    }
  }

 private:
  /// 0 where there is no flash.
  std::uint64_t count(const char* figure) const {
    return static_cast<std::uint64_t>(std::max(0.0, fixture_.figure(figure)));
  }
  void set_gone(bool gone) { fixture_.world.sim().faults("/flash").gone = gone; }
  /// What an operator finds in the morning, and makes of it.
  void choose_flash() {
    if (fixture_.random() % 2 == 0) set_gone(false);
    const bool gone = fixture_.world.sim().faults("/flash").gone;
    const std::uint64_t choice = fixture_.random() % (gone ? 2 : 6);
    fixture_.flash_path = choice == 0 ? "" : choice == 1 ? "/flash2" : "/flash";
  }
  void draw_faults(bool none) {
    auto& faults = fixture_.world.sim().faults("/flash");
    faults = {};
    const std::uint64_t kind = none ? 0 : fixture_.random() % 8;
    if (kind == 1 || kind == 4) faults.short_read = 0.1;
    if (kind == 2 || kind == 4) faults.short_write = 0.1;
    if (kind == 3 || kind == 5) faults.misdirected_read = 0.1;
    // A cache whose first two blocks cannot be read is refused: a journal may have been there.
    if (kind == 6)
      fixture_.world.sim().medium_error("/flash", (2 + fixture_.random() % 64) * block_bytes, 4 * block_bytes);
  }
  void work() {
    const std::uint64_t steps = fixture_.random() % 3 == 0 ? fixture_.random() % 30 : 50 + fixture_.random() % 500;
    for (std::uint64_t i = 0; i < steps; ++i) {
      add();
      if (fixture_.random() % 100 == 0) change_tiers();
      if (kind_ == flash::vanishing && fixture_.random() % 60 == 0) set_gone(fixture_.random() % 2 == 0);
      ++in_flight_;
      all_.back()->on_done = [this] { --in_flight_; };
      fixture_.channel->submit(*all_.back());
      fixture_.world.sim().run_until([&] { return in_flight_ < 4; }, fixture_.world.sim().now_ns() + ns_per_s);
    }
  }
  void add() {
    auto& random = fixture_.random;
    const std::uint64_t write_percent = seed_ % 4 == 0 ? 40 : 5;
    const std::uint64_t first = std::min(random() % 200, random() % 200) * 4096 + random() % 2 * 512;
    const std::uint64_t length = (1 + random() % 8) * 2048;
    if (random() % 60 == 0) {
      all_.push_back(std::make_unique<test_request>(verb::flush, 0, 0));
    } else if (random() % 100 < write_percent) {
      all_.push_back(std::make_unique<test_request>(verb::write, first, length,
                                                    payload(random, std::vector<std::uint8_t>(length, next_octet_++))));
      all_.back()->fua = random() % 8 == 0;
    } else {
      all_.push_back(std::make_unique<test_request>(verb::read, first, length,
                                                    payload(random, std::vector<std::uint8_t>(length))));
    }
  }
  void change_tiers() {
    options other = fixture_.now();
    if (kind_ == flash::vanishing && fixture_.random() % 4 == 0) other.flash.path = "/flash3";
    if (kind_ == flash::vanishing && fixture_.random() % 4 == 0) other.flash = {};
    other.ram_bytes = fixture_.random() % 2 == 0 ? 64 * kib : 128 * kib;
    const auto change = static_cast<cache_store&>(*fixture_.store).prepare(other, fixture_.random() % 4 == 0);
    if (change) (*change)();
  }
  void end_life() {
    auto& sim = fixture_.world.sim();
    switch (fixture_.random() % 4) {
      case 0:
        sim.run_until([&] { return in_flight_ == 0; }, sim.now_ns() + 10 * ns_per_s);
        fixture_.close();
        break;
      case 1:
        sim.run_for(fixture_.random() % (3 * ns_per_ms));
        fixture_.kill();
        break;
      default:
        sim.run_for(fixture_.random() % (3 * ns_per_ms));
        fixture_.lose_power();
    }
    in_flight_ = 0;
    all_.clear();
  }

  const std::uint64_t seed_;
  const flash kind_;
  flash_fixture fixture_;
  std::vector<std::unique_ptr<test_request>> all_;
  std::size_t in_flight_ = 0;
  std::uint8_t next_octet_ = 1;
};

void run_seeds(std::uint64_t seeds, flash_crash_run::flash kind) {
  std::uint64_t hits = 0, recovered = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    flash_crash_run(seed, kind).run(hits, recovered);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(hits, 10 * seeds);
  EXPECT_GT(recovered, 5 * seeds);
}

TEST(flash_crash, the_flash_is_never_ahead_of_nor_behind_the_store_below) {
  run_seeds(seeds_or(150), flash_crash_run::flash::sound);
}

TEST(flash_crash, nor_is_flash_that_fails_in_part_or_reads_what_lies_elsewhere) {
  run_seeds(seeds_or(150), flash_crash_run::flash::faulty);
}

TEST(flash_crash, nor_is_flash_that_vanishes_and_comes_back) {
  run_seeds(seeds_or(150), flash_crash_run::flash::vanishing);
}

}  // namespace
}  // namespace sluice::cache
