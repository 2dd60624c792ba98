#include "tiers/cache/flash/flash_writer.hpp"

#include <cstdlib>
#include <cstring>

#include "actors/wire/crc.hpp"

namespace sluice::cache {

void flash_writer::free_memory::operator()(std::uint8_t* memory) const noexcept {
  std::free(memory);
}

flash_writer::flash_writer(std::shared_ptr<flash_tier> tier, reactor::loop& loop)
    : tier_(std::move(tier)), loop_(loop) {
  for (segment& s : segments_) s.owner = this;
}

flash_writer::~flash_writer() {
  SLUICE_CHECK(!at_work());
}

void flash_writer::forget() noexcept {
  for (segment& s : segments_) s.blocks.clear();
}

void flash_writer::evicted(block_number block, std::uint64_t fill_version, const index_set& set,
                           const std::uint8_t* content) noexcept {
  if (!tier_->ready() || !tier_->covers(block)) return;
  if (tier_->index.find(block) != no_slot) return;
  // What a read brought may be of a write that the store below can still lose: on flash it would outlive the power,
  // and come back as truth.
  if (!tier_->is_durable_below(tier_->region_of(block))) return tier_->want_flush();
  segment* const s = !segments_[0].in_flight() ? &segments_[0] : !segments_[1].in_flight() ? &segments_[1] : nullptr;
  if (!s) return;
  const std::uint64_t octets = std::uint64_t{tier_->layout.segment_blocks} * block_bytes;
  if (!s->memory) s->memory.reset(static_cast<std::uint8_t*>(std::aligned_alloc(block_bytes, octets)));
  if (!s->memory) return;
  s->blocks.push_back({block, fill_version, &set});
  std::memcpy(s->memory.get() + s->blocks.size() * block_bytes, content, block_bytes);
  if (s->blocks.size() + 1 == tier_->layout.segment_blocks) write(*s);
}

void flash_writer::write(segment& s) noexcept {
  s.header = {tier_->layout.id, tier_->next_sequence(), 0, {}};
  // First the regions hear of the segment, then the fill versions are looked at: a write that is not seen here sees the
  // region's number, and makes the region void on flash before it goes below.
  for (const segment::held& each : s.blocks) tier_->raise_newest(tier_->region_of(each.block), s.header.sequence);
  bool any = false;
  for (std::size_t i = 0; i < s.blocks.size(); ++i) {
    segment::held& each = s.blocks[i];
    if (ram_index::fill_version(*each.set) != each.fill_version) each.block = flash::nothing;
    any |= each.block != flash::nothing;
    const std::uint8_t* content = s.memory.get() + (i + 1) * block_bytes;
    s.header.entries.push_back({each.block, wire::crc32c({content, block_bytes})});
  }
  s.number = any ? tier_->take_segment() : UINT64_MAX;
  if (s.number == UINT64_MAX) return s.blocks.clear();
  s.header.segment = static_cast<std::uint32_t>(s.number);
  flash::encode(s.header, {s.memory.get(), block_bytes});
  s.part = {s.memory.get(), (s.blocks.size() + 1) * block_bytes};
  loop_.write(s, tier_->handle, &s.part, 1, tier_->offset_of_segment(s.number), false);
}

void flash_writer::written(segment& s, std::int64_t result) noexcept {
  const bool whole = result == static_cast<std::int64_t>(s.part.iov_len);
  tier_->segment_went(whole);
  if (whole && tier_->ready()) {
    tier_->written_bytes.fetch_add(s.part.iov_len, std::memory_order_relaxed);
    tier_->set_sequence(s.number, s.header.sequence);
    for (std::size_t i = 0; i < s.blocks.size(); ++i) {
      const auto [block, fill_version, set] = s.blocks[i];
      if (block == flash::nothing) continue;
      const auto here = static_cast<slot>(s.number * tier_->layout.segment_blocks + 1 + i);
      tier_->set_slot(here, block, s.header.entries[i].crc);
      tier_->index.insert(block, here);
      // Inserted first, then looked: a write that began in between either sees the entry and removes it, or is seen
      // here (rule 1 of ram_index.hpp).
      if (ram_index::fill_version(*set) != fill_version) tier_->index.remove(block, here);
    }
    // Retired meanwhile: the index must stay empty.
    if (!tier_->ready())
      for (const auto& each : s.blocks)
        if (each.block != flash::nothing) tier_->index.remove(each.block);
  }
  tier_->segment_written(s.number);
  s.blocks.clear();
}

}  // namespace sluice::cache
