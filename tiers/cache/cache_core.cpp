#include "tiers/cache/cache_core.hpp"

#include <algorithm>
#include <thread>

#include "tiers/journal/journal_store.hpp"

namespace sluice::cache {
namespace {

constexpr unsigned batches_limit = 256;
constexpr std::uint64_t lent_slack = 64 * mib;

/// To give memory back takes the kernel its time, 26 ms for each GiB: no loop stands still for that.
void free_off_loop(std::unique_ptr<frame_memory> frames) {
  constexpr std::uint64_t little = 64 * mib;
  if (!frames || frames->bytes_touched() <= little) return;
  std::thread([frames = std::move(frames)]() mutable { frames.reset(); }).detach();
}

/// Memory that is partly lent when its owner goes: it goes when the last slice has come back, and no core has readers
/// that might follow a pointer to it.
class lingering_frames final : public reactor::timer {
 public:
  lingering_frames(std::unique_ptr<frame_memory> frames, std::weak_ptr<cache_core> core, reactor::loop& loop)
      : frames_(std::move(frames)), core_(std::move(core)), loop_(loop) {
    loop_.arm(*this, wait_ns);
  }
  void on_timer() noexcept override {
    if (frames_->is_anything_lent()) return loop_.arm(*this, wait_ns);
    if (const auto core = core_.lock()) core->keep_until_the_end(std::move(frames_));
    free_off_loop(std::move(frames_));
    delete this;
  }

 private:
  static constexpr std::uint64_t wait_ns = 50 * ns_per_ms;
  std::unique_ptr<frame_memory> frames_;
  const std::weak_ptr<cache_core> core_;
  reactor::loop& loop_;
};

}  // namespace

cache_core::cache_core(const options& wanted, std::uint64_t size_bytes, foundation over,
                       std::shared_ptr<flash_tier> flash)
    : wanted_(wanted),
      mode_(wanted.mode),
      bypass_bytes_(wanted.bypass_bytes),
      prefetch_bytes_(wanted.prefetch_bytes),
      destage_delay_ns_(wanted.destage_delay_ns),
      over_(std::move(over)),
      volatile_below_(over_.is_volatile),
      flash_(std::move(flash)),
      size_bytes_(size_bytes),
      pins_(wanted.pins.empty() ? nullptr : std::make_shared<const pin_set>(wanted.pins)) {
  const std::uint64_t frames = std::max<std::uint64_t>(wanted_.ram_bytes / block_bytes / shard_count, 1);
  for (auto& shard : shards_) {
    shard = std::make_unique<ram_shard>(
        static_cast<std::uint32_t>(std::min<std::uint64_t>(frames, ram_index::max_frames)), flash_ != nullptr);
    set_count_ += shard->index().sets();
  }
}

cache_core::~cache_core() {
  SLUICE_CHECK(std::all_of(members_.begin(), members_.end(), [](const member& m) { return m.channels == 0; }));
  for (member& m : members_) free_off_loop(std::move(m.frames));
  for (auto& each : gone_frames_) free_off_loop(std::move(each));
}

options cache_core::wanted() const {
  options now = wanted_;
  now.mode = &mode();
  now.bypass_bytes = bypass_bytes_.load(std::memory_order_relaxed);
  now.prefetch_bytes = prefetch_bytes();
  now.destage_delay_ns = destage_delay_ns_.load(std::memory_order_relaxed);
  if (const auto held = pins()) now.pins = *held;
  return now;
}

std::shared_ptr<const pin_set> cache_core::pins() const {
  const std::lock_guard lock(guard_);
  return pins_;
}

void cache_core::set_manners(const options& wanted) {
  // Requests may see the old or the new of each of these, in any order: all of them are right at any time.
  mode_.store(wanted.mode, std::memory_order_relaxed);
  bypass_bytes_.store(wanted.bypass_bytes, std::memory_order_relaxed);
  prefetch_bytes_.store(wanted.prefetch_bytes, std::memory_order_relaxed);
  const bool same_delay = destage_delay_ns_.exchange(wanted.destage_delay_ns) == wanted.destage_delay_ns;
  if (over_.journal && !same_delay) over_.journal->set_destage_delay(wanted.destage_delay_ns);
  const std::lock_guard lock(guard_);
  if (pins_ ? *pins_ == wanted.pins : wanted.pins.empty()) return;
  pins_ = wanted.pins.empty() ? nullptr : std::make_shared<const pin_set>(wanted.pins);
  for (unsigned i = 0; i < shard_count; ++i) {
    reactor::loop* const loop = owners_[i].load(std::memory_order_relaxed);
    if (!loop) continue;
    // Pins are the owner's, so it takes them on its loop; a shard that moves meanwhile gets them from adopt().
    loop->post([self = weak_from_this(), i, loop] {
      const auto core = self.lock();
      if (core && core->owners_[i].load(std::memory_order_relaxed) == loop) core->shards_[i]->pin(core->pins());
    });
  }
}

void cache_core::begin_write_in_sets(std::size_t from, std::size_t to, block_number first,
                                     block_number last) const noexcept {
  const std::size_t each = shards_[0]->index().sets();
  for (std::size_t at = from; at < to; ++at) {
    const ram_index& index = shards_[at / each]->index();
    index_set& set = index.set_at(at % each);
    // Rule 1 of ram_index.hpp, for a whole set: first the count, then the look. An owner that fills a frame of the
    // set does it the other way round, so one of the two sees the other.
    set.writes.fetch_add(write_count::event + 1, std::memory_order_seq_cst);
    for (const auto& way : set.ways) {
      const std::uint64_t entry = way.load(std::memory_order_seq_cst);
      if (entry == 0) continue;
      const block_number block = ram_index::block_of(entry);
      if (block >= first && block < last) index.frame_at(ram_index::slot_of(entry)).invalidate();
    }
  }
}

void cache_core::end_write_in_sets(std::size_t from, std::size_t to) const noexcept {
  const std::size_t each = shards_[0]->index().sets();
  for (std::size_t at = from; at < to; ++at) ram_index::end_write(shards_[at / each]->index().set_at(at % each));
}

/// A write to everything that begins and ends at once: whoever fills a frame meanwhile finds another count, and what
/// is valid becomes invalid. Flash is emptied between the two, so nothing that is found there was found before.
void cache_core::forget() noexcept {
  begin_write_in_sets(0, set_count_, 0, largest_store_blocks);
  if (flash_) flash_->index.remove_in_sets(0, flash_->index.sets(), 0, largest_store_blocks);
  end_write_in_sets(0, set_count_);
}

void cache_core::take_fill_versions(block_number first, block_number last,
                                    std::vector<std::uint64_t>& fill_versions) const noexcept {
  const bool counts = keeps();
  fill_versions.clear();
  for (block_number block = first; block < last; ++block) {
    const place p(block);
    fill_versions.push_back(counts ? ram_index::fill_version(shard_of(p).index().set_of(p))
                                   : write_count::no_fill_version);
  }
}

void cache_core::begin_blocks(block_number first, block_number last, std::vector<std::uint64_t>* begun) const noexcept {
  const bool counts = keeps();
  if (begun) begun->clear();
  for (block_number block = first; block < last; ++block) {
    const place p(block);
    const ram_index& index = shard_of(p).index();
    const std::uint64_t count = index.begin_write(index.set_of(p), block);
    if (flash_) flash_->index.remove(block);
    if (begun) begun->push_back(counts ? count : write_count::no_fill_version);
  }
}

void cache_core::end_blocks(block_number first, block_number last, std::vector<std::uint64_t>* begun) const noexcept {
  for (block_number block = first; block < last; ++block) {
    const place p(block);
    const std::uint64_t ended = ram_index::end_write(shard_of(p).index().set_of(p));
    if (!begun) continue;
    std::uint64_t& fill_version = (*begun)[block - first];
    const bool holds = fill_version != write_count::no_fill_version && ram_index::undisturbed(fill_version, ended);
    fill_version = holds ? ended : write_count::no_fill_version;
  }
}

/// The owner may be slow; what is not sent is only not kept. So the count needs no order with anything, it bounds
/// memory.
bool cache_core::send(std::unique_ptr<batch> blocks, reactor::loop& to) {
  if (batches_under_way_.fetch_add(1, std::memory_order_relaxed) >= batches_limit) {
    batches_under_way_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  to.post([self = shared_from_this(), &to, blocks = std::shared_ptr<batch>(std::move(blocks))] {
    self->batches_under_way_.fetch_sub(1, std::memory_order_relaxed);
    self->keep(*blocks, to);
  });
  return true;
}

void cache_core::keep(const batch& blocks, const reactor::loop& loop) noexcept {
  for (std::size_t i = 0; i < blocks.items.size() && keeps(); ++i) {
    const batch::item& item = blocks.items[i];
    const place p(item.block);
    // The shard may have moved while the batch was on its way. Only its owner writes owners_, on this loop or before
    // this loop adopts, so what is read here stays true for the call.
    if (owner_of(p) == &loop) put(p, item, blocks.content.data() + i * block_bytes);
  }
}

std::uint64_t cache_core::used_blocks() const noexcept {
  std::uint64_t all = 0;
  for (const auto& shard : shards_) all += shard->used();
  return all;
}

std::uint64_t cache_core::pinned_blocks() const noexcept {
  std::uint64_t all = 0;
  for (const auto& shard : shards_) all += shard->pinned();
  return all;
}

std::uint64_t cache_core::overhead_bytes() const noexcept {
  std::uint64_t all = 0;
  for (const auto& shard : shards_) all += shard->overhead_bytes();
  return all;
}

cache_core::member* cache_core::find(const reactor::loop& loop) {
  for (member& m : members_)
    if (m.loop == &loop) return &m;
  return nullptr;
}

void cache_core::attach(reactor::loop& loop) {
  const std::lock_guard lock(guard_);
  member* here = find(loop);
  if (!here) {
    // Twice what is kept: memory that is lent while its block is written anew is replaced, not waited for.
    auto frames = std::make_unique<frame_memory>(2 * wanted_.ram_bytes + lent_slack);
    members_.push_back({&loop, std::move(frames), 0, nullptr});
    here = &members_.back();
  }
  if (flash_ && !here->writer) here->writer = std::make_unique<flash_writer>(flash_, loop);
  if (here->channels++ == 0) settle(loop);
}

void cache_core::detach(reactor::loop& loop) {
  const std::lock_guard lock(guard_);
  member* here = find(loop);
  SLUICE_CHECK(here && here->channels != 0);
  if (--here->channels != 0) return;
  for (unsigned i = 0; i < shard_count; ++i)
    if (owners_[i].load(std::memory_order_relaxed) == &loop) release(i, loop);
  settle(loop);
  // The shards of this loop are gone (release() above), so nobody offers the writer blocks any more.
  here->writer.reset();
  if (here->frames->is_anything_lent()) {
    new lingering_frames(std::move(here->frames), weak_from_this(), loop);
    members_.erase(members_.begin() + (here - members_.data()));
  }
}

void cache_core::keep_until_the_end(std::unique_ptr<frame_memory> frames) {
  const std::lock_guard lock(guard_);
  gone_frames_.push_back(std::move(frames));
}

void cache_core::forget_on_the_way_to_flash(const reactor::loop& loop) noexcept {
  const std::lock_guard lock(guard_);
  if (const member* here = find(loop); here && here->writer) here->writer->forget();
}

bool cache_core::idle(const reactor::loop& loop) {
  const std::lock_guard lock(guard_);
  const member* here = find(loop);
  return !here || !here->writer || !here->writer->at_work();
}

/// Shares the shards out among the loops that have channels. On `here`; the others do their part later.
void cache_core::settle(reactor::loop& here) {
  std::vector<reactor::loop*> owners;
  for (const member& m : members_)
    if (m.channels != 0) owners.push_back(m.loop);
  for (unsigned i = 0; i < shard_count; ++i) {
    reactor::loop* const wanted = owners.empty() ? nullptr : owners[i % owners.size()];
    if (wanted_owners_[i] == wanted) continue;
    wanted_owners_[i] = wanted;
    reactor::loop* const now = owners_[i].load(std::memory_order_relaxed);
    const auto move_on = [self = weak_from_this(), i](reactor::loop& on) {
      on.post([self, i, &on] {
        if (const auto core = self.lock()) {
          const std::lock_guard lock(core->guard_);
          core->adopt(i, on);
        }
      });
    };
    if (now == nullptr && wanted == &here) {
      adopt(i, here);
    } else if (now == nullptr && wanted != nullptr) {
      move_on(*wanted);
    } else if (now == &here) {
      release(i, here);
      if (wanted) move_on(*wanted);
    } else if (now != nullptr) {
      now->post([self = weak_from_this(), i, now, move_on] {
        const auto core = self.lock();
        if (!core) return;
        const std::lock_guard lock(core->guard_);
        if (core->owners_[i].load(std::memory_order_relaxed) != now || core->wanted_owners_[i] == now) return;
        core->release(i, *now);
        if (reactor::loop* next = core->wanted_owners_[i]) move_on(*next);
      });
    }
  }
}

/// On the owner's loop, with guard_ held. Nobody owns the shard from the store on: other cores send it nothing and
/// lend nothing of it. Readers that are under way find versions that drop_all() has changed.
void cache_core::release(unsigned shard, reactor::loop& from) {
  SLUICE_CHECK(owners_[shard].load(std::memory_order_relaxed) == &from);
  owners_[shard].store(nullptr, std::memory_order_release);
  shards_[shard]->drop_all(*frames_[shard]);
}

/// On the new owner's loop, with guard_ held. The release pairs with the acquire of owner_of(): who sees the owner
/// sees its frames and its writer.
void cache_core::adopt(unsigned shard, reactor::loop& by) {
  if (wanted_owners_[shard] != &by || owners_[shard].load(std::memory_order_relaxed) != nullptr) return;
  member& here = *find(by);
  frames_[shard] = here.frames.get();
  writers_[shard] = here.writer.get();
  shards_[shard]->pin(pins_);
  owners_[shard].store(&by, std::memory_order_release);
}

}  // namespace sluice::cache
