#include <algorithm>

#include "gateway/unit/jobs.hpp"

namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

/// Whether the initiator announces data that end within a block. None of that block could be written, and GOOD would
/// say that it was.
bool ends_within_a_block(const command& c, std::uint32_t block_size) {
  switch (c.row->what) {
    case scsi::command::write:
    case scsi::command::verify:
    case scsi::command::write_and_verify:
    case scsi::command::or_write: {
      const std::uint64_t offered = c.task->expected_data_out;
      return offered % block_size != 0 && offered < c.block.transfer_bytes(block_size);
    }
    default:
      return false;
  }
}

}  // namespace

void shard::execute(command& c) noexcept {
  if (ends_within_a_block(c, block_size())) [[unlikely]] {
    c.task->length_out = c.block.transfer_bytes(block_size());
    return finish(c, outcomes::check(scsi::sense_key::illegal_request, scsi::asc::invalid_field_in_command_iu));
  }
  if (!c.nexus->plain && is_for_owner(c)) [[unlikely]] {
    relay_to_owner(*this, c);
    return;
  }
  switch (c.row->what) {
    case scsi::command::read:
      return read(c);
    case scsi::command::write:
      return write(c);
    case scsi::command::verify:
      verify(*this, c);
      return;
    case scsi::command::write_and_verify:
      unit::write_and_verify(*this, c);
      return;
    case scsi::command::or_write:
      or_write(*this, c);
      return;
    case scsi::command::compare_and_write:
      compare_and_write(*this, c);
      return;
    case scsi::command::write_same:
      write_same(*this, c);
      return;
    case scsi::command::unmap:
      unmap(*this, c);
      return;
    case scsi::command::synchronize_cache:
      synchronize_cache(*this, c);
      return;
    case scsi::command::pre_fetch:
      pre_fetch(*this, c);
      return;
    case scsi::command::get_lba_status:
      get_lba_status(*this, c);
      return;
    case scsi::command::mode_select:
    case scsi::command::start_stop_unit:
    case scsi::command::prevent_allow_medium_removal:
    case scsi::command::reserve:
    case scsi::command::release:
    case scsi::command::persistent_reserve_out:
    case scsi::command::set_target_port_groups:
      send_to_coordinator(*this, c);
      return;
    case scsi::command::test_unit_ready:
      return test_ready(c);
    case scsi::command::request_sense:
    case scsi::command::inquiry:
    case scsi::command::report_luns:
    case scsi::command::mode_sense:
    case scsi::command::send_diagnostic:
    case scsi::command::read_capacity_10:
    case scsi::command::read_capacity_16:
    case scsi::command::read_defect_data:
    case scsi::command::persistent_reserve_in:
    case scsi::command::report_target_port_groups:
    case scsi::command::report_supported_operation_codes:
    case scsi::command::report_supported_task_management_functions:
      return finish(c, from_snapshot(*this, c));
  }
  finish(c, outcomes::invalid_opcode());
}

namespace {

/// Cuts borrowed blocks to what the initiator has room for.
void trim(std::vector<memory::slice>& data, std::uint64_t excess) {
  while (excess > 0) {
    memory::slice& last = data.back();
    const std::uint32_t cut = static_cast<std::uint32_t>(std::min<std::uint64_t>(excess, last.size()));
    excess -= cut;
    if (cut == last.size())
      data.pop_back();
    else
      last = last.sub(0, last.size() - cut);
  }
}

}  // namespace

void shard::read(command& c) noexcept {
  port::task& t = *c.task;
  const std::uint64_t size = block_size();
  t.length_in = c.block.blocks * size;
  const std::uint64_t wanted = std::min(t.length_in, t.expected_data_in);
  if (wanted == 0) return finish(c, outcomes::good());
  const std::uint64_t whole = (wanted + size - 1) / size * size;
  const bool from_medium = c.block.fua && may_hold_writes();
  if (!from_medium && wanted <= window_bytes && lend(c, c.block.lba * size, whole, wanted))
    return finish(c, outcomes::good());
  read_windows(*this, c);
}

/// Sends `octets` of `whole` from where they lie. Whoever sends them must have them copied when the initiator does not
/// take them at once, for they may change: so their memory is paid for, and who cannot pay waits for a buffer instead.
bool shard::lend(command& c, std::uint64_t offset_bytes, std::uint64_t whole, std::uint64_t octets) noexcept {
  port::task& t = *c.task;
  if (!c.nexus->identity->caps.may_borrow || !t.destination.empty() || is_locked_out(c)) return false;
  if (!medium_->borrow(offset_bytes, whole, t.data_in)) return false;
  if (t.payer) {
    memory::charge copy(loop_.buffers().accounts(), *t.payer);
    if (!copy.set(octets)) {
      t.data_in.clear();
      return false;
    }
    t.lent = std::move(copy);
  }
  lent_ = true;
  trim(t.data_in, whole - octets);
  return true;
}

void shard::write(command& c) noexcept {
  port::task& t = *c.task;
  t.length_out = c.block.blocks * block_size();
  const std::uint64_t usable = whole_blocks(*this, t.length_out, t.expected_data_out);
  if (usable == 0) return finish(c, outcomes::good());
  if (t.data_out_end >= usable && usable <= window_bytes) {
    set_data_out(c, 0, usable);
    prepare(c, store::verb::write, c.block.lba * block_size(), usable);
    c.io.fua = must_be_durable(*this, c);
    store::status status;
    if (medium_->try_now(c.io, status)) return finish(c, outcome_of(status, c.io, block_size()));
  }
  write_windows(*this, c);
}

}  // namespace sluice::unit
