#include "tiers/cache/flash_recovery.hpp"

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

flash_recovery::flash_recovery(std::shared_ptr<flash_tier> tier, reactor::loop& home, store::channel& below,
                               std::uint64_t store_blocks)
    : tier_(std::move(tier)),
      home_(home),
      below_(below),
      store_blocks_(store_blocks),
      memory_(static_cast<std::uint8_t*>(std::aligned_alloc(block_bytes, table_memory))) {
  SLUICE_CHECK(memory_ != nullptr);
  for (unsigned i = 0; i < depth; ++i) {
    steps_.push_back(std::make_unique<step>());
    steps_.back()->owner = this;
  }
}

flash_recovery::~flash_recovery() {
  for (const auto& each : steps_) SLUICE_CHECK(!each->in_flight());
  if (at_work_) tier_->give_up_recovery();
}

void flash_recovery::start() noexcept {
  at_work_ = true;
  what = store::verb::flush;
  phase_ = phase::flushing;
  below_.submit(*this);
}

void flash_recovery::done(status outcome) noexcept {
  if (outcome != status::good) return end("the store below cannot be flushed");
  phase_ = phase::syncing;
  home_.sync(*steps_[0], tier_->handle);
}

void flash_recovery::step::on_complete(std::int64_t result) noexcept {
  owner->completed(*this, result);
}

void flash_recovery::read(std::uint64_t offset, std::uint64_t length, phase next) noexcept {
  phase_ = next;
  steps_[0]->part = {memory_.get(), length};
  home_.read(*steps_[0], tier_->handle, &steps_[0]->part, 1, tier_->base_bytes + offset);
}

void flash_recovery::completed(step& s, std::int64_t result) noexcept {
  const bool whole = result == static_cast<std::int64_t>(s.part.iov_len);
  switch (phase_) {
    case phase::flushing:
      return;
    case phase::syncing:
      if (result != 0) return format();
      return read(0, block_bytes, phase::superblock);
    case phase::superblock:
      if (!whole) return format();
      return superblock_read();
    case phase::table:
      if (!whole) return format();
      return table_read();
    case phase::headers:
      --under_way_;
      if (whole) header_read(s, {static_cast<std::uint8_t*>(s.part.iov_base), block_bytes});
      if (!whole) ++errors_;
      next_header(s);
      if (under_way_ == 0) headers_read();
      return;
    case phase::format_table: {
      if (!whole) return end("it cannot be written");
      phase_ = phase::format_superblock;
      flash::encode(tier_->layout, {memory_.get(), block_bytes});
      s.part = {memory_.get(), block_bytes};
      return home_.write(s, tier_->handle, &s.part, 1, tier_->base_bytes, true);
    }
    case phase::format_superblock:
      if (!whole) return end("it cannot be written");
      tier_->witness->name_aside(tier_->layout.id);
      return end(nullptr);
  }
}

void flash_recovery::superblock_read() noexcept {
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
  if (!ours) return format();
  tier_->layout = *found;
  read(block_bytes, std::uint64_t{found->region_pages} * block_bytes, phase::table);
}

void flash_recovery::table_read() noexcept {
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
  phase_ = phase::headers;
  for (unsigned i = 0; i < depth; ++i) {
    steps_[i]->part = {memory_.get() + i * block_bytes, block_bytes};
    next_header(*steps_[i]);
  }
}

void flash_recovery::next_header(step& s) noexcept {
  if (next_segment_ == tier_->layout.segments()) return;
  s.segment = next_segment_++;
  ++under_way_;
  home_.read(s, tier_->handle, &s.part, 1, tier_->offset_of_segment(s.segment));
}

void flash_recovery::header_read(const step& s, const_bytes from) noexcept {
  const auto header = flash::decode_header(from);
  if (!header && flash::looks_like_header(from)) suspicious_ = true;
  const bool ours = header && header->id == tier_->layout.id && header->entries.size() < tier_->layout.segment_blocks;
  if (ours && header->segment != s.segment) suspicious_ = true;
  if (!ours || header->segment != s.segment) {
    is_missing_one_ = true;
    return;
  }
  tier_->set_sequence(s.segment, header->sequence);
  if (header->sequence > newest_sequence_) newest_sequence_ = header->sequence;
  if (header->sequence >= tier_->sequence_of_slot(static_cast<slot>(newest_segment_ * tier_->layout.segment_blocks)))
    newest_segment_ = s.segment;
  for (std::size_t i = 0; i < header->entries.size(); ++i) {
    const auto [block, crc] = header->entries[i];
    if (block >= store_blocks_ || !tier_->covers(block)) continue;
    const std::uint64_t region = tier_->region_of(block);
    tier_->raise_newest(region, header->sequence);
    if (header->sequence <= tier_->voided(region)) continue;
    const slot here = static_cast<slot>(s.segment * tier_->layout.segment_blocks + 1 + i);
    tier_->set_slot(here, block, crc);
    const slot before = tier_->index.find(block);
    if (before != no_slot && tier_->sequence_of_slot(before) > header->sequence) continue;
    tier_->index.insert(block, here);
    tier_->recovered_blocks.fetch_add(before == no_slot ? 1 : 0, std::memory_order_relaxed);
  }
}

void flash_recovery::headers_read() noexcept {
  if (errors_ != 0) {
    // What cannot be read today may come back tomorrow, older than what is written meanwhile.
    SLUICE_LOG(warning, "cache", "headers on flash cannot be read: it is formatted", {"path", tier_->path},
               {"headers", errors_});
    tier_->index.remove_in_sets(0, tier_->index.sets(), 0, UINT64_MAX);
    tier_->recovered_blocks = 0;
    return format();
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
  end(nullptr);
}

void flash_recovery::format() noexcept {
  tier_->layout.id = home_.random() | 1;
  tier_->layout.store_bytes = store_blocks_ * block_bytes;
  for (std::uint64_t page = 0; page < tier_->layout.region_pages; ++page)
    tier_->page_image(page, {memory_.get() + page * block_bytes, block_bytes});
  phase_ = phase::format_table;
  steps_[0]->part = {memory_.get(), std::uint64_t{tier_->layout.region_pages} * block_bytes};
  home_.write(*steps_[0], tier_->handle, &steps_[0]->part, 1, tier_->base_bytes + block_bytes, true);
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
