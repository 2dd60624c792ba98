#include "gateway/reservations/conflicts.hpp"

#include <gtest/gtest.h>

#include <map>

namespace sluice::reservations {
namespace {

using scsi::command;

/// When a nexus without the rights of the reservation may send it.
enum class allowed : std::uint8_t { ever, unless_exclusive, never, by_itself };

/// What the standards say, by command [SPC-4 5.12.1 table 66, SBC-3 4.17.1].
const std::map<command, allowed> wanted = {
    {command::test_unit_ready, allowed::ever},
    {command::request_sense, allowed::ever},
    {command::inquiry, allowed::ever},
    {command::report_luns, allowed::ever},
    {command::report_target_port_groups, allowed::ever},
    {command::persistent_reserve_in, allowed::ever},
    {command::read_capacity_10, allowed::ever},
    {command::read_capacity_16, allowed::ever},
    {command::mode_sense, allowed::unless_exclusive},
    {command::report_supported_operation_codes, allowed::unless_exclusive},
    {command::report_supported_task_management_functions, allowed::unless_exclusive},
    {command::read, allowed::unless_exclusive},
    {command::verify, allowed::unless_exclusive},
    {command::pre_fetch, allowed::unless_exclusive},
    {command::read_defect_data, allowed::unless_exclusive},
    {command::get_lba_status, allowed::unless_exclusive},
    {command::mode_select, allowed::never},
    {command::set_target_port_groups, allowed::never},
    {command::send_diagnostic, allowed::never},
    {command::write, allowed::never},
    {command::write_and_verify, allowed::never},
    {command::or_write, allowed::never},
    {command::compare_and_write, allowed::never},
    {command::write_same, allowed::never},
    {command::unmap, allowed::never},
    {command::synchronize_cache, allowed::never},
    // What they ask for decides, below; of the others the reservation itself does.
    {command::start_stop_unit, allowed::never},
    {command::prevent_allow_medium_removal, allowed::ever},
    {command::reserve, allowed::by_itself},
    {command::release, allowed::by_itself},
    {command::persistent_reserve_out, allowed::by_itself},
};

i_t nexus(const char* name) {
  return {{scsi::protocol::iscsi, name, "0x000000000001"}, 1};
}

state reserved(type t) {
  state s;
  s.registrants = {{nexus("iqn.holder"), 1}, {nexus("iqn.registered"), 2}};
  s.type = t;
  if (!is_all_registrants(t)) s.holder = nexus("iqn.holder");
  return s;
}

bool conflicts_of(type t, const char* who, scsi::reservation_rule rule, const_bytes cdb) {
  return conflicts(allowance_of(reserved(t), nexus(who)), effective_rule(rule, cdb));
}

constexpr type all_types[] = {type::write_exclusive,
                              type::exclusive_access,
                              type::write_exclusive_registrants_only,
                              type::exclusive_access_registrants_only,
                              type::write_exclusive_all_registrants,
                              type::exclusive_access_all_registrants};

TEST(conflicts, of_every_command_under_every_type_for_whoever_asks) {
  for (const scsi::opcode_row& row : scsi::opcode_table()) {
    const auto rule = wanted.find(row.what);
    ASSERT_NE(rule, wanted.end()) << row.name;
    std::array<std::uint8_t, 16> cdb{row.opcode};
    if (row.has_service_action()) cdb[1] = static_cast<std::uint8_t>(row.service_action);
    for (const type t : all_types) {
      const bool exclusive = t == type::exclusive_access || t == type::exclusive_access_registrants_only ||
                             t == type::exclusive_access_all_registrants;
      const bool favours_registrants = t != type::write_exclusive && t != type::exclusive_access;
      const bool keeps_out = rule->second == allowed::never || (rule->second == allowed::unless_exclusive && exclusive);
      const auto told = [&](const char* who) { return conflicts_of(t, who, row.reservation, cdb); };
      EXPECT_FALSE(told("iqn.holder")) << row.name << ", type " << int(t);
      EXPECT_EQ(told("iqn.registered"), keeps_out && !favours_registrants) << row.name << ", type " << int(t);
      EXPECT_EQ(told("iqn.stranger"), keeps_out) << row.name << ", type " << int(t);
    }
    EXPECT_FALSE(conflicts_of(type::none, "iqn.stranger", row.reservation, cdb)) << row.name;
  }
}

TEST(conflicts, of_what_a_command_asks_for) {
  const auto told = [](std::uint8_t opcode, std::uint8_t octet_4) {
    const std::uint8_t cdb[] = {opcode, 0, 0, 0, octet_4, 0};
    const auto row = scsi::check_cdb(cdb, {});
    return conflicts_of(type::write_exclusive, "iqn.stranger", (*row)->reservation, cdb);
  };
  EXPECT_FALSE(told(0x1b, 0x01)) << "START";
  EXPECT_TRUE(told(0x1b, 0x00)) << "STOP";
  EXPECT_TRUE(told(0x1b, 0x21)) << "IDLE";
  EXPECT_FALSE(told(0x1e, 0x00)) << "ALLOW";
  EXPECT_TRUE(told(0x1e, 0x01)) << "PREVENT";
}

}  // namespace
}  // namespace sluice::reservations
