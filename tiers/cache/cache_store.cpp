#include "tiers/cache/cache_store.hpp"

#include <utility>

#include "tiers/cache/cache_channel.hpp"
#include "tiers/cache/register.hpp"
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
  if (size_bytes / block_bytes == core.whole_blocks()) return core.set_size(size_bytes);  // it was something else
  const block_number kept = std::min(core.whole_blocks(), size_bytes / block_bytes);
  if (core.flash() && kept < core.whole_blocks())
    core.flash()->give_up(flash_tier::state::spoilt, "the store below shrank");
  core.begin_write_in_sets(0, core.set_count(), kept, largest_store_blocks);
  core.set_size(size_bytes);
  core.end_write_in_sets(0, core.set_count());
}

result<void> check_ram(const options& wanted) {
  if (wanted.ram_bytes < shard_count * block_bytes) return fail(errc::invalid_argument, "ram: must be at least 64KiB");
  return {};
}

/// The flash of a cache that has `now` and is to have `wanted`.
result<std::shared_ptr<flash_tier>> prepare_flash(const options& wanted, const options& now,
                                                  const std::shared_ptr<flash_tier>& flash, bool anew,
                                                  std::uint64_t store_bytes, reactor::loop* control_loop,
                                                  const std::shared_ptr<flash_witness>& witness) {
  if (wanted.flash.path.empty()) return nullptr;
  SLUICE_CHECK(control_loop != nullptr);
  if (!flash || wanted.flash.path != now.flash.path)
    return flash_tier::open(wanted.flash, store_bytes, *control_loop, witness);
  if (!anew && wanted.flash == now.flash) return flash;
  return flash->successor(wanted.flash, store_bytes);
}

result<journal::journal_medium> take_memory(std::uint64_t bytes, reactor::loop& control_loop) {
  const auto taken = control_loop.open_memory(bytes);
  if (!taken) return fail(taken.error().code, "volatile_dirty: " + taken.error().message);
  return journal::journal_medium{control_loop, *taken,
                                 std::make_shared<const flash_file>(control_loop, *taken, "memory")};
}

/// The journal between a cache and the store below: at the front of its flash, or in memory.
result<std::shared_ptr<store::store>> open_journal(std::shared_ptr<store::store> below, const options& wanted,
                                                   const flash_tier* flash, reactor::loop& control_loop) {
  journal::options how;
  how.path = flash ? wanted.flash.path : "memory";
  how.medium = wanted.medium;
  how.journal_bytes = flash ? flash->base_bytes : wanted.volatile_dirty_bytes;
  how.is_volatile = !flash;
  how.record_blocks = wanted.record_blocks;
  how.destage_delay_ns = wanted.destage_delay_ns;
  how.elsewhere = wanted.elsewhere;
  auto lies_in = flash ? journal::journal_medium{control_loop, flash->handle, flash->file}
                       : take_memory(how.journal_bytes, control_loop);
  if (!lies_in) return tl::unexpected(lies_in.error());
  return journal::journal_store::open(std::move(below), std::move(how), std::move(*lies_in));
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
  if (auto good = check_ram(wanted); !good) return tl::unexpected(good.error());
  const journal::aside elsewhere =
      wanted.elsewhere || !control_loop ? wanted.elsewhere : journal::aside_for(*control_loop);
  const auto witness = std::make_shared<flash_witness>(below, elsewhere);
  std::shared_ptr<flash_tier> flash;
  SLUICE_CHECK(!wanted.mode->journals || wanted.has_journal());
  if (!wanted.flash.path.empty()) {
    SLUICE_CHECK(control_loop != nullptr);
    auto opened = flash_tier::open(wanted.flash, p.size_bytes, *control_loop, witness);
    if (!opened) return tl::unexpected(opened.error());
    flash = std::move(*opened);
  }
  std::shared_ptr<store> journal;
  if (wanted.has_journal()) {
    auto opened = open_journal(below, wanted, flash.get(), *control_loop);
    if (!opened) return tl::unexpected(opened.error());
    below = journal = std::move(*opened);
  }
  auto known = flash ? flash->confirm() : witness->confirm(0).map([](bool) {});
  if (!known) return fail(known.error().code, "over: " + known.error().message);
  const bool volatile_below = journal ? wanted.volatile_dirty_bytes != 0 : p.volatile_cache;
  return std::make_shared<cache_store>(
      std::move(below), std::make_shared<cache_core>(wanted, p.size_bytes, std::move(flash), volatile_below),
      control_loop, witness, journal);
}

cache_store::cache_store(std::shared_ptr<store> below, std::shared_ptr<cache_core> core, reactor::loop* control_loop,
                         std::shared_ptr<flash_witness> witness, std::shared_ptr<store> journal)
    : below_(std::move(below)),
      roster_(std::make_shared<channel_roster>(std::move(core))),
      control_loop_(control_loop),
      witness_(std::move(witness)),
      journal_(std::move(journal)) {
  *journals_ = roster_->core()->mode().journals;
  below_->on_change([held = std::weak_ptr(roster_), under = std::weak_ptr(below_)] {
    const auto roster = held.lock();
    const auto medium = under.lock();
    if (!roster || !medium) return;
    const std::uint64_t size_bytes = medium->describe().size_bytes;
    roster->for_cores([size_bytes](cache_core& each) { follow_size(each, size_bytes); });
  });
}

std::unique_ptr<sluice::store::channel> cache_store::attach(reactor::loop& home) {
  return std::make_unique<cache_channel>(roster_, below_->attach(home), home);
}

result<void> cache_store::resize(std::uint64_t size_bytes) {
  if (size_bytes / block_bytes >= largest_store_blocks)
    return fail(errc::invalid_argument, "a cache takes stores of at most 4 PiB");
  if (roster_->core()->flash() && size_bytes < below_->describe().size_bytes)
    return fail(errc::unsupported, "a cache with flash cannot shrink: take the flash away first");
  // What is read below until the new size holds is not kept.
  roster_->for_cores([size_bytes](cache_core& core) {
    core.begin_write_in_sets(0, core.set_count(), size_bytes / block_bytes, largest_store_blocks);
  });
  auto done = below_->resize(size_bytes);
  roster_->for_cores([](cache_core& core) { core.end_write_in_sets(0, core.set_count()); });
  return done;
}

result<sluice::store::prepared> cache_store::prepare_settings(const config::settings& wanted) {
  const auto options = read_options(wanted);
  if (!options) return tl::unexpected(options.error());
  return prepare(*options);
}

result<void> cache_store::fit_journal(options& wanted, const options& now) const {
  if (!journal_ && !wanted.has_journal()) return {};
  if (!journal_)
    return fail(errc::unsupported,
                "mode: there is no room for write-back, which flash.dirty or volatile_dirty gives from the start: "
                "take the cache away with one apply and add it with the next");
  const bool same_dirty = wanted.flash.dirty_bytes == 0 || wanted.flash.dirty_bytes == now.flash.dirty_bytes;
  if (wanted.flash.path != now.flash.path || wanted.flash.size_bytes != now.flash.size_bytes || !same_dirty ||
      wanted.volatile_dirty_bytes != now.volatile_dirty_bytes || wanted.destage_delay_ns != now.destage_delay_ns)
    return fail(errc::unsupported,
                "flash.path, flash.size, flash.dirty, volatile_dirty and destage_delay cannot change while there is a "
                "journal: take the cache away with one apply and add it with the next");
  wanted.flash = now.flash;
  return {};
}

/// What brings the journal to the mode of the cache.
sluice::store::prepared cache_store::follow(const mode& how) const {
  return [journal = journal_, journals = journals_, how = how.journals] {
    if (journals->exchange(how) == how || !journal) return;
    how ? journal->take_over() : journal->begin_hand_over();
  };
}

result<sluice::store::prepared> cache_store::prepare(options wanted, bool anew) {
  const auto core = roster_->core();
  const options now = core->wanted();
  if (auto fits = fit_journal(wanted, now); !fits) return tl::unexpected(fits.error());
  if (!anew && wanted.ram_bytes == now.ram_bytes && wanted.flash == now.flash)
    return [roster = roster_, wanted, follow = follow(*wanted.mode)] {
      roster->for_cores([&](cache_core& each) { each.set_manners(wanted); });
      roster->pins_changed();
      follow();
    };
  if (roster_->is_exchanging()) return fail(errc::busy, "an earlier change is not through yet: try again");
  if (auto good = check_ram(wanted); !good) return tl::unexpected(good.error());
  const sluice::store::properties p = below_->describe();
  auto flash = prepare_flash(wanted, now, core->flash(), anew, p.size_bytes, control_loop_, witness_);
  if (!flash) return tl::unexpected(flash.error());
  auto next = std::make_shared<cache_core>(wanted, p.size_bytes, *flash, p.volatile_cache);
  return [roster = roster_, below = below_, old = core->flash(), next, follow = follow(*wanted.mode)] {
    const std::shared_ptr<flash_tier>& comes = next->flash();
    if (old && old != comes) old->take_away();
    if (comes && comes != old)
      if (auto begun = comes->begin_anew(); !begun) comes->give_up(flash_tier::state::failed, begun.error().message);
    roster->exchange(next);
    follow_size(*next, below->describe().size_bytes);
    follow();
  };
}

result<void> cache_store::drop() {
  const auto ready = prepare(roster_->core()->wanted(), true);
  if (!ready) return tl::unexpected(ready.error());
  (*ready)();
  return {};
}

void cache_store::take_over() {
  roster_->take_over();
  if (journal_ && *journals_) journal_->take_over();
}

void cache_store::hand_over() {
  roster_->hand_over();
  roster_->for_cores([](cache_core& core) {
    if (core.flash()) core.flash()->take_away();
  });
}

std::string cache_store::health() const {
  const std::string below = below_->health();
  const auto core = roster_->core();
  const std::string flash = core->flash() ? core->flash()->health() : "good";
  if (flash == "good") return below;
  return below == "good" ? flash : below + "; " + flash;
}

std::vector<sluice::store::figure> cache_store::figures() const {
  counters all;
  roster_->sum(all);
  const auto core = roster_->core();
  const auto pins = core->pins();
  std::vector<sluice::store::figure> shown{
      {"mode", std::string(core->mode().name)},
      {"ram_bytes", core->wanted().ram_bytes},
      {"ram_used_bytes", core->used_blocks() * block_bytes},
      {"pinned_bytes", pins ? pins->blocks() * block_bytes : 0},
      {"pinned_resident_bytes", core->pinned_blocks() * block_bytes},
      {"ram_overhead_bytes", core->overhead_bytes()},
      {"read_blocks", all.read_blocks.value()},
      {"ram_hit_blocks", all.ram_hit_blocks.value()},
      {"ram_hit_ratio", ratio(all.ram_hit_blocks.value(), all.read_blocks.value())},
      {"streamed_blocks", all.streamed_blocks.value()},
      {"prefetched_blocks", all.prefetched_blocks.value()},
      {"prefetch_used_blocks", all.prefetch_used_blocks.value()},
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
  if (!core->flash()) return shown;
  const flash_tier& flash = *core->flash();
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
