#include "tiers/cache/flash/flash_recovery.hpp"

#include <algorithm>
#include <cstdlib>

#include "actors/base/check.hpp"
#include "actors/observe/log.hpp"

namespace sluice::cache {

using store::status;

namespace {

constexpr std::uint64_t table_memory = std::uint64_t{flash::region_pages_limit} * block_bytes;

}  // namespace

void flash_recovery::free_memory::operator()(std::uint8_t* memory) const noexcept {
  std::free(memory);
}

flash_recovery::flash_recovery(std::shared_ptr<flash_tier> tier, reactor::loop& loop, store::channel& below,
                               std::uint64_t store_blocks)
    : tier_(std::move(tier)),
      loop_(loop),
      below_(below),
      store_blocks_(store_blocks),
      memory_(static_cast<std::uint8_t*>(std::aligned_alloc(block_bytes, table_memory))) {
  SLUICE_CHECK(memory_ != nullptr);
  for (unsigned i = 0; i < depth; ++i) {
    headers_.push_back(std::make_unique<header_read>());
    headers_.back()->owner = this;
    headers_.back()->part = {memory_.get() + i * block_bytes, block_bytes};
  }
}

flash_recovery::~flash_recovery() {
  SLUICE_CHECK(!single_.in_flight());
  for (const auto& each : headers_) SLUICE_CHECK(!each->in_flight());
  if (at_work_) tier_->give_up_recovery();
}

auto flash_recovery::read(std::uint64_t offset, std::uint64_t length) noexcept {
  return until(place_, [this, offset, length] {
    part_ = {memory_.get(), length};
    loop_.read(single_, tier_->handle, &part_, 1, tier_->base_bytes + offset);
  });
}

auto flash_recovery::write(std::uint64_t offset, std::uint64_t length) noexcept {
  return until(place_, [this, offset, length] {
    part_ = {memory_.get(), length};
    loop_.write(single_, tier_->handle, &part_, 1, tier_->base_bytes + offset, true);
  });
}

/// First a flush of the store below: what it acknowledged to an earlier process and might still lose must not be older
/// than what flash is found to hold. A sync of the flash before it is read: the power must not take that back later.
routine flash_recovery::start() noexcept {
  at_work_ = true;
  what = store::verb::flush;
  co_await until(place_, [this] { below_.submit(*this); });
  if (below_said_ != status::good) {
    end("the store below cannot be flushed");
    co_return;
  }
  bool usable = co_await find_what_is_there();
  if (!usable) usable = co_await format();
  end(usable ? nullptr : "it cannot be written");
}

/// Whether it is this store's, and is in the index now.
subroutine<bool> flash_recovery::find_what_is_there() noexcept {
  co_await until(place_, [this] { loop_.sync(single_, tier_->handle); });
  if (result_ != 0) co_return false;
  co_await read(0, block_bytes);
  if (!was_whole() || !take_superblock()) co_return false;
  co_await read(block_bytes, std::uint64_t{tier_->layout.region_pages} * block_bytes);
  if (!was_whole()) co_return false;
  take_table();
  co_await until(place_, [this] { read_headers(); });
  co_return take_headers();
}

/// Makes the flash this store's, with nothing on it.
/// The table before the superblock: without that nothing of it counts.
subroutine<bool> flash_recovery::format() noexcept {
  tier_->layout.id = loop_.random() | 1;
  tier_->layout.store_bytes = store_blocks_ * block_bytes;
  for (std::uint64_t page = 0; page < tier_->layout.region_pages; ++page)
    tier_->page_image(page, {memory_.get() + page * block_bytes, block_bytes});
  co_await write(block_bytes, std::uint64_t{tier_->layout.region_pages} * block_bytes);
  if (!was_whole()) co_return false;
  flash::encode(tier_->layout, {memory_.get(), block_bytes});
  co_await write(0, block_bytes);
  if (!was_whole()) co_return false;
  tier_->binding->name_off_loop(tier_->layout.id);
  co_return true;
}

void flash_recovery::done(status outcome) noexcept {
  below_said_ = outcome;
  place_.resume();
}

void flash_recovery::completed(std::int64_t result) noexcept {
  result_ = result;
  place_.resume();
}

bool flash_recovery::take_superblock() noexcept {
  const auto found = flash::decode_superblock({memory_.get(), block_bytes});
  flash::superblock expected = tier_->layout;
  if (found) {
    expected.id = found->id;
    expected.store_bytes = found->store_bytes;
  }
  // A store that has grown keeps the layout; what the table does not cover is not cached. One that shrank while nobody
  // looked may have grown again since.
  const bool ours = found && found->id == tier_->believed_id() && found->flash_bytes == expected.flash_bytes &&
                    found->segment_blocks == expected.segment_blocks &&
                    found->region_blocks == expected.region_blocks &&
                    found->region_pages <= tier_->layout.region_pages &&
                    found->store_bytes <= store_blocks_ * block_bytes + block_bytes;
  if (ours) tier_->layout = *found;
  return ours;
}

void flash_recovery::take_table() noexcept {
  for (std::uint64_t page = 0; page < tier_->layout.region_pages; ++page) {
    const auto found = flash::decode_region_page({memory_.get() + page * block_bytes, block_bytes});
    if (!found || found->id != tier_->layout.id || found->number != page) {
      torn_pages_.push_back(page);  // torn while it was written: nothing of its regions can be trusted
      continue;
    }
    for (std::uint64_t i = 0; i < flash::region_page_entries; ++i) {
      tier_->set_voided(page * flash::region_page_entries + i, found->void_up_to[i]);
      newest_sequence_ = std::max(newest_sequence_, found->void_up_to[i]);
    }
  }
  for (const std::uint64_t page : torn_pages_)
    for (std::uint64_t i = 0; i < flash::region_page_entries; ++i)
      tier_->set_voided(page * flash::region_page_entries + i, UINT64_MAX);
}

void flash_recovery::read_headers() noexcept {
  for (const auto& each : headers_)
    if (!next_header(*each)) return;
}

/// Begins to read the next one, if there is one left.
bool flash_recovery::next_header(header_read& into) noexcept {
  if (next_segment_ == tier_->layout.segments()) return false;
  into.segment = next_segment_++;
  ++under_way_;
  loop_.read(into, tier_->handle, &into.part, 1, tier_->offset_of_segment(into.segment));
  return true;
}

void flash_recovery::header_arrived(header_read& one, std::int64_t result) noexcept {
  --under_way_;
  if (result == static_cast<std::int64_t>(block_bytes)) {
    take_header(one.segment, {static_cast<std::uint8_t*>(one.part.iov_base), block_bytes});
  } else {
    ++errors_;
  }
  next_header(one);
  if (under_way_ == 0) place_.resume();
}

/// In any order: of two segments that hold a block the one with the higher number counts.
void flash_recovery::take_header(std::uint64_t segment, const_bytes from) noexcept {
  const auto header = flash::decode_header(from);
  if (!header && flash::looks_like_header(from)) suspicious_ = true;
  const bool ours = header && header->id == tier_->layout.id && header->entries.size() < tier_->layout.segment_blocks;
  if (ours && header->segment != segment) suspicious_ = true;
  if (!ours || header->segment != segment) {
    is_missing_one_ = true;
    return;
  }
  tier_->set_sequence(segment, header->sequence);
  if (header->sequence > newest_sequence_) newest_sequence_ = header->sequence;
  if (header->sequence >= tier_->sequence_of_slot(static_cast<slot>(newest_segment_ * tier_->layout.segment_blocks)))
    newest_segment_ = segment;
  for (std::size_t i = 0; i < header->entries.size(); ++i) {
    const auto [block, crc] = header->entries[i];
    if (block >= store_blocks_ || !tier_->covers(block)) continue;
    const std::uint64_t region = tier_->region_of(block);
    tier_->raise_newest(region, header->sequence);
    if (header->sequence <= tier_->voided(region)) continue;
    const slot here = static_cast<slot>(segment * tier_->layout.segment_blocks + 1 + i);
    tier_->set_slot(here, block, crc);
    const slot before = tier_->index.find(block);
    if (before != no_slot && tier_->sequence_of_slot(before) > header->sequence) continue;
    tier_->index.insert(block, here);
    tier_->recovered_blocks.fetch_add(before == no_slot ? 1 : 0, std::memory_order_relaxed);
  }
}

bool flash_recovery::take_headers() noexcept {
  if (errors_ != 0) {
    // What cannot be read today may come back tomorrow, older than what is written meanwhile.
    SLUICE_LOG(warning, "cache", "headers on flash cannot be read: it is formatted", {"path", tier_->path},
               {"headers", errors_});
    tier_->index.remove_in_sets(0, tier_->index.sets(), 0, UINT64_MAX);
    tier_->recovered_blocks = 0;
    return false;
  }
  // Likewise a header that is torn, or was read wrong, or is missing: the first write to any region makes it void.
  // Until the log has come round once, nobody can say whether what is missing was ever there.
  suspicious_ |= is_missing_one_;
  constexpr std::uint64_t margin = 1U << 20;  // its number may be higher than any that was read
  if (suspicious_) newest_sequence_ += margin;
  if (suspicious_)
    for (std::uint64_t region = 0; region < tier_->layout.regions(); ++region)
      tier_->raise_newest(region, newest_sequence_);
  for (const std::uint64_t page : torn_pages_)
    for (std::uint64_t i = 0; i < flash::region_page_entries; ++i)
      tier_->void_later(page * flash::region_page_entries + i, newest_sequence_);
  tier_->go_on_from(newest_segment_ + 1, newest_sequence_ + 1);
  return true;
}

void flash_recovery::end(const char* why_failed) noexcept {
  at_work_ = false;
  // What lies there is not void, and may be read at the next start: the first write below wipes it.
  if (why_failed)
    tier_->give_up(flash_tier::state::spoilt, why_failed);
  else
    tier_->recovered();
}

}  // namespace sluice::cache
