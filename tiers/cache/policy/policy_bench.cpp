#include <benchmark/benchmark.h>

#include "tiers/cache/policy/compared_policies.hpp"
#include "tiers/cache/policy/frequency_sketch.hpp"
#include "tiers/cache/policy/s3_fifo.hpp"

namespace sluice::cache {
namespace {

constexpr std::uint32_t capacity = 262144;  // 1 GiB of blocks

template <class Policy>
void hit(benchmark::State& state) {
  Policy policy(capacity);
  for (slot s = 0; s < capacity; ++s) policy.admitted(s, s);
  slot at = 0;
  for (auto _ : state) {
    policy.hit(at);
    at = (at + 7919) % capacity;
  }
}
BENCHMARK(hit<s3_fifo>);
BENCHMARK(hit<lru>);
BENCHMARK(hit<arc>);

/// A miss in a full tier: somebody gives way, the new block is admitted; every fourth slot was asked for before.
template <class Policy>
void miss(benchmark::State& state) {
  Policy policy(capacity);
  for (slot s = 0; s < capacity; ++s) policy.admitted(s, s);
  block_number next = capacity;
  for (auto _ : state) {
    const slot s = policy.victim(next);
    policy.admitted(s, next);
    if (next % 4 == 0) policy.hit(s);
    ++next;
  }
}
BENCHMARK(miss<s3_fifo>);
BENCHMARK(miss<lru>);
BENCHMARK(miss<arc>);

void sketch_add(benchmark::State& state) {
  frequency_sketch sketch(capacity);
  block_number next = 0;
  for (auto _ : state) sketch.add(next++ * 31 % 1'000'000);
}
BENCHMARK(sketch_add);

}  // namespace
}  // namespace sluice::cache
