#include "tiers/cache/cache_store.hpp"

#include <utility>

#include "tiers/cache/cache_channel.hpp"
#include "tiers/journal/journal_store.hpp"

namespace sluice::cache {
namespace {

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

double microseconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

/// Follows a change of the size below: what lies beyond the smaller of both sizes is forgotten, for it reads as zeroes
/// when it comes back.
void follow_size(cache_core& core, std::uint64_t size_bytes) {
  const block_number kept = std::min(core.whole_blocks(), size_bytes / block_bytes);
  if (core.flash() && kept < core.whole_blocks())
    core.flash()->give_up(flash_tier::state::spoilt, "the store below shrank");
  core.begin_write_in_sets(0, core.set_count(), kept, largest_store_blocks);
  core.set_size(size_bytes);
  core.end_write_in_sets(0, core.set_count());
}

}  // namespace

result<std::shared_ptr<cache_store>> cache_store::open(std::shared_ptr<store> below, const options& wanted,
                                                       reactor::loop* control_loop) {
  const sluice::store::properties p = below->describe();
  if (p.logical_block > block_bytes)
    return fail(errc::invalid_argument, "over: the store has blocks of " + std::to_string(p.logical_block) +
                                            " octets; a cache takes at most 4096");
  if (p.size_bytes / block_bytes >= largest_store_blocks)
    return fail(errc::invalid_argument, "over: the store is larger than 4 PiB");
  if (wanted.ram_bytes < shard_count * block_bytes) return fail(errc::invalid_argument, "ram: must be at least 64KiB");
  std::shared_ptr<flash_tier> flash;
  if (wanted.mode->journals && wanted.flash.path.empty())
    return fail(errc::invalid_argument, "mode: write-back needs flash.path: what is written must be durable somewhere");
  if (!wanted.flash.path.empty()) {
    SLUICE_CHECK(control_loop != nullptr);
    auto opened = flash_tier::open(wanted.flash, p.size_bytes, *control_loop);
    if (!opened) return tl::unexpected(opened.error());
    flash = std::move(*opened);
  }
  if (wanted.mode->journals) {
    journal::options how;
    how.path = wanted.flash.path;
    how.medium = wanted.medium;
    how.journal_bytes = flash->base_bytes;
    how.record_blocks = wanted.record_blocks;
    how.destage_delay_ns = wanted.destage_delay_ns;
    auto opened = journal::journal_store::open(std::move(below), std::move(how), {*control_loop, flash->handle, flash});
    if (!opened) return tl::unexpected(opened.error());
    below = std::move(*opened);
    return std::make_shared<cache_store>(
        below, std::make_shared<cache_core>(wanted, p.size_bytes, std::move(flash), false), below);
  }
  return std::make_shared<cache_store>(
      std::move(below), std::make_shared<cache_core>(wanted, p.size_bytes, std::move(flash), p.volatile_cache));
}

cache_store::cache_store(std::shared_ptr<store> below, std::shared_ptr<cache_core> core, std::shared_ptr<store> journal)
    : below_(std::move(below)), core_(std::move(core)), journal_(std::move(journal)) {
  below_->on_resize([held = std::weak_ptr(core_), under = std::weak_ptr(below_)] {
    const auto shared = held.lock();
    const auto medium = under.lock();
    if (shared && medium) follow_size(*shared, medium->describe().size_bytes);
  });
}

std::unique_ptr<sluice::store::channel> cache_store::attach(reactor::loop& home) {
  return std::make_unique<cache_channel>(core_, below_->attach(home), home);
}

result<void> cache_store::resize(std::uint64_t size_bytes) {
  if (size_bytes / block_bytes >= largest_store_blocks)
    return fail(errc::invalid_argument, "a cache takes stores of at most 4 PiB");
  if (core_->flash() && size_bytes < below_->describe().size_bytes)
    return fail(errc::unsupported, "a cache with flash cannot shrink: take the flash away first");
  // What is read below until the new size holds is not kept.
  core_->begin_write_in_sets(0, core_->set_count(), size_bytes / block_bytes, largest_store_blocks);
  auto done = below_->resize(size_bytes);
  core_->end_write_in_sets(0, core_->set_count());
  return done;
}

void cache_store::take_over() {
  core_->set_keeps(true);
  if (journal_) journal_->take_over();
}

std::string cache_store::health() const {
  const std::string below = below_->health();
  const std::string flash = core_->flash() ? core_->flash()->health() : "good";
  if (flash == "good") return below;
  return below == "good" ? flash : below + "; " + flash;
}

std::vector<sluice::store::figure> cache_store::figures() const {
  counters all;
  core_->sum(all);
  std::vector<sluice::store::figure> shown{
      {"mode", std::string(core_->wanted().mode->name)},
      {"ram_bytes", core_->wanted().ram_bytes},
      {"ram_used_bytes", core_->used_blocks() * block_bytes},
      {"ram_overhead_bytes", core_->overhead_bytes()},
      {"read_blocks", all.read_blocks.value()},
      {"ram_hit_blocks", all.ram_hit_blocks.value()},
      {"ram_hit_ratio", ratio(all.ram_hit_blocks.value(), all.read_blocks.value())},
      {"streamed_blocks", all.streamed_blocks.value()},
      {"written_blocks", all.written_blocks.value()},
      {"kept_blocks", all.kept_blocks.value()},
      {"unkept_batches", all.unkept_batches.value()},
      {"hit_p50_us", microseconds(all.hit.quantile_ns(0.5))},
      {"hit_p99_us", microseconds(all.hit.quantile_ns(0.99))},
      {"miss_p50_us", microseconds(all.miss.quantile_ns(0.5))},
      {"miss_p99_us", microseconds(all.miss.quantile_ns(0.99))}};
  if (journal_) {
    const auto of_journal = journal_->figures();
    shown.insert(shown.end(), of_journal.begin(), of_journal.end());
  }
  if (!core_->flash()) return shown;
  const flash_tier& flash = *core_->flash();
  const std::vector<sluice::store::figure> more{
      {"flash_ready", flash.ready()},
      {"flash_bytes", flash.layout.segments() * (flash.layout.segment_blocks - 1) * block_bytes},
      {"flash_overhead_bytes", flash.memory_bytes()},
      {"flash_recovered_blocks", flash.recovered_blocks.load()},
      {"flash_hit_blocks", all.flash_hit_blocks.value()},
      {"flash_hit_ratio", ratio(all.flash_hit_blocks.value(), all.read_blocks.value())},
      {"flash_hit_p50_us", microseconds(all.flash_hit.quantile_ns(0.5))},
      {"flash_hit_p99_us", microseconds(all.flash_hit.quantile_ns(0.99))},
      {"flash_written_bytes", flash.written_bytes.load()},
      {"flash_table_writes", flash.voids.load()},
      {"flash_corrupt_blocks", flash.corrupt_blocks.load()},
      {"flash_read_errors", flash.read_errors.load()}};
  shown.insert(shown.end(), more.begin(), more.end());
  return shown;
}

}  // namespace sluice::cache
