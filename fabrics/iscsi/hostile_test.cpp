#include <gtest/gtest.h>

#include <map>
#include <random>

#include "actors/wire/crc.hpp"
#include "fabrics/iscsi/test_fixture.hpp"

/// Initiators that break the rules, by mistake or on purpose.
namespace sluice::iscsi::fixture {
namespace {

using counts = std::map<std::string, std::uint64_t>;

/// Asks for 8 blocks to be written without immediate data; gives the R2T.
ready_to_transfer asked(fixture& s, scsi_command& c) {
  c = s.write_10(0, 8);
  s.initiator.send(c);
  const auto ask = s.initiator.next();
  EXPECT_TRUE(ask && ask->code() == opcode::r2t);
  return ask ? ask->as<ready_to_transfer>() : ready_to_transfer{};
}

void expect_aborted(fixture& s, const scsi_command& c, std::uint8_t code, std::uint8_t qualifier) {
  const auto done = s.finish(c.initiator_task_tag);
  EXPECT_EQ(done.status, 2);
  ASSERT_GE(done.sense.size(), 14u);
  EXPECT_EQ(done.sense[2] & 0xf, 0xb);
  EXPECT_EQ(done.sense[12], code);
  EXPECT_EQ(done.sense[13], qualifier);
  EXPECT_EQ(octets(s.gateway.medium.begin(), s.gateway.medium.begin() + 4096), untouched(0, 4096));
}

TEST(hostile, data_out_with_a_wrong_data_sn_aborts_the_command) {
  for (std::uint32_t data_sn : {1u, 27u, 0xffffffffu}) {
    fixture s;
    s.log_in({"ImmediateData=No"});
    scsi_command c;
    data_out out = answer_to(asked(s, c));
    out.data_sn = data_sn;
    s.initiator.send(out, block_of(1));
    expect_aborted(s, c, 0x47, 0x05);
    expect_alive(s);
  }
}

TEST(hostile, data_out_at_a_wrong_place_aborts_the_command) {
  for (int how = 0; how < 5; ++how) {
    fixture s;
    s.log_in({"ImmediateData=No"});
    scsi_command c;
    data_out out = answer_to(asked(s, c));
    std::size_t size = 4096;
    if (how == 0) out.buffer_offset = 512;
    if (how == 1) size = 8192;
    if (how == 2) out.final = false;  // all data, but no F
    if (how == 3) out.target_transfer_tag ^= 0x40;
    if (how == 4) size = 2048;  // F, but not all data
    s.initiator.send(out, block_of(1, size));
    const bool wrong_amount = how == 1 || how == 2 || how == 4;  // [RFC7143 11.4.7.2]
    expect_aborted(s, c, wrong_amount ? 0x0c : 0x47, wrong_amount ? 0x0d : 0x05);
    expect_alive(s);
  }
}

TEST(hostile, overlapping_data_out_aborts_the_command) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  scsi_command c;
  data_out out = answer_to(asked(s, c));
  out.final = false;
  s.initiator.send(out, block_of(1, 2048));
  out.data_sn = 1;
  out.buffer_offset = 1024;
  out.final = true;
  s.initiator.send(out, block_of(2, 2048));
  expect_aborted(s, c, 0x47, 0x05);
  expect_alive(s);
}

/// A command with more data than FirstBurstLength brings just so many unasked, when it brings any that are not
/// immediate.
TEST(hostile, a_wrong_amount_of_unsolicited_data_aborts_the_command) {
  for (const std::size_t size : {1024u, 2048u, 3072u}) {
    fixture s;
    s.log_in({"ImmediateData=Yes", "InitialR2T=No", "FirstBurstLength=2048"});
    scsi_command c = s.write_10(0, 8);
    c.final = false;
    s.initiator.send(c);
    data_out out;
    out.initiator_task_tag = c.initiator_task_tag;
    out.target_transfer_tag = reserved_tag;
    out.final = true;
    s.initiator.send(out, block_of(1, size));
    if (size != 2048) {
      expect_aborted(s, c, 0x0c, 0x0d);
    } else {
      const auto ask = s.initiator.next();
      EXPECT_TRUE(ask && ask->code() == opcode::r2t && ask->as<ready_to_transfer>().buffer_offset == 2048);
    }
    expect_alive(s);
  }
}

TEST(hostile, unsolicited_data_that_was_not_agreed_aborts_the_command) {
  fixture s;
  s.log_in({"ImmediateData=No", "InitialR2T=Yes"});
  const auto immediate = s.write_10(0, 8);
  s.initiator.send(immediate, block_of(1));
  expect_aborted(s, immediate, 0x0c, 0x0c);
  auto open = s.write_10(0, 8);
  open.final = false;
  s.initiator.send(open);
  expect_aborted(s, open, 0x0c, 0x0c);
  scsi_command c;
  data_out out = answer_to(asked(s, c));
  out.target_transfer_tag = reserved_tag;
  s.initiator.send(out, block_of(1));
  expect_aborted(s, c, 0x0c, 0x0c);
  expect_alive(s);
}

TEST(hostile, data_of_unknown_tasks_is_dropped) {
  for (std::size_t size : {0u, 4096u, 262144u}) {
    fixture s;
    s.log_in();
    data_out out;
    out.initiator_task_tag = 0x12345;
    out.final = true;
    s.initiator.send(out, block_of(1, size));
    out.target_transfer_tag = 77;
    s.initiator.send(out, block_of(1, size));
    expect_alive(s);
  }
}

TEST(hostile, a_data_segment_longer_than_agreed_ends_the_connection) {
  fixture s;
  s.log_in();
  nop_out ping;
  ping.immediate = true;
  const bhs raw = encode(ping, 262145);
  s.initiator.send(octets(raw.begin(), raw.end()));
  EXPECT_TRUE(s.initiator.closed());
}

TEST(hostile, a_login_segment_longer_than_8192_ends_the_connection) {
  fixture s;
  const bhs raw = encode(login_request{}, 8193);
  s.initiator.send(octets(raw.begin(), raw.end()));
  EXPECT_TRUE(s.initiator.closed());
}

TEST(hostile, anything_but_a_login_first_ends_the_connection) {
  fixture s;
  s.initiator.send(s.bare(0x00));
  EXPECT_TRUE(s.initiator.closed());
}

TEST(hostile, a_stranger_that_is_turned_away_hears_of_it_late_and_holds_nothing_meanwhile) {
  fixture s;
  const std::uint64_t began_ns = s.world.now_ns();
  s.initiator.send(s.bare(0x00));
  s.initiator.send(s.bare(0x00));
  s.world.run_for(connection::linger_ns / 2);
  EXPECT_EQ(s.target_loop->buffers().bytes_in_use(), 0u);
  EXPECT_EQ(s.options.shared->book->look(10).oldest.size(), 0u);
  EXPECT_EQ(s.options.shared->refused.all(), (std::map<std::string, std::uint64_t>{{"protocol", 1}}));
  EXPECT_TRUE(s.initiator.closed());
  EXPECT_GE(s.world.now_ns() - began_ns, connection::linger_ns);
}

TEST(hostile, a_gateway_that_ends_waits_for_nobody_that_lingers) {
  fixture s;
  s.initiator.send(s.bare(0x00));
  s.world.run_for(100 * ns_per_ms);
  ASSERT_TRUE(s.target);
  const std::uint64_t began_ns = s.world.now_ns();
  s.target_loop->post([&s] { s.target->close(port::loss_reason::shutdown); });
  EXPECT_TRUE(s.gone());
  EXPECT_LT(s.world.now_ns() - began_ns, 100 * ns_per_ms);
}

TEST(hostile, a_command_in_the_midst_of_login_is_refused) {
  fixture s;
  ASSERT_TRUE(
      s.say_login({std::string("InitiatorName=") + initiator_name, std::string("TargetName=") + target_name}, 1, -1));
  s.initiator.send(s.bare(0x00));
  const auto answer = s.initiator.next();
  ASSERT_TRUE(answer && answer->code() == opcode::login_response);
  EXPECT_EQ(answer->as<login_response>().status, login_status::invalid_during_login);
  EXPECT_TRUE(s.initiator.closed());
}

void expect_reject(fixture& s, reject_reason reason) {
  const auto p = s.initiator.next();
  ASSERT_TRUE(p && p->code() == opcode::reject);
  EXPECT_EQ(p->as<reject>().reason, reason);
  EXPECT_EQ(p->data.size(), bhs_bytes);
  EXPECT_EQ(p->as<reject>().sn.stat_sn, s.exp_stat_sn++);
}

TEST(hostile, what_is_not_supported_is_rejected_and_life_goes_on) {
  fixture s;
  s.log_in();
  s.initiator.send(snack_request{});
  expect_reject(s, reject_reason::snack_reject);
  s.initiator.send(login_request{});
  expect_reject(s, reject_reason::protocol_error);
  bhs vendor{};
  vendor[0] = 0x1c;
  s.initiator.send(octets(vendor.begin(), vendor.end()));
  expect_reject(s, reject_reason::command_not_supported);
  auto both = s.read_10(0, 1);
  both.write = true;
  s.initiator.send(both);
  expect_reject(s, reject_reason::command_not_supported);
  octets too_long(252);  // a CDB of 261 octets
  too_long[1] = 246;
  too_long[2] = 1;
  s.initiator.send(s.bare(0x00), {}, too_long);
  expect_reject(s, reject_reason::invalid_pdu_field);
  s.initiator.send(s.bare(0x00), {}, {0xff, 0xff, 0xff, 0xff});
  expect_reject(s, reject_reason::invalid_pdu_field);
  const auto stuck = s.bare(0xfe);
  s.initiator.send(stuck);
  auto twin = s.bare(0x00);
  twin.initiator_task_tag = stuck.initiator_task_tag;
  s.initiator.send(twin);
  expect_reject(s, reject_reason::task_in_progress);
  text_request text;
  text.immediate = true;
  s.initiator.send(text, block_of('x', 10));
  expect_reject(s, reject_reason::protocol_error);
  expect_alive(s);
}

/// What is rejected has used up its CmdSN: what comes after it does not wait for it [RFC7143 4.2.2.1].
TEST(hostile, a_rejected_command_leaves_no_gap) {
  for (const bool in_order : {true, false}) {
    fixture s;
    s.log_in();
    auto bad = s.bare(0x00);
    bad.attribute = 5;
    bhs vendor{};
    vendor[0] = 0x1c;
    wire::store32(vendor, 24, s.cmd_sn++);
    auto both = s.read_10(0, 1);
    both.write = true;
    const auto after = s.bare(0x00);
    if (in_order) s.initiator.send(bad);
    s.initiator.send(octets(vendor.begin(), vendor.end()));
    s.initiator.send(both);
    s.initiator.send(after);
    if (!in_order) s.initiator.send(bad);
    std::map<opcode, int> answers;
    while (const auto p = s.initiator.next(20 * ns_per_ms)) {
      ++answers[p->code()];
      ++s.exp_stat_sn;
    }
    EXPECT_EQ(answers[opcode::reject], 3);
    EXPECT_EQ(answers[opcode::scsi_response], 1);
    expect_alive(s);
  }
}

TEST(hostile, too_many_immediate_commands_are_rejected) {
  fixture s;
  s.log_in();
  for (std::uint32_t i = 0; i <= connection::max_immediate; ++i) {
    auto c = s.bare(0xfe);
    c.immediate = true;
    s.initiator.send(c);
  }
  expect_reject(s, reject_reason::too_many_immediate_commands);
}

TEST(hostile, a_damaged_header_ends_the_connection) {
  fixture s;
  s.log_in({"HeaderDigest=CRC32C"});
  octets wire = s.initiator.frame(encode(s.bare(0x00)), {});
  wire[20] ^= 1;
  s.initiator.send(wire);
  EXPECT_TRUE(s.initiator.closed());
  EXPECT_TRUE(s.gateway.cdbs.empty());
  EXPECT_EQ(s.options.shared->counted.all()["digest_errors"], (counts{{"header", 1}, {"data", 0}}));
}

TEST(hostile, damaged_data_is_rejected_and_never_written) {
  fixture s;
  s.log_in({"DataDigest=CRC32C"});
  octets wire = s.initiator.frame(encode(s.write_10(0, 2), 1024), block_of(1, 1024));
  wire[100] ^= 1;
  s.initiator.send(wire);
  expect_reject(s, reject_reason::data_digest_error);
  EXPECT_TRUE(s.initiator.closed());
  auto counted = s.options.shared->counted.all();
  EXPECT_EQ(counted["digest_errors"], (counts{{"header", 0}, {"data", 1}}));
  EXPECT_EQ(counted["rejects"], (counts{{"data_digest_error", 1}}));
  EXPECT_EQ(counted["logins"], (counts{{"session", 1}, {"discovery", 0}}));
  EXPECT_EQ(octets(s.gateway.medium.begin(), s.gateway.medium.begin() + 1024), untouched(0, 1024));
}

TEST(hostile, damaged_bulk_data_is_never_written) {
  fixture s(3);
  s.log_in({"DataDigest=CRC32C", "ImmediateData=No"});
  const auto c = s.write_10(0, 256);
  s.initiator.send(c);
  const auto ask = s.initiator.next();
  ASSERT_TRUE(ask);
  octets wire = s.initiator.frame(encode(answer_to(ask->as<ready_to_transfer>()), 131072), block_of(1, 131072));
  wire[70000] ^= 1;
  s.initiator.send(wire);
  EXPECT_TRUE(s.initiator.closed());
  EXPECT_EQ(s.options.shared->counted.all()["digest_errors"]["data"], 1u);
  EXPECT_EQ(octets(s.gateway.medium.begin(), s.gateway.medium.begin() + 4096), untouched(0, 4096));
}

TEST(hostile, a_flood_of_pings_that_nobody_reads_stops_the_receiving) {
  fixture s(1, [](connection_options& o) { o.send_high_water = 256 * kib; });
  s.log_in({"MaxRecvDataSegmentLength=262144"});
  nop_out ping;
  ping.immediate = true;
  ping.initiator_task_tag = 1;
  for (int i = 0; i < 100; ++i) s.initiator.send(ping, block_of(1, 65536));
  for (int i = 0; i < 100; ++i) {
    const auto pong = s.initiator.next();
    ASSERT_TRUE(pong && pong->code() == opcode::nop_in);
    EXPECT_EQ(pong->data.size(), 65536u);
    EXPECT_LT(s.target_loop->buffers().bytes_in_use(), 8 * mib);
  }
}

/// Mutated streams of a plausible session: whatever comes, the connection ends in order and leaks nothing (~stand
/// checks).
TEST(hostile, any_mutation_of_a_session_ends_in_order) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    fixture s(seed);
    std::mt19937_64 chance(seed);
    s.log_in({"InitialR2T=No", "MaxOutstandingR2T=4"});
    for (int i = 0; i < 12; ++i) {
      octets wire;
      switch (chance() % 5) {
        case 0:
          wire = s.initiator.frame(encode(s.read_10(static_cast<std::uint32_t>(chance() % 1000), 16)), {});
          break;
        case 1:
          wire = s.initiator.frame(encode(s.write_10(0, 64), 8192), block_of(3, 8192));
          break;
        case 2: {
          data_out out;
          out.initiator_task_tag = static_cast<std::uint32_t>(chance() % 8);
          out.final = chance() % 2;
          out.buffer_offset = static_cast<std::uint32_t>(chance() % 4 * 8192);
          out.target_transfer_tag = chance() % 2 ? reserved_tag : static_cast<std::uint32_t>(chance() % 4);
          wire = s.initiator.frame(encode(out, 8192), block_of(4, 8192));
          break;
        }
        case 3: {
          task_management_request r;
          r.immediate = true;
          r.function = static_cast<std::uint8_t>(1 + chance() % 12);
          r.referenced_task_tag = static_cast<std::uint32_t>(chance() % 8);
          r.initiator_task_tag = 0x9000u + static_cast<std::uint32_t>(i);
          wire = s.initiator.frame(encode(r), {});
          break;
        }
        default:
          wire = s.initiator.frame(encode(s.bare(0xfe)), {});
          break;
      }
      if (chance() % 3 == 0) wire[chance() % bhs_bytes] = static_cast<std::uint8_t>(chance());
      s.initiator.send(wire);
      if (chance() % 3 == 0) s.world.run_for(chance() % (2 * ns_per_ms));
    }
    s.world.run_for(5 * ns_per_ms);
  }
}

}  // namespace
}  // namespace sluice::iscsi::fixture
