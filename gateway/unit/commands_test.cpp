#include "gateway/unit/test_fixture.hpp"

namespace sluice::unit {
namespace {

using scsi::sense_key;
using scsi::status;
namespace asc = scsi::asc;

octets blocks_of(fixture& s, initiator& a, std::uint32_t lba, std::uint16_t blocks) {
  return s.done(a.send(read10(lba, blocks), {}, blocks * 512u)).in;
}
octets joined(octets a, const octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(unit_commands, identity_and_capacity) {
  fixture s;
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).good());
  exchange& inquiry = s.done(a.send({0x12, 0, 0, 0, 96, 0}, {}, 96));
  EXPECT_TRUE(inquiry.good());
  ASSERT_GE(inquiry.in.size(), 36u);
  EXPECT_EQ(inquiry.in[0], 0);
  exchange& serial = s.done(a.send({0x12, 1, 0x80, 0, 252, 0}, {}, 252));
  ASSERT_GE(serial.in.size(), 20u);
  EXPECT_EQ(std::string(serial.in.begin() + 4, serial.in.begin() + 20), "0123456789abcdef");
  exchange& capacity = s.done(a.send(cdb10(0x25, 0, 0), {}, 8));
  EXPECT_EQ(wire::load32(capacity.in, 0), 8191u);
  EXPECT_EQ(wire::load32(capacity.in, 4), 512u);
  octets cdb = cdb16(0x9e, 0, 32, 0x10);
  exchange& capacity16 = s.done(a.send(cdb, {}, 32));
  EXPECT_EQ(wire::load64(capacity16.in, 0), 8191u);
}

TEST(unit_commands, cdbs_that_are_refused) {
  fixture s;
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(octets{0xff, 0, 0, 0, 0, 0})).sensed(sense_key::illegal_request, asc::invalid_opcode));
  EXPECT_TRUE(s.done(a.send(octets{0, 1, 0, 0, 0, 0})).sensed(sense_key::illegal_request, asc::invalid_field_in_cdb));
  EXPECT_TRUE(s.done(a.send(test_unit_ready(), {}, 0, port::task_attribute::aca))
                  .sensed(sense_key::illegal_request, asc::invalid_message));
}

TEST(unit_commands, a_refused_inquiry_leaves_the_unit_attention) {
  fixture s;
  initiator& a = s.add();
  s.shards[0]->establish_attention(a.identity->id, asc::capacity_changed, 1);
  for (const octets& bad : {octets{0x12, 0, 1, 0, 36, 0}, octets{0x12, 2, 0, 0, 36, 0}, octets{0x03, 2, 0, 0, 18, 0}})
    EXPECT_TRUE(s.done(a.send(bad, {}, 36)).sensed(sense_key::illegal_request, asc::invalid_field_in_cdb));
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::capacity_changed));
}

TEST(unit_commands, the_medium_hears_of_reads_before_their_turn_and_of_nothing_else) {
  fixture s;
  port::task t;
  const auto announce = [&](const octets& cdb) {
    t.set_cdb(cdb);
    s.shards[0]->foresee(t);
  };
  announce({0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0});                                            // READ(10)
  announce({0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0});  // far beyond the unit
  announce({0x2a, 0, 0, 0, 0, 7, 0, 0, 1, 0});                                            // WRITE(10)
  announce({0x00, 0, 0, 0, 0, 0});
  const std::uint64_t size = s.shards[0]->block_size();
  EXPECT_EQ(s.announced, (std::vector<std::uint64_t>{7 * size, ~std::uint64_t{0} * size}));
}

TEST(unit_commands, compare_and_write) {
  for (bool late : {false, true}) {
    fixture s;
    s.late = late;
    initiator& a = s.add();
    const octets zero = filled(1024, 0), one = filled(1024, 1);
    EXPECT_TRUE(s.done(a.send(compare_and_write16(8, 2), joined(zero, one))).good());
    exchange& again = s.done(a.send(compare_and_write16(8, 2), joined(zero, one)));
    EXPECT_TRUE(again.sensed(sense_key::miscompare, asc::miscompare_during_verify));
    EXPECT_EQ(again.outcome.sense.information, 0u);
    octets nearly = one;
    nearly[700] = 9;
    exchange& third = s.done(a.send(compare_and_write16(8, 2), joined(nearly, zero)));
    EXPECT_EQ(third.outcome.sense.information, 700u);
    EXPECT_EQ(blocks_of(s, a, 8, 2), one);
    EXPECT_FALSE(s.done(a.send(compare_and_write16(8, 2), one)).good());  // half of the data
    EXPECT_TRUE(s.done(a.send(compare_and_write16(8, 0))).good());
  }
}

TEST(unit_commands, verify) {
  fixture s;
  initiator& a = s.add();
  const octets data = patterned(3 * 512, 5);
  s.done(a.send(write10(0, 3), data));
  EXPECT_TRUE(s.done(a.send(cdb10(0x2f, 0, 3))).good());
  EXPECT_TRUE(s.done(a.send(cdb10(0x2f, 0, 3, 2), data)).good());
  octets other = data;
  other[600] ^= 1;
  exchange& differs = s.done(a.send(cdb10(0x2f, 0, 3, 2), other));
  EXPECT_TRUE(differs.sensed(sense_key::miscompare, asc::miscompare_during_verify));
  EXPECT_EQ(differs.outcome.sense.information, 600u);
  EXPECT_TRUE(s.done(a.send(cdb10(0x2f, 100, 50, 6), filled(512, 0))).good());
  EXPECT_FALSE(s.done(a.send(cdb10(0x2f, 0, 50, 6), filled(512, 0))).good());
}

TEST(unit_commands, verify_and_write_and_verify_of_several_windows) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  octets data = patterned(3000 * 512, 5);
  EXPECT_TRUE(s.done(a.send(cdb16(0x8e, 1, 3000, 2), data)).good());
  EXPECT_TRUE(s.done(a.send(cdb16(0x8f, 1, 3000, 2), data)).good());
  data[2900 * 512 + 7] ^= 4;
  EXPECT_EQ(s.done(a.send(cdb16(0x8f, 1, 3000, 2), data)).outcome.sense.information, 2900u * 512 + 7);
}

TEST(unit_commands, or_write) {
  fixture s;
  initiator& a = s.add();
  s.done(a.send(write10(0, 2), filled(1024, 0x0f)));
  EXPECT_TRUE(s.done(a.send(cdb16(0x8b, 0, 2), filled(1024, 0xa0))).good());
  EXPECT_EQ(blocks_of(s, a, 0, 2), filled(1024, 0xaf));
}

TEST(unit_commands, write_same) {
  fixture s;
  initiator& a = s.add();
  const octets pattern = patterned(512, 2);
  EXPECT_TRUE(s.done(a.send(cdb16(0x93, 10, 3), pattern)).good());
  EXPECT_EQ(blocks_of(s, a, 10, 3), joined(joined(pattern, pattern), pattern));
  EXPECT_EQ(blocks_of(s, a, 13, 1), filled(512, 0));
  EXPECT_TRUE(s.done(a.send(cdb16(0x93, 11, 1, 0x09))).good());  // UNMAP, NDOB
  EXPECT_EQ(blocks_of(s, a, 11, 1), filled(512, 0));
  EXPECT_TRUE(s.done(a.send(cdb16(0x93, 12, 1, 0x08), pattern)).good());  // UNMAP, and a pattern that is not zero
  EXPECT_EQ(blocks_of(s, a, 12, 1), pattern);
  EXPECT_TRUE(s.done(a.send(cdb10(0x41, 12, 1), filled(512, 0))).good());
  EXPECT_EQ(blocks_of(s, a, 12, 1), filled(512, 0));
  EXPECT_TRUE(s.done(a.send(cdb16(0x93, 8190, 0), pattern)).good());  // to the last block
  EXPECT_EQ(blocks_of(s, a, 8189, 3), joined(joined(filled(512, 0), pattern), pattern));
}

TEST(unit_commands, write_same_and_compare_and_write_want_exactly_their_data) {
  fixture s;
  initiator& a = s.add();
  s.done(a.send(write10(0, 2), filled(1024, 0x11)));
  const auto refused = [&](const octets& cdb, std::size_t size) {
    return s.done(a.send(cdb, filled(size, 0x11)))
        .sensed(scsi::sense_key::illegal_request, scsi::asc::invalid_field_in_cdb);
  };
  for (const std::size_t size : {256u, 1024u}) EXPECT_TRUE(refused(cdb16(0x93, 0, 1), size)) << size;
  const octets compare = compare_and_write16(0, 1);
  for (const std::size_t size : {512u, 2048u}) EXPECT_TRUE(refused(compare, size)) << size;
  EXPECT_TRUE(s.done(a.send(compare, joined(filled(512, 0x11), filled(512, 0x33)))).good());
  EXPECT_EQ(blocks_of(s, a, 0, 2), joined(filled(512, 0x33), filled(512, 0x11)));
}

octets unmap_list(std::uint64_t lba, std::uint32_t blocks) {
  octets l(24);
  wire::store16(l, 0, 22);
  wire::store16(l, 2, 16);
  wire::store64(l, 8, lba);
  wire::store32(l, 16, blocks);
  return l;
}

TEST(unit_commands, unmap_and_get_lba_status) {
  fixture s;
  initiator& a = s.add();
  s.done(a.send(write10(0, 64), filled(64 * 512, 1)));
  exchange& before = s.done(a.send(cdb16(0x9e, 0, 64, 0x12), {}, 64));
  ASSERT_GE(before.in.size(), 24u);
  EXPECT_EQ(wire::load32(before.in, 16), 64u);
  EXPECT_EQ(before.in[20] & 0xf, 0);
  EXPECT_TRUE(s.done(a.send(cdb10(0x42, 0, 24), unmap_list(0, 32))).good());
  EXPECT_EQ(blocks_of(s, a, 0, 33), joined(filled(32 * 512, 0), filled(512, 1)));
  exchange& after = s.done(a.send(cdb16(0x9e, 0, 64, 0x12), {}, 64));
  EXPECT_EQ(wire::load32(after.in, 16), 32u);
  EXPECT_EQ(after.in[20] & 0xf, 1);
  EXPECT_TRUE(s.done(a.send(cdb10(0x42, 0, 24), unmap_list(8190, 3)))
                  .sensed(sense_key::illegal_request, asc::lba_out_of_range));
  EXPECT_TRUE(s.done(a.send(cdb10(0x42, 0, 0))).good());
  EXPECT_FALSE(s.done(a.send(cdb16(0x9e, 8192, 64, 0x12), {}, 64)).good());
}

TEST(unit_commands, a_thick_unit_does_not_unmap) {
  fixture_options how;
  how.thin = false;
  fixture s(how);
  initiator& a = s.add();
  EXPECT_TRUE(
      s.done(a.send(cdb10(0x42, 0, 24), unmap_list(0, 8))).sensed(sense_key::illegal_request, asc::invalid_opcode));
}

TEST(unit_commands, synchronize_cache_and_pre_fetch) {
  fixture s;
  int flushes = 0;
  initiator& a = s.add();
  s.fails = [&](const store::request& r) {
    flushes += r.what == store::verb::flush;
    return store::status::good;
  };
  EXPECT_TRUE(s.done(a.send(cdb10(0x35, 0, 0))).good());
  EXPECT_TRUE(s.done(a.send(cdb10(0x35, 5, 3, 2))).good());
  EXPECT_EQ(flushes, 2);
  EXPECT_TRUE(s.done(a.send(cdb10(0x34, 0, 100))).ended_with(status::condition_met));
  s.fails = [&](const store::request&) { return store::status::medium_error; };
  EXPECT_FALSE(s.done(a.send(cdb10(0x35, 0, 0))).good());
  EXPECT_TRUE(s.done(a.send(cdb10(0x35, 0, 0, 2))).good());
}

TEST(unit_commands, request_sense_conveys_a_unit_attention) {
  fixture s;
  initiator& a = s.add(0, "iqn.2026-11.org.example:a", true);
  EXPECT_TRUE(s.done(a.send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good());  // INQUIRY leaves it
  exchange& sense = s.done(a.send({0x03, 0, 0, 0, 252, 0}, {}, 252));
  ASSERT_TRUE(sense.good());
  EXPECT_EQ(scsi::decode_sense(sense.in).code, asc::reset_occurred);
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).good());
}

TEST(unit_commands, a_new_nexus_hears_of_the_reset_once) {
  fixture s;
  initiator& a = s.add(0, "iqn.2026-11.org.example:a", true);
  EXPECT_TRUE(s.done(a.send(write10(0, 1), filled(512, 1))).sensed(sense_key::unit_attention, asc::reset_occurred));
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).good());
}

TEST(unit_commands, stop_and_start) {
  fixture s;
  initiator& a = s.add();
  initiator& b = s.add();
  EXPECT_TRUE(s.done(a.send({0x1b, 0, 0, 0, 0, 0})).good());
  EXPECT_TRUE(s.done(b.send(read10(0, 1), {}, 512)).sensed(sense_key::not_ready, asc::initializing_command_required));
  EXPECT_TRUE(s.done(b.send(test_unit_ready())).sensed(sense_key::not_ready, asc::initializing_command_required));
  EXPECT_TRUE(s.done(b.send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good());
  EXPECT_TRUE(s.done(b.send({0x1b, 0, 0, 0, 1, 0})).good());
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).good());
}

TEST(unit_commands, removal_is_prevented_until_the_nexus_ends) {
  fixture s;
  initiator& a = s.add();
  initiator& b = s.add();
  const octets eject{0x1b, 0, 0, 0, 2, 0};
  EXPECT_TRUE(s.done(a.send({0x1e, 0, 0, 0, 1, 0})).good());
  EXPECT_TRUE(s.done(b.send(eject)).sensed(sense_key::illegal_request, asc::removal_prevented));
  s.remove(a);
  EXPECT_TRUE(s.done(b.send(eject)).good());
}

/// MODE SELECT(6) with the caching page of MODE SENSE, WCE as given.
octets with_write_cache(fixture& s, initiator& a, bool on) {
  octets page = s.done(a.send({0x1a, 8, 0x08, 0, 252, 0}, {}, 252)).in;
  page[0] = 0;
  page[2] = 0;
  page[4] &= 0x3f;
  page[6] = static_cast<std::uint8_t>((page[6] & ~4) | (on ? 4 : 0));
  return page;
}

TEST(unit_commands, mode_select_is_agreed_and_told) {
  fixture_options how;
  how.shards = 2;
  fixture s(how);
  initiator& a = s.add(0);
  initiator& b = s.add(1);
  const octets page = with_write_cache(s, a, false);
  const octets select{0x15, 0x10, 0, 0, static_cast<std::uint8_t>(page.size()), 0};
  EXPECT_TRUE(s.done(a.send(select, page)).good());
  EXPECT_TRUE(s.done(b.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::mode_parameters_changed));
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).good());
  bool durable = false;
  s.fails = [&](const store::request& r) {
    durable = r.fua;
    return store::status::good;
  };
  EXPECT_TRUE(s.done(b.send(write10(0, 1), filled(512, 1))).good());
  EXPECT_TRUE(durable);
}

TEST(unit_commands, saved_modes_outlive_resets_and_restarts) {
  fixture s;
  initiator& a = s.add();
  const octets off = with_write_cache(s, a, false);
  const octets on = with_write_cache(s, a, true);
  const auto size = static_cast<std::uint8_t>(off.size());
  EXPECT_TRUE(s.done(a.send({0x15, 0x11, 0, 0, size, 0}, off)).good());
  EXPECT_TRUE(s.done(a.send({0x15, 0x10, 0, 0, size, 0}, on)).good());
  EXPECT_TRUE(s.coordinator->snapshot()->mode.write_cache);
  EXPECT_EQ(s.done(a.send({0x1a, 8, 0xc8, 0, 252, 0}, {}, 252)).in.at(6) & 4, 0);  // the saved values
  a.manage(port::task_function::logical_unit_reset);
  s.run();
  EXPECT_FALSE(s.coordinator->snapshot()->mode.write_cache);
  EXPECT_FALSE(s.make_coordinator()->snapshot()->mode.write_cache);
}

TEST(unit_commands, read_only_units_refuse_writes) {
  fixture s;
  initiator& a = s.add();
  scsi::unit_facts facts = s.coordinator->snapshot()->facts;
  facts.read_only = true;
  s.coordinator->set_facts(facts);
  s.run();
  const auto attention = [&] { return s.done(a.send(test_unit_ready())).outcome.sense.code; };
  EXPECT_EQ(attention(), asc::inquiry_data_changed);
  EXPECT_EQ(attention(), asc::mode_parameters_changed);
  EXPECT_TRUE(s.done(a.send(write10(0, 1), filled(512, 1))).sensed(sense_key::data_protect, asc::write_protected));
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).good());
}

TEST(unit_commands, capacity_changes_are_told) {
  fixture_options how;
  how.shards = 2;
  fixture s(how);
  initiator& a = s.add(0);
  initiator& b = s.add(1);
  bool finished = false;
  s.coordinator->set_capacity(4096, [&](const result<void>& r) { finished = r.has_value(); });
  s.run();
  EXPECT_TRUE(finished);
  for (initiator* i : {&a, &b})
    EXPECT_TRUE(s.done(i->send(read10(0, 1), {}, 512)).sensed(sense_key::unit_attention, asc::capacity_changed));
  EXPECT_TRUE(s.done(a.send(read10(4096, 1), {}, 512)).sensed(sense_key::illegal_request, asc::lba_out_of_range));
  EXPECT_EQ(wire::load32(s.done(b.send(cdb10(0x25, 0, 0), {}, 8)).in, 0), 4095u);
}

TEST(unit_commands, asymmetric_access) {
  fixture s;
  initiator& a = s.add();
  auto groups = s.coordinator->snapshot()->groups;
  groups[0].state = scsi::asymmetric_access::standby;
  s.coordinator->set_groups(groups);
  s.run();
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::asymmetric_access_changed));
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).sensed(sense_key::not_ready, asc::target_port_in_standby));
  octets report(12);
  report[0] = 0xa3;
  report[1] = 0x0a;
  report[9] = 64;
  exchange& r = s.done(a.send(report, {}, 64));
  ASSERT_GE(r.in.size(), 16u);
  EXPECT_EQ(r.in[4] & 0xf, 2);
}

TEST(unit_commands, every_opcode_is_answered_once) {
  fixture_options how;
  how.shards = 2;
  how.delays = true;
  fixture s(how);
  s.late = true;
  initiator& a = s.add(0);
  for (const scsi::opcode_row& row : scsi::opcode_table()) {
    octets cdb(row.cdb_bytes);
    cdb[0] = row.opcode;
    if (row.has_service_action()) cdb[1] = static_cast<std::uint8_t>(row.service_action);
    const std::size_t size = row.direction == scsi::data_direction::out ? 1024 : 0;
    EXPECT_EQ(s.done(a.send(cdb, filled(size, 0), 4096)).completions, 1) << row.name;
  }
}

}  // namespace
}  // namespace sluice::unit
