#include "tiers/journal/journal_core.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::journal {

journal_core::journal_core(options how, journal_medium medium, const superblock& found_super, const found_log& found,
                           std::uint64_t drawn_life, std::uint64_t size)
    : wanted(std::move(how)),
      flash(std::move(medium)),
      slots(found_super.slots()),
      index(slots),
      store_bytes(size),
      destage_delay_ns(wanted.destage_delay_ns),
      below_is_flushed(!wanted.was_volatile),
      super(found_super),
      head(found.head),
      tail(found_super.tail),
      next_sequence(found.next_sequence),
      acknowledged(found.next_sequence - 1),
      last_life(found.last_life),
      life(drawn_life),
      records(found.records.begin(), found.records.end()),
      epoch_from_(found_super.tail) {
  for (const block_range& range : found_super.lost) lost_.insert(range.first, range.first + range.count);
  lost_count_ = lost_.size();
  auto entry = found.entries.begin();
  for (const record_info& record : records)
    for (std::uint32_t i = 1; i < record.blocks; ++i, ++entry) {
      index.insert(entry->block, {slot_of(record.position + i), entry->what, entry->crc});
      found_again(entry->block, entry->block + 1);
    }
  close_epoch();
  note_use();
  figures.last_record = acknowledged;
}

std::deque<record_info>::const_iterator journal_core::record_behind(std::uint64_t sequence) const noexcept {
  return std::upper_bound(
      records.begin(), records.end(), sequence,
      [](std::uint64_t wanted_sequence, const record_info& r) { return wanted_sequence < r.sequence; });
}

/// Of a store that shrinks or grows meanwhile: as it is now.
std::uint32_t journal_core::valid_bytes(block_number block) const noexcept {
  const std::uint64_t size = store_bytes.load(std::memory_order_acquire);
  const std::uint64_t begin = block * block_bytes;
  return begin >= size ? 0 : static_cast<std::uint32_t>(std::min(block_bytes, size - begin));
}

// -- what went wrong -------------------------------------------------------------------------------------------------

void journal_core::fail_flash(const std::string& why) noexcept {
  {
    const std::lock_guard lock(guard_);
    if (flash_failed_.exchange(true)) return;
    why_failed_ = why;
    SLUICE_LOG(error, "journal", "flash failed: what it holds is brought below, writes pass it by from then on",
               {"path", wanted.path}, {"why", why});
  }
  listeners.tell();
}

void journal_core::set_below_trouble(const std::string& what) noexcept {
  const std::lock_guard lock(guard_);
  if (!what.empty() && below_trouble_.empty())
    SLUICE_LOG(error, "journal", "the store below fails; its data stay on flash", {"path", wanted.path},
               {"what", what});
  if (what.empty() && !below_trouble_.empty())
    SLUICE_LOG(info, "journal", "the store below works again", {"path", wanted.path});
  below_trouble_ = what;
}

std::string journal_core::health() const {
  const std::lock_guard lock(guard_);
  std::string all;
  const auto add = [&](const std::string& sentence) { all += (all.empty() ? "" : "; ") + sentence; };
  if (!why_failed_.empty())
    add("journal " + wanted.path + " failed (" + why_failed_ +
        "): " + (now == state::passing ? "writes pass to the store below" : "writes wait until all it holds is below"));
  if (stale()) add("replace or wipe " + wanted.path + " before the gateway starts anew: it holds data that are void");
  if (unmarked_) add("the medium cannot be marked: writes pass to the store below");
  if (!below_trouble_.empty()) add(below_trouble_);
  if (!lost_.empty())
    add(std::to_string(lost_.size()) + " written blocks of 4 KiB could not be read from " + wanted.path +
        " and are lost until they are written anew");
  return all.empty() ? "good" : all;
}

// -- lost blocks -----------------------------------------------------------------------------------------------------

bool journal_core::is_lost(block_number block) const {
  const std::lock_guard lock(guard_);
  return lost_.contains(block);
}

void journal_core::lose(block_number block) {
  {
    const std::lock_guard lock(guard_);
    if (lost_.insert(block, block + 1) == 0) return;
    lost_count_ = lost_.size();
    ++losses_;
    SLUICE_LOG(error, "journal", "a written block cannot be read from flash: its data are lost", {"path", wanted.path},
               {"medium", wanted.medium}, {"offset_bytes", block * block_bytes});
  }
  listeners.tell();
}

void journal_core::found_again(block_number first, block_number last) {
  if (!any_lost() || first >= last) return;
  const std::lock_guard lock(guard_);
  lost_.erase(first, last);
  lost_count_ = lost_.size();
}

std::uint64_t journal_core::forget_lost() {
  const std::lock_guard lock(guard_);
  const std::uint64_t count = std::exchange(lost_, {}).size();
  lost_count_ = 0;
  return count;
}

/// Where there are more than a superblock holds, the nearest ones become one: more is told as lost than is.
std::vector<block_range> journal_core::lost_ranges() const {
  const std::lock_guard lock(guard_);
  return lost_.ranges(lost_limit);
}

// -- the log ---------------------------------------------------------------------------------------------------------
//
// Positions count up for ever; a slot is a position modulo the number of slots:
//
//      tail                                   head
//   ....|-- run --|-- closed epochs --|-- open --|......... tail + slots
//       |         planned_tail_       epoch_from_           records from head on are under way
//
//   tail <= planned_tail_ <= head, head + a record <= tail + slots.
//
// The superblock on flash names a tail between the two: what lies before it may be written over only when it says so.

void journal_core::close_epoch() {
  if (!epoch_is_open()) return;
  epochs.push_back(next_sequence - 1);
  epoch_from_ = head;
}

std::uint64_t journal_core::open_blocks() const noexcept {
  return head - epoch_from_;
}

/// Two steps, for slots that the superblock on flash still counts as the log's must not be written anew: planned
/// before the superblock is written, reached after it is durable.
void journal_core::plan_tail(const record_info& last) {
  planned_tail_ = place(last.position + last.blocks);
  super.tail = slot_of(planned_tail_);
  super.tail_sequence = last.sequence + 1;
  super.tail_life = last.life;
}

/// The next record takes the place, the number and the predecessor of the one that failed, so that no gap is left that
/// recovery would stop at.
void journal_core::retract(log_position position, std::uint64_t sequence) {
  head = position;
  next_sequence = sequence;
  last_life = records.empty() ? super.tail_life : records.back().life;
  while (!epochs.empty() && epochs.back() >= sequence) epochs.pop_back();
  epoch_from_ = std::min(epoch_from_, head);
  close_epoch();
}

/// Where it begins does not move: the number is far beyond any that a record there can have, and the life is new.
void journal_core::restart_log(std::uint64_t sequence, std::uint64_t life_before) {
  next_sequence = super.tail_sequence = sequence;
  last_life = super.tail_life = life_before;
  acknowledged = sequence - 1;
  epochs.clear();
}

void journal_core::sign_superblock() {
  super.changed_unix = static_cast<std::uint64_t>(std::time(nullptr));
  super.lost = lost_ranges();
  super.acknowledged = acknowledged;
  super.claimed = claimed_.load(std::memory_order_acquire);
}

void journal_core::reach_tail() {
  tail = planned_tail_;
  head = std::max(head, tail);
  epoch_from_ = std::max(epoch_from_, tail);
  note_use();
}

}  // namespace sluice::journal
