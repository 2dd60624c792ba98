#include <algorithm>

#include "actors/wire/big_endian.hpp"
#include "gateway/scsi/asc.hpp"
#include "tests/sim/host.hpp"

// What a host makes up and sends.
namespace sluice::sim {

namespace {

constexpr std::uint64_t crowded = 64;  // blocks at the start of a unit where most commands meet
constexpr std::uint64_t page_sectors = 4096 / sector_bytes;
constexpr unsigned swept = unit_bytes / sector_bytes / (2 * page_sectors);

void set_block_range(std::array<std::uint8_t, 16>& cdb, bool sixteen, std::uint64_t lba, std::uint32_t blocks) {
  if (sixteen) {
    wire::store64(cdb, 2, lba);
    wire::store32(cdb, 10, blocks);
  } else {
    wire::store32(cdb, 2, lba);
    wire::store16(cdb, 7, blocks);
  }
}

}  // namespace

std::uint32_t host::new_tag() {
  for (;;) {
    const auto tag = static_cast<std::uint32_t>(field_.world.random());
    if (tag > 16 && tag != iscsi::reserved_tag && !ops_.contains(tag) && !managements_.contains(tag)) return tag;
  }
}

void host::next() {
  if (sweep_left_ > 0) return send(make(sweep_ == sweep::write ? kind::write : kind::read, *field_.units[0]));
  unit_view& unit = *field_.units[chance(0.7) ? 0 : 1];
  if (field_.caching && chance(0.1)) return exercise_cache();
  const std::uint64_t dice = below(1000);
  const auto plain = [&](kind what) { send(make(what, unit)); };
  if (dice < 330) return plain(kind::read);
  if (dice < 680) return plain(kind::write);
  if (dice < 710) return plain(kind::write_same);
  if (dice < 750) return plain(kind::unmap);
  if (dice < 800) return plain(kind::compare_and_write);
  if (dice < 840) return plain(kind::flush);
  if (dice < 860) return plain(kind::test_ready);
  if (dice < 870) return plain(kind::request_sense);
  if (dice < 880) return plain(kind::inquiry);
  if (dice < 900) return plain(kind::capacity);
  if (dice < 920) return plain(kind::reserve_in);
  if (dice < 930) return plain(kind::absent);
  if (dice < 980) {
    if (!field_.units[0]->reserving) return send(make(kind::reserve_out, *field_.units[0]));
    return plain(kind::read);
  }
  if (dice < 985) {
    if (!field_.units[0]->selecting && !field_.units[0]->changing && !field_.units[0]->journaled)
      return send(make(kind::mode_select, *field_.units[0]));
    return plain(kind::write);
  }
  if (dice < 996) return manage();
  if (!echo_) {
    echo_ = new_tag();
    session_->echo(*echo_);
  }
}

/// Flushes, changes of WCE, and what may carry a deferred error.
void host::exercise_cache() {
  unit_view& unit = *field_.units[0];
  const std::uint64_t dice = below(10);
  if (dice < 3 && !unit.selecting && !unit.changing && !unit.journaled) return send(make(kind::mode_select, unit));
  send(make(dice < 8 ? kind::flush : kind::request_sense, unit));
}

bool host::begin_sweep(sweep how) {
  if (leaving_) return false;
  sweep_ = how;
  share_ += swept - sweep_left_;
  sweep_left_ = swept;
  pump();
  return true;
}

range host::next_of_sweep() {
  return {--sweep_left_ * 2 * page_sectors, page_sectors};
}

range host::pick_range(const unit_view& unit) {
  if (sweep_left_ > 0) return next_of_sweep();
  const std::uint64_t dice = below(100);
  const std::uint64_t sectors = dice < 60 ? 8 : dice < 95 ? 64 : 1200;  // the last: several bursts
  const std::uint64_t blocks = 1 + below(std::max<std::uint64_t>(1, sectors / unit.sectors_per_block()));
  const std::uint64_t where = chance(0.9) ? crowded : unit.blocks();
  const std::uint64_t first = below(std::min(where, unit.blocks() - blocks + 1));
  return {first * unit.sectors_per_block(), blocks * unit.sectors_per_block()};
}

host::op host::make(kind what, unit_view& unit) {
  op o;
  o.what = what;
  o.number = field_.next_number++;
  o.unit = &unit;
  o.out.tag = new_tag();
  o.out.lun = unit.lun;
  const std::uint64_t attribute = below(20);
  o.out.attribute = attribute == 0 ? 2 : attribute == 1 ? 3 : 1;
  auto& cdb = o.out.cdb;
  switch (what) {
    case kind::read:
      make_read(o);
      break;
    case kind::write:
      make_write(o);
      break;
    case kind::write_same:
      make_write_same(o);
      break;
    case kind::unmap:
      make_unmap(o);
      break;
    case kind::compare_and_write:
      make_compare_and_write(o);
      break;
    case kind::flush:
      cdb[0] = chance(0.5) ? 0x35 : 0x91;
      o.immediate = field_.caching && chance(0.3);
      if (o.immediate) cdb[1] = 0x02;
      break;
    case kind::test_ready:
      break;
    case kind::request_sense:
      cdb[0] = 0x03;
      cdb[4] = 252;
      o.out.data_in_bytes = 252;
      break;
    case kind::inquiry:
      cdb[0] = 0x12;
      cdb[4] = 96;
      o.out.data_in_bytes = 96;
      break;
    case kind::capacity:
      cdb[0] = 0x9e;
      cdb[1] = 0x10;
      cdb[13] = 32;
      o.out.data_in_bytes = 32;
      break;
    case kind::reserve_in:
      cdb[0] = 0x5e;
      wire::store16(cdb, 7, 256);
      o.out.data_in_bytes = 256;
      break;
    case kind::absent:
      o.out.lun = 2;
      o.unit = nullptr;
      break;
    case kind::reserve_out:
      make_reserve_out(o);
      break;
    case kind::mode_select:
      make_mode_select(o);
      break;
  }
  return o;
}

void host::make_read(op& o) {
  o.where = pick_range(*o.unit);
  o.beyond = chance(0.01);
  const std::uint64_t per_block = o.unit->sectors_per_block();
  const auto blocks = static_cast<std::uint32_t>(o.where.count / per_block);
  const bool sixteen = chance(0.5);
  o.out.cdb[0] = sixteen ? 0x88 : 0x28;
  o.fua = chance(0.1);
  o.out.cdb[1] = o.fua ? 0x08 : 0;
  const std::uint64_t first = o.beyond ? 16 * unit_bytes / o.unit->block_bytes : o.where.first / per_block;
  set_block_range(o.out.cdb, sixteen, first, blocks);
  o.out.data_in_bytes = static_cast<std::uint32_t>(o.where.count * sector_bytes);
}

void host::make_write(op& o) {
  o.where = pick_range(*o.unit);
  o.fua = chance(0.25);
  const std::uint64_t per_block = o.unit->sectors_per_block();
  const bool sixteen = chance(0.5);
  o.out.cdb[0] = sixteen ? 0x8a : 0x2a;
  o.out.cdb[1] = o.fua ? 0x08 : 0;
  set_block_range(o.out.cdb, sixteen, o.where.first / per_block, static_cast<std::uint32_t>(o.where.count / per_block));
  o.out.data_out.resize(o.where.count * sector_bytes);
  for (std::uint64_t i = 0; i < o.where.count; ++i)
    fill(bytes(o.out.data_out).subspan(i * sector_bytes, sector_bytes),
         make_stamp(o.number, static_cast<std::uint32_t>(o.where.first + i)));
}

void host::make_write_same(op& o) {
  o.where = pick_range(*o.unit);
  const std::uint64_t per_block = o.unit->sectors_per_block();
  o.out.cdb[0] = 0x93;
  set_block_range(o.out.cdb, true, o.where.first / per_block, static_cast<std::uint32_t>(o.where.count / per_block));
  o.out.data_out.resize(o.unit->block_bytes);
  for (std::uint64_t i = 0; i < per_block; ++i)
    fill(bytes(o.out.data_out).subspan(i * sector_bytes, sector_bytes), make_stamp(o.number, any_sector));
}

void host::make_unmap(op& o) {
  o.where = pick_range(*o.unit);
  const std::uint64_t per_block = o.unit->sectors_per_block();
  o.out.cdb[0] = 0x42;
  wire::store16(o.out.cdb, 7, 24);
  auto& list = o.out.data_out;
  list.resize(24);
  wire::store16(list, 0, 22);
  wire::store16(list, 2, 16);
  wire::store64(list, 8, o.where.first / per_block);
  wire::store32(list, 16, static_cast<std::uint32_t>(o.where.count / per_block));
}

void host::make_compare_and_write(op& o) {
  const std::uint64_t per_block = o.unit->sectors_per_block();
  const std::uint64_t lba = below(crowded);
  o.where = {lba * per_block, per_block};
  o.fua = chance(0.25);
  o.out.cdb[0] = 0x89;
  o.out.cdb[1] = o.fua ? 0x08 : 0;
  wire::store64(o.out.cdb, 2, lba);
  o.out.cdb[13] = 1;
  o.out.data_out.resize(2 * o.unit->block_bytes);
  const bytes out(o.out.data_out);
  for (std::uint64_t i = 0; i < per_block; ++i) {
    const auto seen = known_.find(o.unit->lun * std::uint64_t{1} << 32 | (o.where.first + i));
    o.claimed.push_back(seen == known_.end() ? zeroes : seen->second);
    fill(out.subspan(i * sector_bytes, sector_bytes), o.claimed.back());
    fill(out.subspan((per_block + i) * sector_bytes, sector_bytes),
         make_stamp(o.number, static_cast<std::uint32_t>(o.where.first + i)));
  }
}

void host::make_reserve_out(op& o) {
  static constexpr unsigned types[] = {1, 3, 5, 6, 7, 8};
  const reservation_state& now = o.unit->reservations.guess();
  const auto own = now.keys.find(number_);
  pr_command& c = o.reservation;
  c.initiator = number_;
  c.type = types[below(std::size(types))];
  if (now.type != 0 && chance(0.5)) c.type = now.type;
  c.key = own == now.keys.end() ? 0 : own->second;
  const std::uint64_t dice = below(100);
  if (dice < (own == now.keys.end() ? 75u : 15u)) {
    c.action = chance(0.5) ? pr_action::register_key : pr_action::register_and_ignore;
    c.action_key = chance(0.15) ? 0 : 0x1000 + number_ + (below(3) << 8);
  } else if (dice < 50) {
    c.action = pr_action::reserve;
  } else if (dice < 75) {
    c.action = pr_action::release;
  } else if (dice < 80) {
    c.action = pr_action::clear;
  } else {
    c.action = chance(0.6) ? pr_action::preempt : pr_action::preempt_and_abort;
    if (!now.keys.empty())
      c.action_key = std::next(now.keys.begin(), static_cast<std::ptrdiff_t>(below(now.keys.size())))->second;
  }
  if (chance(0.05)) c.key ^= 0x55;
  encode_reserve_out(o);
}

void host::encode_reserve_out(op& o) {
  const pr_command& c = o.reservation;
  o.out.cdb[0] = 0x5f;
  o.out.cdb[1] = static_cast<std::uint8_t>(c.action);
  o.out.cdb[2] = static_cast<std::uint8_t>(c.type);
  wire::store32(o.out.cdb, 5, 24);
  o.out.data_out.resize(24);
  wire::store64(o.out.data_out, 0, c.key);
  wire::store64(o.out.data_out, 8, c.action_key);
  const bool registers = c.action == pr_action::register_key || c.action == pr_action::register_and_ignore;
  o.out.data_out[20] = registers ? 0x01 : 0;  // APTPL: reservations survive
}

void host::make_mode_select(op& o) {
  using write_cache = unit_view::write_cache;
  o.cache_wanted = chance(0.5) ? write_cache::off : write_cache::on;
  o.out.cdb[0] = 0x15;
  o.out.cdb[1] = 0x11;  // PF, SP: it stays so across resets and restarts
  o.out.cdb[4] = 24;
  o.out.data_out.resize(24);
  o.out.data_out[4] = 0x08;
  o.out.data_out[5] = 0x12;
  o.out.data_out[6] = o.cache_wanted == write_cache::on ? 0x04 : 0;
}

/// What a command may bring about, told to the models before it leaves.
void host::expect_effects(op& o) {
  using pattern = medium_model::pattern;
  switch (o.what) {
    case kind::read:
      return o.unit->medium.begin_read(o.number, o.where);
    case kind::write:
      return o.unit->medium.begin_write(o.number, o.where, pattern::own);
    case kind::write_same:
      return o.unit->medium.begin_write(o.number, o.where, pattern::same);
    case kind::unmap:
      return o.unit->medium.begin_write(o.number, o.where, pattern::zero);
    case kind::compare_and_write:
      o.unit->medium.begin_read(o.number, o.where);
      return o.unit->medium.begin_write(o.number, o.where, pattern::own);
    case kind::reserve_out:
      o.unit->reserving = true;
      o.unit->reservations.begin(o.reservation);
      for (const std::uint16_t code :
           {scsi::asc::reservations_preempted, scsi::asc::reservations_released, scsi::asc::registrations_preempted})
        field_.others_may_hear(number_, o.unit->lun, code);
      if (o.reservation.action == pr_action::preempt_and_abort) o.unit->abort_begins();
      return;
    case kind::mode_select:
      o.unit->selecting = true;
      o.cache_before = std::exchange(o.unit->cache, unit_view::write_cache::unknown);
      return field_.others_may_hear(number_, o.unit->lun, scsi::asc::mode_parameters_changed);
    default:
      return;
  }
}

void host::send(op&& o) {
  o.begun = field_.verdict.tick();
  o.begun_ns = o.watched_ns = sent_ns_ = field_.world.now_ns();
  o.data_in_only = o.out.data_out.empty();
  expect_effects(o);
  const std::uint32_t tag = o.out.tag;
  outgoing leaving = std::move(o.out);
  ops_.emplace(tag, std::move(o));
  session_->send(std::move(leaving));
}

void host::reset_unit(unit_view& unit) {
  management m{iscsi::management_function::logical_unit_reset, &unit, {}};
  for (const auto& [tag, o] : ops_)
    if (o.unit == &unit && session_->sent(tag)) m.concerned.push_back(tag);
  unit.abort_begins();
  field_.all_may_hear(unit.lun, scsi::asc::bus_device_reset);
  send_management(std::move(m), unit.lun, iscsi::reserved_tag);
}

void host::manage() {
  if (chance(0.2)) return reset_unit(*field_.units[below(2)]);
  management m{iscsi::management_function::abort_task, nullptr, {}};
  // Of a task that is being aborted already, the target may say that there is none.
  const auto concerned = [this](std::uint32_t tag) {
    return std::any_of(managements_.begin(), managements_.end(), [tag](const auto& entry) {
      const auto& tags = entry.second.concerned;
      return std::find(tags.begin(), tags.end(), tag) != tags.end();
    });
  };
  for (const auto& [tag, o] : ops_)
    if (o.unit && o.what != kind::reserve_out && o.what != kind::mode_select && session_->sent(tag) &&
        !concerned(tag) && (m.concerned.empty() || chance(0.3)))
      m.concerned = {tag};
  if (m.concerned.empty()) return;
  const std::uint32_t referenced = m.concerned.front();
  send_management(std::move(m), ops_.at(referenced).unit->lun, referenced);
}

void host::send_management(management&& m, std::uint16_t lun, std::uint32_t referenced) {
  m.begun = field_.verdict.tick();
  m.begun_ns = field_.world.now_ns();
  const std::uint32_t tag = new_tag();
  const iscsi::management_function function = m.function;
  managements_.emplace(tag, std::move(m));
  session_->manage(tag, function, lun, referenced);
}

}  // namespace sluice::sim
