#include "tiers/cache/cache_store.hpp"

#include <string_view>
#include <utility>

#include "actors/observe/log.hpp"
#include "tiers/cache/cache_channel.hpp"
#include "tiers/cache/register.hpp"
#include "tiers/journal/journal_store.hpp"
#include "tiers/store/path_watch.hpp"

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
                                                  const std::shared_ptr<flash_binding>& binding) {
  if (wanted.flash.path.empty()) return nullptr;
  SLUICE_CHECK(control_loop != nullptr);
  if (!flash || wanted.flash.path != now.flash.path)
    return flash_tier::open(wanted.flash, store_bytes, *control_loop, binding);
  if (!anew && wanted.flash == now.flash) return flash;
  return flash->successor(wanted.flash, store_bytes);
}

/// A medium that lacks data of somebody else's must not be taken from them.
result<void> check_unmarked(store::store& medium) {
  const auto ownership = medium.read_ownership();
  if (!ownership && ownership.error().code == errc::unsupported) return {};
  if (!ownership) return fail(ownership.error().code, "over: " + ownership.error().message);
  if (!ownership->holder.empty())
    return fail(errc::busy, "over: the medium lacks data that are in " + ownership->holder);
  return {};
}

/// Flash comes, in the place of other flash, or of none; either may be null. What cannot be begun is given up.
void begin_flash(flash_tier* old, flash_tier* comes) {
  if (old) old->take_away();
  if (!comes) return;
  if (auto begun = comes->begin_anew(); !begun) comes->give_up(flash_tier::state::failed, begun.error().message);
}

result<journal::journal_medium> take_memory(std::uint64_t bytes, reactor::loop& control_loop) {
  const auto taken = control_loop.open_memory(bytes);
  if (!taken) return fail(taken.error().code, "volatile_dirty: " + taken.error().message);
  return journal::journal_medium{control_loop, *taken,
                                 std::make_shared<const flash_file>(control_loop, *taken, "memory")};
}

/// Where the journal between a cache and the store below lies: at the front of its flash, or in memory.
result<journal::journal_medium> medium_of_journal(const options& wanted, const flash_tier* flash,
                                                  reactor::loop& control_loop) {
  if (flash) return journal::journal_medium{control_loop, flash->handle, flash->file};
  return take_memory(wanted.volatile_dirty_bytes, control_loop);
}

journal::options options_of_journal(const options& wanted, const flash_tier* flash) {
  journal::options how;
  how.path = flash ? wanted.flash.path : "memory";
  how.medium = wanted.medium;
  how.journal_bytes = flash ? flash->base_bytes : wanted.volatile_dirty_bytes;
  how.is_volatile = !flash;
  how.record_blocks = wanted.record_blocks;
  how.destage_delay_ns = wanted.destage_delay_ns;
  how.offload = wanted.offload;
  return how;
}

}  // namespace

/// Whether a cache may go on without flash that cannot be used: nobody asks for a journal, and the medium lacks nothing
/// that an earlier one may hold. What the operator can mend in the file is refused.
static bool may_do_without_flash(store::store& medium, const options& wanted, errc why) {
  if (wanted.has_journal() || why == errc::invalid_argument || why == errc::busy) return false;
  const auto ownership = medium.read_ownership();
  return ownership && ownership->holder.empty();
}

result<std::shared_ptr<cache_store>> cache_store::open(std::shared_ptr<store> below, options wanted,
                                                       reactor::loop* control_loop) {
  const sluice::store::properties p = below->describe();
  if (p.logical_block > block_bytes)
    return fail(errc::invalid_argument, "over: the store has blocks of " + std::to_string(p.logical_block) +
                                            " octets; a cache takes at most 4096");
  if (p.size_bytes / block_bytes >= largest_store_blocks)
    return fail(errc::invalid_argument, "over: the store is larger than 4 PiB");
  if (auto good = check_ram(wanted); !good) return tl::unexpected(good.error());
  const reactor::offload offload =
      wanted.offload || !control_loop ? wanted.offload : reactor::offload_of(*control_loop);
  const auto binding = std::make_shared<flash_binding>(below, offload);
  std::shared_ptr<flash_tier> flash;
  std::string flash_trouble;
  SLUICE_CHECK(!wanted.mode->journals || wanted.has_journal());
  if (!wanted.flash.path.empty()) {
    SLUICE_CHECK(control_loop != nullptr);
    // The file may be the very flash that the medium waits for: it is not even cut to its size.
    const result<void> may_change = wanted.has_journal() ? result<void>() : check_unmarked(*below);
    auto opened = flash_tier::open(wanted.flash, p.size_bytes, *control_loop, binding, may_change);
    if (opened && !wanted.has_journal()) {
      if (auto gone = (*opened)->forget_journal(); !gone)
        opened = fail(gone.error().code, "flash.path: " + wanted.flash.path + ": " + gone.error().message);
    }
    if (opened) {
      flash = std::move(*opened);
    } else {
      if (!may_do_without_flash(*below, wanted, opened.error().code)) return tl::unexpected(opened.error());
      flash_trouble = opened.error().message;
      wanted.flash = {};
      SLUICE_LOG(error, "cache", "the cache begins without its flash", {"medium", wanted.medium},
                 {"why", flash_trouble});
    }
  }
  foundation over{below, nullptr, p.volatile_cache};
  if (wanted.has_journal()) {
    auto lies_in = medium_of_journal(wanted, flash.get(), *control_loop);
    if (!lies_in) return tl::unexpected(lies_in.error());
    auto opened = journal::journal_store::open(below, options_of_journal(wanted, flash.get()), std::move(*lies_in));
    if (!opened) return tl::unexpected(opened.error());
    over = {*opened, *opened, flash == nullptr};
  }
  auto known = flash ? flash->confirm() : binding->confirm(0).map([](bool) {});
  if (!known) return fail(known.error().code, "over: " + known.error().message);
  // What is there already may yet be lost with the power; flash would keep what is read of it.
  if (flash && p.volatile_cache) flash->all_unflushed();
  auto core = std::make_shared<cache_core>(wanted, p.size_bytes, std::move(over), std::move(flash));
  return std::make_shared<cache_store>(std::move(below), std::move(core), control_loop, binding,
                                       std::move(flash_trouble));
}

cache_store::cache_store(std::shared_ptr<store> medium, std::shared_ptr<cache_core> core, reactor::loop* control_loop,
                         std::shared_ptr<flash_binding> binding, std::string flash_trouble)
    : medium_(std::move(medium)),
      generations_(
          std::make_shared<generation_switch>(std::move(core), [listeners = listeners_] { listeners->tell(); })),
      control_loop_(control_loop),
      binding_(std::move(binding)),
      journals_(generations_->core()->mode().journals),
      flash_trouble_(std::move(flash_trouble)) {
  medium_->on_change([held = std::weak_ptr(generations_), under = std::weak_ptr(medium_), listeners = listeners_] {
    const auto generations = held.lock();
    const auto below = under.lock();
    if (!generations || !below) return;
    const sluice::store::properties p = below->describe();
    generations->for_cores([&p](cache_core& each) {
      follow_size(each, p.size_bytes);
      if (p.volatile_cache && each.over().journal == nullptr) each.set_volatile_below();
    });
    listeners->tell();
  });
  if (const auto journal = over().journal) journal->on_own_change([listeners = listeners_] { listeners->tell(); });
  watch_flash();
}

/// Flash whose file was taken away or cut short still answers, and what is on it is lost when the gateway ends.
void cache_store::watch_flash() {
  flash_watch_.reset();
  const auto core = generations_->newest();
  const auto flash = core->flash();
  if (flash) {
    const std::lock_guard lock(guard_);
    flash_trouble_.clear();
  }
  if (!flash || control_loop_->kind() == std::string_view("simulated")) return;
  const std::uint64_t size_bytes = flash->base_bytes + flash->layout.flash_bytes;
  flash_watch_ = sluice::store::watch_path(
      flash->path, [flash = std::weak_ptr(flash), journal = std::weak_ptr(core->over().journal),
                    size_bytes](const sluice::store::path_finding& found) {
        const bool shorter = found.trouble.empty() && found.size_bytes < size_bytes;
        if (found.trouble.empty() && !shorter) return;
        const std::string why = "the file " + (shorter ? "was cut short" : found.trouble) + " while it is in use";
        if (const auto in_use = journal.lock()) in_use->leave_flash(why);
        if (const auto in_use = flash.lock()) in_use->give_up(flash_tier::state::spoilt, why);
      });
}

sluice::store::properties cache_store::describe() const {
  sluice::store::properties p = over().below->describe();
  const std::lock_guard lock(guard_);
  p.volatile_cache |= change_ && change_->is_volatile;
  p.failures += failures_before_;
  p.losses += losses_before_;
  return p;
}

std::unique_ptr<sluice::store::channel> cache_store::attach(reactor::loop& loop) {
  return std::make_unique<cache_channel>(generations_, loop);
}

result<void> cache_store::resize(std::uint64_t size_bytes) {
  if (size_bytes / block_bytes >= largest_store_blocks)
    return fail(errc::invalid_argument, "a cache takes stores of at most 4 PiB");
  if (generations_->core()->flash() && size_bytes < medium_->describe().size_bytes)
    return fail(errc::unsupported, "a cache with flash cannot shrink: take the flash away first");
  // What is read below until the new size holds is not kept.
  generations_->for_cores([size_bytes](cache_core& core) {
    core.begin_write_in_sets(0, core.set_count(), size_bytes / block_bytes, largest_store_blocks);
  });
  auto done = over().below->resize(size_bytes);
  generations_->for_cores([](cache_core& core) { core.end_write_in_sets(0, core.set_count()); });
  return done;
}

result<sluice::store::prepared> cache_store::prepare_settings(const config::settings& wanted) {
  const auto options = read_options(wanted);
  if (!options) return tl::unexpected(options.error());
  return prepare(*options);
}

/// In another mode, flash that began with a journal keeps the room for it, unless something else of it changes.
static void keep_room(options& wanted, const options& now) {
  if (!now.flash.journals || now.flash.path.empty()) return;  // a mode that needs a journal gets one
  flash_options with_room = wanted.flash;
  with_room.journals = now.flash.journals;
  if (with_room == now.flash) wanted.flash = now.flash;
}

result<sluice::store::prepared> cache_store::prepare(options wanted, bool anew) {
  {
    const std::lock_guard lock(guard_);
    if (change_) return fail(errc::busy, "an earlier change is not through yet: try again");
  }
  const auto core = generations_->newest();
  const options now = core->wanted();
  keep_room(wanted, now);
  const bool has_journal = core->over().journal != nullptr || wanted.has_journal();
  const bool same_flash = wanted.flash == now.flash;
  if (has_journal && (!same_flash || wanted.volatile_dirty_bytes != now.volatile_dirty_bytes))
    return prepare_journal(wanted, *core);
  if (!anew && wanted.ram_bytes == now.ram_bytes && same_flash)
    return sluice::store::prepared{[this, wanted] {
      generations_->for_cores([&](cache_core& each) { each.set_manners(wanted); });
      generations_->pins_changed();
      follow(*wanted.mode);
    }};
  if (generations_->is_exchanging()) return fail(errc::busy, "an earlier change is not through yet: try again");
  if (auto good = check_ram(wanted); !good) return tl::unexpected(good.error());
  const std::uint64_t size_bytes = medium_->describe().size_bytes;
  auto flash = prepare_flash(wanted, now, core->flash(), anew, size_bytes, control_loop_, binding_);
  if (!flash) return tl::unexpected(flash.error());
  auto next = std::make_shared<cache_core>(wanted, size_bytes, core->over(), *flash);
  return sluice::store::prepared{[this, old = core->flash(), next] {
    const std::shared_ptr<flash_tier>& comes = next->flash();
    if (old != comes) begin_flash(old.get(), comes.get());
    generations_->exchange(next);
    watch_flash();
    follow_size(*next, medium_->describe().size_bytes);
    follow(next->mode());
  }};
}

// -- another journal -------------------------------------------------------------------------------------------------

/// Whatever may be refused is, before anything is drained.
result<sluice::store::prepared> cache_store::prepare_journal(const options& wanted, const cache_core& core) {
  SLUICE_CHECK(control_loop_ != nullptr);
  if (generations_->is_exchanging()) return fail(errc::busy, "an earlier change is not through yet: try again");
  if (auto good = check_ram(wanted); !good) return tl::unexpected(good.error());
  const sluice::store::properties p = medium_->describe();
  auto flash = prepare_flash(wanted, core.wanted(), core.flash(), true, p.size_bytes, control_loop_, binding_);
  if (!flash) return tl::unexpected(flash.error());
  if (*flash && (!core.flash() || (*flash)->file != core.flash()->file))
    if (auto free = journal::check_use(*control_loop_, (*flash)->handle, (*flash)->path, 0); !free)
      return tl::unexpected(free.error());
  auto change = std::make_shared<journal_change>(journal_change{wanted, *flash, std::nullopt, p.volatile_cache});
  if (wanted.has_journal()) {
    if (!core.over().journal)
      if (auto unmarked = check_unmarked(*medium_); !unmarked) return tl::unexpected(unmarked.error());
    const journal::options how = options_of_journal(wanted, flash->get());
    if (!journal::is_layout(how.journal_bytes, how.record_blocks))
      return fail(errc::invalid_argument, "flash.dirty: too small for a journal, or too large");
    auto medium = medium_of_journal(wanted, flash->get(), *control_loop_);
    if (!medium) return tl::unexpected(medium.error());
    change->medium.emplace(std::move(*medium));
    change->is_volatile = how.is_volatile;
  }
  return sluice::store::prepared{[this, change] {
                                   {
                                     const std::lock_guard lock(guard_);
                                     change_ = change;
                                   }
                                   listeners_->tell();  // a cache over this one
                                 },
                                 true};
}

void cache_store::go_over(const journal_change& to) {
  const auto before = generations_->newest();
  const sluice::store::properties promised = before->over().below->describe();
  const sluice::store::properties medium = medium_->describe();
  begin_flash(before->flash().get(), to.flash.get());
  foundation over{medium_, nullptr, medium.volatile_cache};
  if (to.medium) {
    journal::options how = options_of_journal(to.wanted, to.flash.get());
    how.was_volatile = promised.volatile_cache;
    if (const auto& old = before->over().journal) how.first_sequence = old->core().figures.last_record + 1;
    const bool is_volatile = how.is_volatile || how.was_volatile;
    auto journal = journal::journal_store::begin_anew(medium_, std::move(how), *to.medium);
    journal->on_own_change([listeners = listeners_] { listeners->tell(); });
    over = {journal, journal, is_volatile};
  }
  {
    const std::lock_guard lock(guard_);
    failures_before_ += promised.failures - medium.failures;
    losses_before_ += promised.losses - medium.losses;
  }
  journals_ = to.wanted.mode->journals;
  auto next = std::make_shared<cache_core>(to.wanted, medium.size_bytes, std::move(over), to.flash);
  generations_->exchange(next);
  watch_flash();
  follow_size(*next, medium_->describe().size_bytes);
}

/// Brings the journal to the mode of the cache.
void cache_store::follow(const mode& how) {
  if (std::exchange(journals_, how.journals) == how.journals) return;
  how.journals ? take_over_journal() : begin_hand_over();
}

/// When somebody still passes it by, the next take_over() does.
void cache_store::take_over_journal() {
  const auto journal = over().journal;
  if (journal && journals_ && generations_->is_over_one()) journal->take_over();
}

result<void> cache_store::drop() {
  const auto ready = prepare(generations_->newest()->wanted(), true);
  if (!ready) return tl::unexpected(ready.error());
  (*ready)();
  return {};
}

void cache_store::take_over() {
  std::shared_ptr<const journal_change> change;
  {
    const std::lock_guard lock(guard_);
    change = change_;
  }
  if (change) {
    go_over(*change);
    const std::lock_guard lock(guard_);
    change_.reset();  // describe() tells by itself from now on
  }
  generations_->take_over();
  take_over_journal();
}

/// For ever, where flash is concerned.
void cache_store::forget() {
  generations_->for_cores([](cache_core& core) {
    if (core.flash()) core.flash()->take_away();
    core.forget();
  });
}

void cache_store::hand_over() {
  generations_->hand_over();
  forget();
  if (const auto journal = over().journal) journal->hand_over();
}

void cache_store::begin_hand_over() {
  if (const auto journal = over().journal) journal->begin_hand_over();
}

result<void> cache_store::handed_over() {
  const auto journal = over().journal;
  return journal ? journal->handed_over() : result<void>();
}

/// Whoever had the medium meanwhile changed its note, even if he kept nothing: so flash that it still names was told of
/// every write. What is in RAM has no such proof.
result<void> cache_store::begin_tenure() {
  if (auto begun = medium_->begin_tenure(); !begun) return begun;
  const auto flash = generations_->newest()->flash();
  const auto named = binding_->confirm(flash ? flash->believed_id() : 0);
  if (!named) return fail(named.error().code, "over: " + named.error().message);
  if (!is_as_opened_ || (flash && !*named))
    if (auto dropped = drop(); !dropped) return dropped;
  is_as_opened_ = false;
  generations_->set_tenure(true);
  binding_->set_tenure(true);
  return {};
}

void cache_store::end_tenure() {
  generations_->set_tenure(false);
  binding_->set_tenure(false);
  medium_->end_tenure();
}

result<std::uint64_t> cache_store::give_up_lost() {
  const auto journal = over().journal;
  if (!journal) return fail(errc::unsupported, "it has no journal");
  if (!journal->core().any_lost()) return 0;
  // The tiers may hold what the journal has lost.
  if (auto dropped = drop(); !dropped) {
    if (dropped.error().code == errc::busy) return tl::unexpected(dropped.error());
    forget();
  }
  return journal->give_up_lost();
}

std::string cache_store::holder() const {
  const auto journal = over().journal;
  return journal ? journal->holder() : std::string();
}

std::string cache_store::health() const {
  const auto core = generations_->newest();
  const std::string below = core->over().below->health();
  std::string flash = core->flash() ? core->flash()->health() : "good";
  {
    const std::lock_guard lock(guard_);
    if (!flash_trouble_.empty()) flash = "the cache goes on without flash (" + flash_trouble_ + ")";
  }
  if (flash == "good") return below;
  return below == "good" ? flash : below + "; " + flash;
}

std::vector<sluice::store::figure> cache_store::figures() const {
  counters all;
  generations_->sum(all);
  const auto core = generations_->newest();
  const auto pins = core->pins();
  std::vector<sluice::store::figure> shown{
      {"mode", std::string(core->mode().name)},
      {"ram_bytes", core->wanted().ram_bytes},
      {"ram_used_bytes", core->used_blocks() * block_bytes},
      {"pinned_bytes", pins ? pins->blocks() * block_bytes : 0},
      {"pinned_resident_bytes", core->pinned_blocks() * block_bytes},
      {"ram_overhead_bytes", core->overhead_bytes()},
      sluice::store::counter("read_blocks", all.read_blocks.value()),
      sluice::store::counter("ram_hit_blocks", all.ram_hit_blocks.value()),
      {"ram_hit_ratio", ratio(all.ram_hit_blocks.value(), all.read_blocks.value())},
      sluice::store::counter("streamed_blocks", all.streamed_blocks.value()),
      sluice::store::counter("prefetched_blocks", all.prefetched_blocks.value()),
      sluice::store::counter("prefetch_used_blocks", all.prefetch_used_blocks.value()),
      sluice::store::counter("written_blocks", all.written_blocks.value()),
      sluice::store::counter("kept_blocks", all.kept_blocks.value()),
      sluice::store::counter("unkept_batches", all.unkept_batches.value()),
      {"hit_p50_us", microseconds(all.hit.quantile_ns(0.5))},
      {"hit_p99_us", microseconds(all.hit.quantile_ns(0.99))},
      {"miss_p50_us", microseconds(all.miss.quantile_ns(0.5))},
      {"miss_p99_us", microseconds(all.miss.quantile_ns(0.99))}};
  if (const auto& journal = core->over().journal) {
    const auto of_journal = journal->figures();
    shown.insert(shown.end(), of_journal.begin(), of_journal.end());
  }
  if (!core->flash()) return shown;
  const flash_tier& flash = *core->flash();
  const std::vector<sluice::store::figure> more{
      {"flash_ready", flash.ready()},
      {"flash_bytes", flash.layout.segments() * (flash.layout.segment_blocks - 1) * block_bytes},
      {"flash_overhead_bytes", flash.memory_bytes()},
      {"flash_recovered_blocks", flash.recovered_blocks.load()},
      sluice::store::counter("flash_hit_blocks", all.flash_hit_blocks.value()),
      {"flash_hit_ratio", ratio(all.flash_hit_blocks.value(), all.read_blocks.value())},
      {"flash_hit_p50_us", microseconds(all.flash_hit.quantile_ns(0.5))},
      {"flash_hit_p99_us", microseconds(all.flash_hit.quantile_ns(0.99))},
      sluice::store::counter("flash_written_bytes", flash.written_bytes.load()),
      sluice::store::counter("flash_table_writes", flash.voids.load()),
      sluice::store::counter("flash_corrupt_blocks", flash.corrupt_blocks.load()),
      sluice::store::counter("flash_read_errors", flash.read_errors.load())};
  shown.insert(shown.end(), more.begin(), more.end());
  return shown;
}

}  // namespace sluice::cache
