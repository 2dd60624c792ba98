#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fstream>
#include <iomanip>
#include <sstream>

#include "actors/wire/big_endian.hpp"
#include "gateway/scsi/inquiry.hpp"
#include "gateway/scsi/mode_pages.hpp"
#include "gateway/scsi/reports.hpp"

namespace sluice::scsi {
namespace {

using octets = std::vector<std::uint8_t>;

unit_facts disk() {
  unit_facts unit;
  unit.serial = "a1b2c3d4e5f60718";
  unit.naa = locally_assigned_naa(0xf123456789abcdef);
  unit.capacity_blocks = 1 << 21;
  unit.physical_block_exponent = 3;
  unit.thin = true;
  return unit;
}

port_facts port() {
  port_facts p;
  p.target_device_name = "iqn.2026-11.io.sluice:main";
  p.target_port_name = "iqn.2026-11.io.sluice:main,t,0x0001";
  p.relative_target_port = 2;
  p.target_port_group = 3;
  return p;
}

TEST(inquiry, standard_data_say_who_and_what) {
  const octets p = standard_inquiry(disk(), port());
  EXPECT_EQ(p.size(), p[4] + 5u);
  EXPECT_EQ(p[0], 0);
  EXPECT_EQ(p[2], 6);
  EXPECT_EQ(p[5] >> 4 & 3, 1) << "implicit asymmetric access";
  EXPECT_EQ(p[7] & 2, 2);
  EXPECT_EQ(as_text(const_bytes(p).subspan(8, 28)), "SLUICE  VIRTUAL DISK    0001");
  EXPECT_EQ(wire::load16(p, 58), 0x00a0);
  EXPECT_EQ(wire::load16(p, 64), 0x0960);
}

TEST(inquiry, says_that_hosts_choose_the_optimized_group_where_they_are_to) {
  unit_facts unit = disk();
  unit.explicit_access = true;
  EXPECT_EQ(standard_inquiry(unit, port())[5] >> 4 & 3, 3);
}

TEST(inquiry, listed_pages_exist_ascend_and_tell_their_length) {
  const octets list = supported_pages_page();
  for (std::size_t i = 4; i < list.size(); ++i) {
    EXPECT_TRUE(i == 4 || list[i] > list[i - 1]);
    const auto p = inquiry_data({.vital_product_data = true, .page = list[i], .allocation = 65535}, disk(), port());
    ASSERT_TRUE(p);
    EXPECT_EQ((*p)[1], list[i]);
    EXPECT_EQ(wire::load16(*p, 2) + 4u, p->size());
  }
  EXPECT_FALSE(inquiry_data({.vital_product_data = true, .page = 0xc0, .allocation = 255}, disk(), port()));
}

TEST(inquiry, is_cut_to_the_allocation_length_without_changing_lengths) {
  const auto p = inquiry_data({.vital_product_data = false, .page = 0, .allocation = 5}, disk(), port());
  ASSERT_TRUE(p);
  EXPECT_EQ(p->size(), 5u);
  EXPECT_EQ((*p)[4], 91);
}

TEST(inquiry, names_that_were_configured_are_told) {
  unit_facts unit = disk();
  unit.vendor = "ACME";
  unit.product = "Disk";
  unit.naa = 0x6001405aabbccdde;
  unit.naa_extension = 0xeff0011223344550;
  EXPECT_EQ(as_text(const_bytes(standard_inquiry(unit, port())).subspan(8, 24)), "ACME    Disk            ");
  const octets p = device_identification_page(unit, port());
  EXPECT_EQ(p[5], 3) << "NAA";
  ASSERT_EQ(p[7], 16);
  EXPECT_EQ(wire::load64(p, 8), unit.naa);
  EXPECT_EQ(wire::load64(p, 16), unit.naa_extension);
}

TEST(inquiry, designators_are_well_formed) {
  const octets p = device_identification_page(disk(), port());
  std::vector<unsigned> kinds;
  std::size_t at = 4;
  while (at < p.size()) {
    kinds.push_back(p[at + 1] & 0x3f);
    EXPECT_EQ((p[at + 1] & 0x80) != 0, (p[at + 1] & 0x30) != 0) << "PIV goes with ports and devices";
    at += 4u + p[at + 3];
  }
  EXPECT_EQ(at, p.size());
  EXPECT_EQ(kinds, (std::vector<unsigned>{0x03, 0x14, 0x15, 0x18, 0x28}));
  EXPECT_EQ(wire::load64(p, 8), 0x3123456789abcdefu);
}

TEST(inquiry, a_unit_whose_identity_is_lost_has_no_name) {
  unit_facts unit = disk();
  unit.serial.clear();
  unit.naa = 0;
  const octets p = device_identification_page(unit, port());
  EXPECT_EQ(p[5], 0x94) << "the first designator is the relative port's";
  const octets serial = unit_serial_number_page(unit);
  EXPECT_EQ(as_text(const_bytes(serial).subspan(4)), "                ");
}

TEST(inquiry, thin_or_not_shows_in_two_pages) {
  unit_facts thick = disk();
  thick.thin = false;
  EXPECT_EQ(wire::load32(block_limits_page(thick), 20), 0u);
  EXPECT_GT(wire::load32(block_limits_page(disk()), 20), 0u);
  EXPECT_EQ(logical_block_provisioning_page(thick)[5], 0);
  EXPECT_EQ(logical_block_provisioning_page(disk())[5] & 0x80, 0x80);
}

TEST(inquiry, the_optimal_transfer_is_as_long_with_any_block_size) {
  unit_facts unit = disk();
  for (const std::uint32_t size : {512u, 4096u}) {
    unit.block_size = size;
    EXPECT_EQ(wire::load32(block_limits_page(unit), 12) * size, 4 * mib);
  }
}

TEST(inquiry, an_empty_lun_says_so) {
  EXPECT_EQ(inquiry_data_without_unit({.vital_product_data = false, .page = 0, .allocation = 36})->at(0), 0x7f);
  EXPECT_FALSE(inquiry_data_without_unit({.vital_product_data = true, .page = 0x83, .allocation = 36}));
}

mode_sense_cdb ask(std::uint8_t page, std::uint8_t control = 0) {
  return {.ten = false, .no_block_descriptors = true, .page_control = control, .page = page, .allocation = 255};
}

TEST(mode_sense, all_pages_in_order_with_dpofua) {
  const auto data = mode_sense_data(ask(0x3f), disk(), {});
  ASSERT_TRUE(data);
  EXPECT_EQ((*data)[0] + 1u, data->size());
  EXPECT_EQ((*data)[2], 0x10);
  std::vector<unsigned> codes;
  for (std::size_t at = 4; at < data->size(); at += 2u + (*data)[at + 1]) codes.push_back((*data)[at]);
  EXPECT_EQ(codes, (std::vector<unsigned>{0x01, 0x08, 0x0a, 0x1c}));
}

TEST(mode_sense, refuses_saved_values_and_unknown_pages) {
  EXPECT_EQ(mode_sense_data(ask(0x0a, 3), disk(), {}).error().sense.code, asc::saving_not_supported);
  EXPECT_EQ(mode_sense_data(ask(0x22), disk(), {}).error().sense.code, asc::invalid_field_in_cdb);
}

TEST(mode_sense, write_protection_shows_in_the_header) {
  unit_facts read_only = disk();
  read_only.read_only = true;
  EXPECT_EQ(mode_sense_data(ask(0x3f), read_only, {})->at(2), 0x90);
  EXPECT_EQ(mode_sense_data(ask(0x3f), disk(), {.software_write_protect = true})->at(2), 0x90);
}

TEST(mode_sense, long_block_descriptor) {
  const mode_sense_cdb cdb{.ten = true, .long_lba = true, .page = 0x0a, .allocation = 4096};
  const auto data = mode_sense_data(cdb, disk(), {});
  ASSERT_TRUE(data);
  EXPECT_EQ(wire::load16(*data, 0) + 2u, data->size());
  EXPECT_EQ((*data)[4], 1);
  EXPECT_EQ(wire::load16(*data, 6), 16);
  EXPECT_EQ(wire::load64(*data, 8), disk().capacity_blocks);
  EXPECT_EQ(wire::load32(*data, 20), 512u);
}

/// MODE SENSE data made into a MODE SELECT list, as initiators do it.
octets list_from(const mode_state& state, bool ten) {
  auto data = mode_sense_data({.ten = ten, .page = 0x3f, .allocation = 4096}, disk(), state);
  std::fill_n(data->begin(), ten ? 4 : 3, 0);
  return *data;
}

or_outcome<mode_state> select(const octets& list, bool ten, const mode_state& now = {}) {
  const mode_select_cdb cdb{.ten = ten, .page_format = true, .list_length = static_cast<std::uint16_t>(list.size())};
  return apply_mode_select(cdb, list, disk(), now);
}

RC_GTEST_PROP(mode_select, takes_what_mode_sense_gives, (bool wce, bool d_sense, bool swp, bool tas, bool ten)) {
  const mode_state wanted{wce, d_sense, swp, tas};
  const auto after = select(list_from(wanted, ten), ten);
  RC_ASSERT(after.has_value());
  RC_ASSERT(*after == wanted);
}

TEST(mode_select, points_at_the_first_field_that_cannot_change) {
  octets list(4);
  list.insert(list.end(), {0x0a, 0x0a, 0x06, 0x10, 0x08, 0, 0, 0, 0, 0, 0, 0});
  ASSERT_TRUE(select(list, false));
  EXPECT_TRUE(select(list, false)->descriptor_sense);
  list[7] = 0x20;
  const auto refused = select(list, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sense.code, asc::invalid_field_in_parameter_list);
  EXPECT_EQ(refused.error().sense.field_byte, 7);
}

TEST(mode_select, write_cache_is_fixed_where_nothing_is_volatile) {
  unit_facts ram = disk();
  ram.volatile_cache = false;
  octets list(4 + 20);
  list[4] = 0x08;
  list[5] = 0x12;
  list[6] = 0x04;
  const mode_select_cdb cdb{.page_format = true, .list_length = 24};
  EXPECT_FALSE(apply_mode_select(cdb, list, ram, default_mode_state(ram)));
  EXPECT_TRUE(apply_mode_select(cdb, list, disk(), default_mode_state(ram))->write_cache);
}

TEST(mode_select, refuses_saving_the_old_format_and_cut_lists) {
  const octets list = list_from({}, false);
  EXPECT_FALSE(apply_mode_select({.page_format = true, .save = true, .list_length = 4}, list, disk(), {}));
  EXPECT_FALSE(apply_mode_select({.page_format = false, .list_length = 4}, list, disk(), {}));
  EXPECT_EQ(*apply_mode_select({.page_format = true, .list_length = 0}, {}, disk(), {}), mode_state{});
  for (const std::size_t bytes_left : {1u, 3u, 5u, 13u, 20u}) {
    const octets part(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(bytes_left));
    EXPECT_EQ(select(part, false).error().sense.code, asc::parameter_list_length_error) << bytes_left;
  }
}

TEST(reports, capacity) {
  unit_facts big = disk();
  big.capacity_blocks = uint64_t{1} << 33;
  EXPECT_EQ(wire::load32(read_capacity_10_data(big), 0), 0xffffffffu);
  const octets data = read_capacity_16_data(disk(), 32);
  EXPECT_EQ(wire::load64(data, 0), disk().capacity_blocks - 1);
  EXPECT_EQ(wire::load32(data, 8), 512u);
  EXPECT_EQ(data[13], 3);
  EXPECT_EQ(data[14], 0xc0);
  EXPECT_EQ(read_capacity_16_data(disk(), 12).size(), 12u);
}

TEST(reports, luns_keep_the_full_length_when_cut) {
  const std::uint64_t luns[] = {0, 0x0001000000000000};
  const octets data = report_luns_data({.select_report = 0, .allocation = 16}, luns);
  EXPECT_EQ(data.size(), 16u);
  EXPECT_EQ(wire::load32(data, 0), 16u);
  EXPECT_EQ(wire::load32(report_luns_data({.select_report = 1, .allocation = 16}, luns), 0), 0u);
}

TEST(reports, target_port_groups) {
  const target_port_group groups[] = {{.number = 1, .preferred = true, .ports = {1, 2}},
                                      {.number = 2, .state = asymmetric_access::standby, .ports = {3}}};
  const octets plain = target_port_groups_data({.extended_header = false, .allocation = 1000}, groups);
  ASSERT_EQ(plain.size(), 4u + 16 + 12);
  EXPECT_EQ(wire::load32(plain, 0), 28u);
  EXPECT_EQ(plain[4], 0x80);
  EXPECT_EQ(plain[11], 2);
  EXPECT_EQ(wire::load32(plain, 16), 2u);
  EXPECT_EQ(plain[20], 2);
  const octets extended = target_port_groups_data({.extended_header = true, .allocation = 1000}, groups);
  EXPECT_EQ(extended.size(), 36u);
  EXPECT_EQ(extended[4], 0x10);
}

TEST(reports, lba_status_splits_and_stops) {
  const lba_status runs[] = {{.lba = 0, .blocks = (uint64_t{1} << 32) + 5, .state = provisioning::deallocated},
                             {.lba = (uint64_t{1} << 32) + 5, .blocks = 1}};
  const octets all = lba_status_data({.lba = 0, .allocation = 1000}, runs);
  EXPECT_EQ(wire::load32(all, 0), 4u + 3 * 16);
  EXPECT_EQ(wire::load32(all, 16), 0xffffffffu);
  EXPECT_EQ(wire::load64(all, 24), 0xffffffffu);
  EXPECT_EQ(wire::load32(all, 32), 6u);
  EXPECT_EQ(lba_status_data({.lba = 0, .allocation = 24}, runs).size(), 24u);
}

TEST(reports, one_opcode_by_every_option) {
  const auto ask_one = [](std::uint8_t options, std::uint8_t opcode, std::uint16_t service_action) {
    return report_opcodes_data(
        {.options = options, .opcode = opcode, .service_action = service_action, .allocation = 64}, disk());
  };
  EXPECT_EQ(ask_one(1, 0x28, 0)->at(1), 3);
  EXPECT_EQ(ask_one(1, 0x4d, 0)->at(1), 1);
  EXPECT_FALSE(ask_one(1, 0x9e, 0x10)) << "needs a service action";
  EXPECT_FALSE(ask_one(2, 0x28, 0)) << "has no service actions";
  EXPECT_EQ(ask_one(2, 0x9e, 0x10)->at(5), 0x10);
  EXPECT_EQ(ask_one(3, 0x28, 1)->at(1), 1);
  EXPECT_FALSE(ask_one(4, 0x28, 0));
}

std::string hex(const_bytes data) {
  std::ostringstream text;
  text << std::hex << std::setfill('0');
  for (std::size_t i = 0; i < data.size(); ++i) text << (i ? " " : "") << std::setw(2) << unsigned{data[i]};
  return text.str();
}

/// What an initiator learns by asking for all commands with timeouts, then for each one's usage.
std::string render_opcodes(const unit_facts& unit) {
  std::ostringstream text;
  const octets all = *report_opcodes_data({.timeouts = true, .allocation = 65535}, unit);
  for (std::size_t at = 4; at < all.size(); at += 20) {
    const bool has_action = (all[at + 5] & 1) != 0;
    const report_opcodes_cdb ask_one{.options = static_cast<std::uint8_t>(has_action ? 2 : 1),
                                     .opcode = all[at],
                                     .service_action = wire::load16(all, at + 2),
                                     .allocation = 64};
    const octets one = *report_opcodes_data(ask_one, unit);
    text << find_row(ask_one.opcode, ask_one.service_action)->name << " | " << hex(const_bytes(one).subspan(4)) << " | "
         << wire::load32(all, at + 16) << " s\n";
  }
  return text.str();
}

TEST(reports, supported_opcodes_match_the_golden_file) {
  std::ifstream in("golden/supported_opcodes.txt");
  const std::string golden{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  EXPECT_EQ(render_opcodes(disk()), golden);
}

TEST(reports, a_thick_unit_offers_no_unmap) {
  unit_facts thick = disk();
  thick.thin = false;
  EXPECT_EQ(render_opcodes(thick).find("UNMAP"), std::string::npos);
  EXPECT_NE(render_opcodes(disk()).find("UNMAP"), std::string::npos);
}

TEST(reports, task_management_functions) {
  EXPECT_EQ(report_functions_data({.extended = false, .allocation = 64}, true), (octets{0xde, 0x03, 0, 0}));
  EXPECT_EQ(report_functions_data({.extended = false, .allocation = 64}, false), (octets{0xda, 0, 0, 0}));
  EXPECT_EQ(report_functions_data({.extended = true, .allocation = 64}, true).size(), 16u);
}

TEST(reports, no_defects_in_the_format_asked_for) {
  const std::uint8_t ten[] = {0x37, 0, 0x1d, 0, 0, 0, 0, 0, 32, 0};
  EXPECT_EQ(defect_data(*find_row(0x37, 0), ten), (octets{0, 0x1d, 0, 0}));
}

}  // namespace
}  // namespace sluice::scsi
