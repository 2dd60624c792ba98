#include <benchmark/benchmark.h>

#include <vector>

#include "tiers/ram/ram_channel.hpp"

namespace sluice::ram {
namespace {

struct direct_request final : store::request {
  void done(store::status) noexcept override {}
};

void run_now(benchmark::State& state, store::verb what) {
  auto memory = std::move(*arena::make(256 * mib));
  ram_channel channel(*memory, nullptr);
  const auto length = static_cast<std::uint64_t>(state.range(0));
  std::vector<std::uint8_t> data(length, 1);
  const iovec part{data.data(), data.size()};
  direct_request r;
  r.what = what;
  r.length_bytes = length;
  r.parts = &part;
  r.part_count = 1;
  std::uint64_t at = 0;
  for (auto _ : state) {
    store::status outcome;
    r.offset_bytes = at;
    benchmark::DoNotOptimize(channel.try_now(r, outcome));
    at = (at + length) % (64 * mib);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
void read_now(benchmark::State& state) {
  run_now(state, store::verb::read);
}
void write_now(benchmark::State& state) {
  run_now(state, store::verb::write);
}
void discard_unwritten(benchmark::State& state) {
  run_now(state, store::verb::discard);
}
BENCHMARK(read_now)->Arg(4096)->Arg(65536)->Arg(1 << 20);
BENCHMARK(write_now)->Arg(4096)->Arg(65536)->Arg(1 << 20);
BENCHMARK(discard_unwritten)->Arg(4096)->Arg(1 << 20);

void borrow(benchmark::State& state) {
  auto memory = std::move(*arena::make(256 * mib));
  ram_channel channel(*memory, nullptr);
  std::vector<memory::slice> lent;
  for (auto _ : state) {
    lent.clear();
    benchmark::DoNotOptimize(channel.borrow(4096, static_cast<std::uint64_t>(state.range(0)), lent));
  }
}
BENCHMARK(borrow)->Arg(4096)->Arg(1 << 20);

}  // namespace
}  // namespace sluice::ram
