#include "tiers/cache/flash/flash_index.hpp"

#include <benchmark/benchmark.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>

#include "actors/base/bytes.hpp"

/// What an index of 4 GiB of flash costs for each look and each change: in memory, as it is, and in RocksDB, which was
/// turned down for it. RocksDB has what helps it: no log of its own, a Bloom filter, a cache that holds all of it, its
/// files in the page cache.
namespace sluice::cache {
namespace {

constexpr std::uint64_t slots = 4 * gib / block_bytes;

class walk {
 public:
  block_number next() { return (state_ = mix(state_)) % slots; }

 private:
  std::uint64_t state_ = 1;
};

class rocks {
 public:
  rocks() : folder_(std::filesystem::temp_directory_path() / ("sluice-index-bench." + std::to_string(::getpid()))) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(256 * mib);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    rocksdb::Options options;
    options.create_if_missing = true;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* opened = nullptr;
    if (!rocksdb::DB::Open(options, folder_, &opened).ok()) return;
    db_.reset(opened);
    for (block_number block = 0; block < slots; ++block) put(block, static_cast<slot>(block));
    db_->Flush({});
    db_->CompactRange({}, nullptr, nullptr);
  }
  ~rocks() {
    db_.reset();
    std::filesystem::remove_all(folder_);
  }
  bool is_open() const { return db_ != nullptr; }
  slot find(block_number block) {
    rocksdb::PinnableSlice found;
    if (!db_->Get({}, db_->DefaultColumnFamily(), key(block), &found).ok()) return no_slot;
    slot s;
    std::memcpy(&s, found.data(), sizeof s);
    return s;
  }
  void put(block_number block, slot s) {
    rocksdb::WriteOptions no_log;
    no_log.disableWAL = true;
    db_->Put(no_log, key(block), {reinterpret_cast<const char*>(&s), sizeof s});
  }

 private:
  rocksdb::Slice key(block_number block) {
    big_endian_ = __builtin_bswap64(block);
    return {reinterpret_cast<const char*>(&big_endian_), sizeof big_endian_};
  }
  const std::filesystem::path folder_;
  std::unique_ptr<rocksdb::DB> db_;
  std::uint64_t big_endian_ = 0;
};

void look_in_memory(benchmark::State& state) {
  flash_index index(slots);
  for (block_number block = 0; block < slots; ++block) index.insert(block, static_cast<slot>(block));
  walk at;
  for (auto _ : state) benchmark::DoNotOptimize(index.find(at.next()));
  state.counters["octets_per_block"] = static_cast<double>(index.memory_bytes()) / static_cast<double>(slots);
}
void change_in_memory(benchmark::State& state) {
  flash_index index(slots);
  walk at;
  slot s = 0;
  for (auto _ : state) index.insert(at.next(), s++ % slots);
}
void look_in_rocksdb(benchmark::State& state) {
  rocks index;
  if (!index.is_open()) return state.SkipWithError("RocksDB cannot be opened in the temporary folder");
  walk at;
  for (auto _ : state) benchmark::DoNotOptimize(index.find(at.next()));
}
void change_in_rocksdb(benchmark::State& state) {
  rocks index;
  if (!index.is_open()) return state.SkipWithError("RocksDB cannot be opened in the temporary folder");
  walk at;
  slot s = 0;
  for (auto _ : state) index.put(at.next(), s++ % slots);
}
BENCHMARK(look_in_memory);
BENCHMARK(look_in_rocksdb);
BENCHMARK(change_in_memory);
BENCHMARK(change_in_rocksdb);

}  // namespace
}  // namespace sluice::cache
