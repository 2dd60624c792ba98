#include "gateway/scsi/inquiry.hpp"

#include <algorithm>

#include "actors/wire/big_endian.hpp"
#include "gateway/scsi/reports.hpp"

namespace sluice::scsi {
namespace {

using page = std::vector<std::uint8_t>;

constexpr std::size_t vendor_bytes = 8;
constexpr std::size_t product_bytes = 16;
constexpr std::size_t revision_bytes = 4;
constexpr std::size_t max_serial_bytes = 64;
constexpr std::size_t standard_bytes = 96;
constexpr std::uint8_t version_spc_4 = 0x06;
constexpr std::uint8_t no_unit_here = 0x7f;  // peripheral qualifier 011b, device type 1Fh

/// Version descriptors, "no version claimed" of each [SPC-4 6.6.2].
constexpr std::uint16_t claims[] = {
    0x00a0,  // SAM-5
    0x0460,  // SPC-4
    0x04c0,  // SBC-3
    0x0960,  // iSCSI
};

enum vital_page : std::uint8_t {
  supported_pages = 0x00,
  unit_serial_number = 0x80,
  device_identification = 0x83,
  extended_inquiry = 0x86,
  block_limits = 0xb0,
  block_device_characteristics = 0xb1,
  logical_block_provisioning = 0xb2,
};
constexpr std::uint8_t vital_pages[] = {supported_pages,           unit_serial_number, device_identification,
                                        extended_inquiry,          block_limits,       block_device_characteristics,
                                        logical_block_provisioning};

/// ASCII, left aligned, padded with spaces; what is not graphic becomes a space [SPC-4 4.4.1].
void store_ascii(bytes to, std::string_view text) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    to[i] = c >= 0x20 && c <= 0x7e ? static_cast<std::uint8_t>(c) : ' ';
  }
}

page start_page(vital_page code, std::size_t octets) {
  page p(octets);
  p[1] = code;
  return p;
}

/// Sets PAGE LENGTH once the page is whole.
page finish(page p) {
  wire::store16(p, 2, p.size() - 4);
  return p;
}

enum class code_set : std::uint8_t { binary = 1, ascii = 2, utf8 = 3 };
enum class association : std::uint8_t { logical_unit = 0, target_port = 1, target_device = 2 };
enum class designator : std::uint8_t { naa = 3, relative_port = 4, port_group = 5, scsi_name = 8 };

/// One designation descriptor [SPC-4 7.8.6.1]; those of ports and devices name their protocol.
void put_designator(page& p, code_set set, association whose, designator kind, scsi::protocol proto,
                    const_bytes octets) {
  const bool with_protocol = whose != association::logical_unit;
  p.push_back(
      static_cast<std::uint8_t>((with_protocol ? static_cast<unsigned>(proto) << 4 : 0) | static_cast<unsigned>(set)));
  p.push_back(static_cast<std::uint8_t>((with_protocol ? 0x80 : 0) | static_cast<unsigned>(whose) << 4 |
                                        static_cast<unsigned>(kind)));
  p.push_back(0);
  p.push_back(static_cast<std::uint8_t>(octets.size()));
  p.insert(p.end(), octets.begin(), octets.end());
}

/// A SCSI name string: UTF-8, ends with NUL, a multiple of 4 octets long [SPC-4 7.8.6.11]. Other names are left out.
void put_name(page& p, association whose, scsi::protocol proto, const std::string& name) {
  constexpr std::size_t most = 252;
  const bool proper = name.starts_with("iqn.") || name.starts_with("eui.") || name.starts_with("naa.");
  if (!proper || name.size() >= most) return;
  page octets(name.begin(), name.end());
  octets.resize((name.size() + 1 + 3) / 4 * 4);
  put_designator(p, code_set::utf8, whose, designator::scsi_name, proto, octets);
}

std::string_view cut_serial(const unit_facts& unit) {
  return std::string_view(unit.serial).substr(0, max_serial_bytes);
}

or_outcome<page> vital_product_data(std::uint8_t code, const unit_facts& unit, const port_facts& port) {
  switch (code) {
    case supported_pages:
      return supported_pages_page();
    case unit_serial_number:
      return unit_serial_number_page(unit);
    case device_identification:
      return device_identification_page(unit, port);
    case extended_inquiry:
      return extended_inquiry_page(unit);
    case block_limits:
      return block_limits_page(unit);
    case block_device_characteristics:
      return block_device_characteristics_page(unit);
    case logical_block_provisioning:
      return logical_block_provisioning_page(unit);
    default:
      return tl::unexpected(outcomes::invalid_field_in_cdb(2, 7));
  }
}

}  // namespace

page standard_inquiry(const unit_facts& unit, const port_facts& port) {
  page p(standard_bytes);
  p[1] = unit.removable ? 0x80 : 0x00;
  p[2] = version_spc_4;
  p[3] = 0x12;  // HISUP; RESPONSE DATA FORMAT 2
  p[4] = standard_bytes - 5;
  p[5] = unit.explicit_access ? 0x30 : 0x10;  // TPGS: implicit, or both
  p[6] = port.multiple_ports ? 0x10 : 0x00;
  p[7] = 0x02;  // CMDQUE
  const bytes all(p);
  store_ascii(all.subspan(8, vendor_bytes), unit.vendor);
  store_ascii(all.subspan(16, product_bytes), unit.product);
  store_ascii(all.subspan(32, revision_bytes), unit.revision);
  std::size_t at = 58;
  for (const std::uint16_t claim : claims) {
    wire::store16(p, at, claim);
    at += 2;
  }
  return p;
}

page supported_pages_page() {
  page p = start_page(supported_pages, 4);
  p.insert(p.end(), std::begin(vital_pages), std::end(vital_pages));
  return finish(std::move(p));
}

page unit_serial_number_page(const unit_facts& unit) {
  constexpr std::string_view unknown = "                ";  // spaces when there is none [SPC-4 7.8.14]
  const std::string_view serial = unit.serial.empty() ? unknown : cut_serial(unit);
  page p = start_page(unit_serial_number, 4 + serial.size());
  store_ascii(bytes(p).subspan(4), serial);
  return finish(std::move(p));
}

/// The unit has one name only: of several, each tool of a host prefers another, and one disk has several names there.
page device_identification_page(const unit_facts& unit, const port_facts& port) {
  page p = start_page(device_identification, 4);
  const auto put = [&](code_set set, association whose, designator kind, const_bytes octets) {
    put_designator(p, set, whose, kind, port.protocol, octets);
  };
  if (unit.naa != 0) {  // else its identity is lost, and it has no name
    page naa(unit.naa >> 60 == 6 ? 16 : 8);
    wire::store64(naa, 0, unit.naa);
    if (naa.size() == 16) wire::store64(naa, 8, unit.naa_extension);
    put(code_set::binary, association::logical_unit, designator::naa, naa);
  }

  page number(4);
  wire::store16(number, 2, port.relative_target_port);
  put(code_set::binary, association::target_port, designator::relative_port, number);
  wire::store16(number, 2, port.target_port_group);
  put(code_set::binary, association::target_port, designator::port_group, number);
  put_name(p, association::target_port, port.protocol, port.target_port_name);
  put_name(p, association::target_device, port.protocol, port.target_device_name);
  return finish(std::move(p));
}

page extended_inquiry_page(const unit_facts& unit) {
  page p = start_page(extended_inquiry, 64);
  p[5] = 0x07;                               // HEADSUP, ORDSUP, SIMPSUP
  p[6] = unit.volatile_cache ? 0x01 : 0x00;  // V_SUP
  p[13] = 252;                               // MAXIMUM SUPPORTED SENSE DATA LENGTH
  return finish(std::move(p));
}

page block_limits_page(const unit_facts& unit) {
  page p = start_page(block_limits, 64);
  p[4] = unit.write_same_needs_length ? 0x01 : 0x00;
  p[5] = unit.max_compare_and_write_blocks;
  wire::store16(p, 6, std::min<std::uint32_t>(unit.optimal_granularity_blocks, UINT16_MAX));
  wire::store32(p, 8, unit.max_blocks);
  wire::store32(p, 12, unit.optimal_bytes / unit.block_size);
  if (unit.thin) {
    wire::store32(p, 20, unit.max_unmap_blocks);
    wire::store32(p, 24, unit.max_unmap_descriptors);
    wire::store32(p, 28, unit.unmap_granularity_blocks);
    wire::store32(p, 32, 0x80000000);  // UGAVALID: aligned from LBA 0 on
  }
  wire::store64(p, 36, unit.max_write_same_blocks);
  return finish(std::move(p));
}

page block_device_characteristics_page(const unit_facts& unit) {
  constexpr std::uint16_t not_rotating = 0x0001;
  page p = start_page(block_device_characteristics, 64);
  wire::store16(p, 4, unit.rotational ? 0 : not_rotating);  // 0: the rate is not reported
  p[8] = 0x01;                                              // VBULS: VERIFY with BYTCHK works on unmapped blocks
  return finish(std::move(p));
}

page logical_block_provisioning_page(const unit_facts& unit) {
  page p = start_page(logical_block_provisioning, 8);
  if (unit.thin) {
    p[5] = 0xe4;  // LBPU, LBPWS, LBPWS10, LBPRZ
    p[6] = 0x02;  // thin
  }
  return finish(std::move(p));
}

or_outcome<page> inquiry_data(const inquiry_cdb& cdb, const unit_facts& unit, const port_facts& port) {
  or_outcome<page> data = cdb.vital_product_data ? vital_product_data(cdb.page, unit, port)
                                                 : or_outcome<page>(standard_inquiry(unit, port));
  if (data) cut(*data, cdb.allocation);
  return data;
}

or_outcome<page> inquiry_data_without_unit(const inquiry_cdb& cdb) {
  page p;
  if (!cdb.vital_product_data) {
    p = standard_inquiry(unit_facts{}, port_facts{});
    p[5] = 0;  // no target port group asymmetry to speak of
  } else if (cdb.page == supported_pages) {
    p = {0, supported_pages, 0, 1, supported_pages};
  } else {
    return tl::unexpected(outcomes::invalid_field_in_cdb(2, 7));
  }
  p[0] = no_unit_here;
  cut(p, cdb.allocation);
  return p;
}

}  // namespace sluice::scsi
