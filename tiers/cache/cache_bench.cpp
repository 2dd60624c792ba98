#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "tiers/cache/cache_channel.hpp"
#include "tiers/cache/cache_store.hpp"
#include "tiers/ram/ram_store.hpp"

/// The paths of a cache beside the same requests on the RAM store below it. The random numbers walk 256 MiB.
namespace sluice::cache {
namespace {

constexpr std::uint64_t region = 256 * mib;

struct direct_request final : store::request {
  void done(store::status) noexcept override {}
};

class fixture {
 public:
  explicit fixture(std::uint64_t ram_bytes, const mode& how = write_through) {
    loop_ = *reactor::make_loop({});
    other_ = *reactor::make_loop({});
    ram_ = *ram::ram_store::make(region);
    options wanted;
    wanted.ram_bytes = ram_bytes;
    wanted.bypass_bytes = 0;
    wanted.mode = &how;
    cache_ = *cache_store::open(ram_, wanted);
    below = ram_->attach(*loop_);
    cached = cache_->attach(*loop_);
    request_.what = store::verb::write;
    for (std::uint64_t at = 0; at < region; at += 4096) run(*below, store::verb::write, at, 4096);
  }
  ~fixture() {
    below.reset();
    cached.reset();
    remote.reset();
  }
  /// A channel of a core that owns nothing.
  void attach_remote() {
    remote = cache_->attach(*other_);  // its shards come to it in a turn that this loop never has
  }
  bool run(store::channel& channel, store::verb what, std::uint64_t at, std::uint64_t length) {
    request_.what = what;
    request_.offset_bytes = at;
    request_.length_bytes = length;
    part_ = {data_.data(), length};
    request_.parts = &part_;
    request_.part_count = 1;
    store::status outcome;
    return channel.try_now(request_, outcome);
  }
  void warm() {
    for (std::uint64_t at = 0; at < region; at += 4096) run(*cached, store::verb::read, at, 4096);
  }

  std::unique_ptr<store::channel> below, cached, remote;

 private:
  std::unique_ptr<reactor::loop> loop_, other_;
  std::shared_ptr<ram::ram_store> ram_;
  std::shared_ptr<cache_store> cache_;
  direct_request request_;
  iovec part_{};
  std::vector<std::uint8_t> data_ = std::vector<std::uint8_t>(1 * mib, 1);
};

class walk {
 public:
  explicit walk(std::uint64_t length) : length_(length) {}
  std::uint64_t next() {
    state_ = mix(state_);
    return state_ % (region / length_) * length_;
  }

 private:
  std::uint64_t length_, state_ = 1;
};

void measure(benchmark::State& state, fixture& s, store::channel& channel, store::verb what) {
  const auto length = static_cast<std::uint64_t>(state.range(0));
  walk at(length);
  for (auto _ : state) benchmark::DoNotOptimize(s.run(channel, what, at.next(), length));
}

void read_ram_store(benchmark::State& state) {
  fixture s(1 * mib);
  measure(state, s, *s.below, store::verb::read);
}
void read_hit(benchmark::State& state) {
  fixture s(2 * region);
  s.warm();
  measure(state, s, *s.cached, store::verb::read);
}
void read_hit_of_another_core(benchmark::State& state) {
  fixture s(2 * region);
  s.warm();
  s.attach_remote();
  measure(state, s, *s.remote, store::verb::read);
}
void read_miss(benchmark::State& state) {
  fixture s(1 * mib);
  measure(state, s, *s.cached, store::verb::read);
}
void write_ram_store(benchmark::State& state) {
  fixture s(1 * mib);
  measure(state, s, *s.below, store::verb::write);
}
void write_through_hit(benchmark::State& state) {
  fixture s(2 * region);
  s.warm();
  measure(state, s, *s.cached, store::verb::write);
}
void write_around_ram_store(benchmark::State& state) {
  fixture s(1 * mib, write_around);
  measure(state, s, *s.cached, store::verb::write);
}
BENCHMARK(read_ram_store)->Arg(4096)->Arg(65536);
BENCHMARK(read_hit)->Arg(4096)->Arg(65536);
BENCHMARK(read_hit_of_another_core)->Arg(4096)->Arg(65536);
BENCHMARK(read_miss)->Arg(4096)->Arg(65536);
BENCHMARK(write_ram_store)->Arg(4096);
BENCHMARK(write_through_hit)->Arg(4096);
BENCHMARK(write_around_ram_store)->Arg(4096);

void lend(benchmark::State& state, fixture& s, store::channel& channel) {
  const auto length = static_cast<std::uint64_t>(state.range(0));
  walk at(length);
  std::vector<memory::slice> lent;
  for (auto _ : state) {
    lent.clear();
    benchmark::DoNotOptimize(channel.borrow(at.next(), length, lent));
  }
  lent.clear();
  (void)s;
}
void borrow_ram_store(benchmark::State& state) {
  fixture s(1 * mib);
  lend(state, s, *s.below);
}
void borrow_hit(benchmark::State& state) {
  fixture s(2 * region);
  s.warm();
  lend(state, s, *s.cached);
}
/// As a unit that has 32 reads in its mailbox: all announced, then served.
void borrow_announced_hits(benchmark::State& state) {
  fixture s(2 * region);
  s.warm();
  constexpr int together = 32;
  walk at(4096);
  std::uint64_t offsets[together];
  std::vector<memory::slice> lent;
  while (state.KeepRunningBatch(together)) {
    for (std::uint64_t& each : offsets) s.cached->will_read(each = at.next());
    for (const std::uint64_t each : offsets) benchmark::DoNotOptimize(s.cached->borrow(each, 4096, lent));
    lent.clear();
  }
}
BENCHMARK(borrow_announced_hits);
BENCHMARK(borrow_ram_store)->Arg(4096)->Arg(65536);
BENCHMARK(borrow_hit)->Arg(4096)->Arg(65536);

}  // namespace
}  // namespace sluice::cache
