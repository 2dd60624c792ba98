#include "fabrics/iscsi/command.hpp"

#include <algorithm>
#include <bit>

namespace sluice::iscsi {

void command::reset() {
  const bool had_data_out = may_have_data_out();
  task.reset();
  initiator_task_tag = cmd_sn = 0;
  stage_ = stage::gathering;
  end = fate::served;
  immediate = status_sent = slot_freed = false;
  data_in_offset = 0;
  data_in_sn = 0;
  hungry_since_ns = 0;
  if (!had_data_out) return;
  r2t_sn = 0;
  arrived = 0;
  early.clear();
  landing = {};
  landing_bytes = 0;
  landing_base = 0;
  reserved = {};
  promised = false;
  unsolicited_open = false;
  unsolicited_sn = 0;
  fetch_end = next_r2t = 0;
  bursts.clear();
  first_transfer_tag = 0;
  progress_ns = 0;
}

void command::move_to(stage next) {
  switch (next) {
    case stage::gathering:
      SLUICE_CHECK(!"a command begins there, and comes back only by reset()");
      break;
    case stage::at_unit:
      SLUICE_CHECK(stage_ == stage::gathering || stage_ == stage::fetching || stage_ == stage::sending);
      break;
    case stage::fetching:
    case stage::sending:
    case stage::ended:
      SLUICE_CHECK(stage_ == stage::at_unit);
      break;
  }
  stage_ = next;
}

commands::commands(std::uint32_t expected) : table_(std::bit_ceil(4ull * std::max(expected, 4u))) {}

command* commands::find(std::uint32_t tag) const {
  for (std::size_t at = slot_of(tag); table_[at]; at = (at + 1) & (table_.size() - 1))
    if (table_[at]->initiator_task_tag == tag) return table_[at];
  return nullptr;
}

void commands::insert(command& c) {
  std::size_t at = slot_of(c.initiator_task_tag);
  while (table_[at]) at = (at + 1) & (table_.size() - 1);
  table_[at] = &c;
}

void commands::grow() {
  table_.assign(table_.size() * 2, nullptr);
  for (command* c : live_) insert(*c);
}

command& commands::add(std::uint32_t tag) {
  if (2 * (live_.size() + 1) > table_.size()) grow();
  if (free_.empty()) {
    all_.push_back(std::make_unique<command>());
    free_.push_back(all_.back().get());
  }
  command& c = *free_.back();
  free_.pop_back();
  c.initiator_task_tag = tag;
  c.slot = static_cast<std::uint32_t>(live_.size());
  live_.push_back(&c);
  insert(c);
  return c;
}

void commands::remove(command& c) {
  const std::size_t mask = table_.size() - 1;
  std::size_t hole = slot_of(c.initiator_task_tag);
  while (table_[hole] != &c) hole = (hole + 1) & mask;
  // Closes the gap, so that no search stops early: whoever may sit at the hole moves there.
  for (std::size_t at = (hole + 1) & mask; table_[at]; at = (at + 1) & mask) {
    const std::size_t wanted = slot_of(table_[at]->initiator_task_tag);
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = nullptr;
  live_[c.slot] = live_.back();
  live_[c.slot]->slot = c.slot;
  live_.pop_back();
  c.reset();
  free_.push_back(&c);
}

}  // namespace sluice::iscsi
