#include "gateway/scsi/mode_pages.hpp"

#include <algorithm>
#include <optional>

#include "actors/wire/big_endian.hpp"
#include "gateway/scsi/bad_list.hpp"
#include "gateway/scsi/reports.hpp"

namespace sluice::scsi {
namespace {

using page = std::vector<std::uint8_t>;

enum page_code : std::uint8_t {
  error_recovery = 0x01,            // [SBC-3 6.5.9]
  caching = 0x08,                   // [SBC-3 6.5.6]
  control = 0x0a,                   // [SPC-4 7.5.8]
  informational_exceptions = 0x1c,  // [SBC-3 6.5.8]
  all_pages = 0x3f,
};
constexpr std::uint8_t page_codes[] = {error_recovery, caching, control, informational_exceptions};
constexpr std::uint8_t all_subpages = 0xff;

constexpr std::uint8_t parameters_saveable = 0x80;  // PS
enum page_control : std::uint8_t { current_values = 0, changeable_values = 1, default_values = 2, saved_values = 3 };

// Where the changeable bits stand.
constexpr std::size_t write_cache_byte = 2, descriptor_sense_byte = 2, protect_byte = 4, task_aborted_byte = 5;
constexpr std::uint8_t write_cache_bit = 0x04, descriptor_sense_bit = 0x04, protect_bit = 0x08, task_aborted_bit = 0x40;

constexpr std::uint8_t dpofua_bit = 0x10, write_protect_bit = 0x80;
constexpr std::size_t short_descriptor_bytes = 8, long_descriptor_bytes = 16;

bool known(std::uint8_t code) {
  return std::ranges::find(page_codes, code) != std::end(page_codes);
}

page blank(std::uint8_t code, std::uint8_t page_length) {
  page p(2u + page_length);
  p[0] = code;
  p[1] = page_length;
  return p;
}

void set(page& p, std::size_t octet, std::uint8_t bit, bool value) {
  if (value) p[octet] |= bit;
}

page values_of(std::uint8_t code, const mode_state& state) {
  switch (code) {
    case error_recovery: {
      page p = blank(code, 0x0a);
      p[2] = 0xc0;  // AWRE, ARRE: the store below heals itself
      return p;
    }
    case caching: {
      page p = blank(code, 0x12);
      set(p, write_cache_byte, write_cache_bit, state.write_cache);
      return p;
    }
    case control: {
      page p = blank(code, 0x0a);
      p[2] = 0x02;  // GLTSD
      p[3] = 0x10;  // QUEUE ALGORITHM MODIFIER: unrestricted reordering; QERR 00b
      set(p, descriptor_sense_byte, descriptor_sense_bit, state.descriptor_sense);
      set(p, protect_byte, protect_bit, state.software_write_protect);
      set(p, task_aborted_byte, task_aborted_bit, state.task_aborted_status);
      return p;
    }
    default: {
      page p = blank(code, 0x0a);
      p[2] = 0x08;  // DEXCPT: no informational exceptions
      return p;
    }
  }
}

page changeable_of(std::uint8_t code, const unit_facts& unit) {
  page p = values_of(code, mode_state{});
  std::fill(p.begin() + 2, p.end(), 0);
  if (code == caching) set(p, write_cache_byte, write_cache_bit, unit.volatile_cache);
  if (code == control) {
    p[descriptor_sense_byte] = descriptor_sense_bit;
    p[protect_byte] = protect_bit;
    p[task_aborted_byte] = task_aborted_bit;
  }
  return p;
}

void take(std::uint8_t code, const_bytes p, mode_state& state) {
  if (code == caching) state.write_cache = (p[write_cache_byte] & write_cache_bit) != 0;
  if (code != control) return;
  state.descriptor_sense = (p[descriptor_sense_byte] & descriptor_sense_bit) != 0;
  state.software_write_protect = (p[protect_byte] & protect_bit) != 0;
  state.task_aborted_status = (p[task_aborted_byte] & task_aborted_bit) != 0;
}

page block_descriptor(bool long_lba, const unit_facts& unit) {
  page d(long_lba ? long_descriptor_bytes : short_descriptor_bytes);
  if (long_lba) {
    wire::store64(d, 0, unit.capacity_blocks);
    wire::store32(d, 12, unit.block_size);
  } else {
    wire::store32(d, 0, std::min<std::uint64_t>(unit.capacity_blocks, UINT32_MAX));
    wire::store24(d, 5, unit.block_size);
  }
  return d;
}

/// Where in `list` a MODE SELECT stands, and what it has come to.
struct selection {
  const_bytes list;
  const unit_facts& unit;
  mode_state state;
};

/// The block descriptor may only repeat what is: 0 or all ones as the number of blocks leave it alone [SBC-3 6.5.2].
or_outcome<> check_block_descriptor(const selection& s, std::size_t at, std::size_t octets, bool long_lba) {
  if (octets == 0) return {};
  if (octets != (long_lba ? long_descriptor_bytes : short_descriptor_bytes)) return bad_field(at);
  const std::uint64_t blocks = long_lba ? wire::load64(s.list, at) : wire::load32(s.list, at);
  const std::uint64_t no_change = long_lba ? UINT64_MAX : UINT32_MAX;
  if (blocks != 0 && blocks != no_change && blocks != s.unit.capacity_blocks) return bad_field(at, 7);
  const std::size_t size_byte = long_lba ? at + 12 : at + 5;
  const std::uint32_t size = long_lba ? wire::load32(s.list, size_byte) : wire::load24(s.list, size_byte);
  if (size != s.unit.block_size) return bad_field(size_byte, 7);
  return {};
}

/// Takes one page at `at`; gives where the next one starts.
or_outcome<std::size_t> take_page(selection& s, std::size_t at) {
  if (s.list.size() - at < 2) return bad_length();
  const std::uint8_t code = s.list[at] & 0x3f;
  if ((s.list[at] & 0x40) != 0) return bad_field(at, 6);  // no page has subpages
  if (!known(code)) return bad_field(at, 5);
  const page now = values_of(code, s.state);
  if (s.list[at + 1] != now[1]) return bad_field(at + 1, 7);
  if (s.list.size() - at < now.size()) return bad_length();
  const page changeable = changeable_of(code, s.unit);
  const const_bytes wanted = s.list.subspan(at, now.size());
  for (std::size_t i = 2; i < now.size(); ++i)
    if (((wanted[i] ^ now[i]) & ~changeable[i]) != 0) return bad_field(at + i);
  take(code, wanted, s.state);
  return at + now.size();
}

}  // namespace

mode_state default_mode_state(const unit_facts& unit) {
  return {.write_cache = unit.volatile_cache};
}

or_outcome<page> mode_sense_data(const mode_sense_cdb& cdb, const unit_facts& unit, const mode_state& current,
                                 const mode_state* saved) {
  if (cdb.page_control == saved_values && !saved) return tl::unexpected(outcomes::saving_not_supported());
  if (cdb.page != all_pages && !known(cdb.page)) return tl::unexpected(outcomes::invalid_field_in_cdb(2, 5));
  if (cdb.subpage != 0 && cdb.subpage != all_subpages) return tl::unexpected(outcomes::invalid_field_in_cdb(3, 7));

  page data(cdb.ten ? 8 : 4);
  const page descriptor = cdb.no_block_descriptors ? page{} : block_descriptor(cdb.long_lba, unit);
  data.insert(data.end(), descriptor.begin(), descriptor.end());
  const mode_state state = cdb.page_control == default_values ? default_mode_state(unit)
                           : cdb.page_control == saved_values ? *saved
                                                              : current;
  for (const std::uint8_t code : page_codes) {
    if (cdb.page != all_pages && cdb.page != code) continue;
    page p = cdb.page_control == changeable_values ? changeable_of(code, unit) : values_of(code, state);
    if (saved && (code == caching || code == control)) p[0] |= parameters_saveable;
    data.insert(data.end(), p.begin(), p.end());
  }

  const bool read_only = unit.read_only || current.software_write_protect;
  const std::uint8_t device_specific = dpofua_bit | (read_only ? write_protect_bit : 0);
  if (cdb.ten) {
    wire::store16(data, 0, data.size() - 2);
    data[3] = device_specific;
    data[4] = cdb.long_lba && !cdb.no_block_descriptors ? 0x01 : 0x00;
    wire::store16(data, 6, descriptor.size());
  } else {
    data[0] = static_cast<std::uint8_t>(data.size() - 1);
    data[2] = device_specific;
    data[3] = static_cast<std::uint8_t>(descriptor.size());
  }
  cut(data, cdb.allocation);
  return data;
}

or_outcome<mode_state> apply_mode_select(const mode_select_cdb& cdb, const_bytes list, const unit_facts& unit,
                                         const mode_state& current, bool may_save) {
  if (cdb.save && !may_save) return tl::unexpected(outcomes::invalid_field_in_cdb(1, 0));
  list = list.first(std::min<std::size_t>(list.size(), cdb.list_length));
  if (list.empty()) return current;
  if (!cdb.page_format) return tl::unexpected(outcomes::invalid_field_in_cdb(1, 4));
  const std::size_t header = cdb.ten ? 8 : 4;
  if (list.size() < header) return bad_length();
  const std::size_t descriptor = cdb.ten ? wire::load16(list, 6) : list[3];
  if (list.size() - header < descriptor) return bad_length();

  selection s{.list = list, .unit = unit, .state = current};
  if (auto fits = check_block_descriptor(s, header, descriptor, cdb.ten && (list[4] & 0x01) != 0); !fits)
    return tl::unexpected(fits.error());
  for (std::size_t at = header + descriptor; at < list.size();) {
    const auto next = take_page(s, at);
    if (!next) return tl::unexpected(next.error());
    at = *next;
  }
  return s.state;
}

}  // namespace sluice::scsi
