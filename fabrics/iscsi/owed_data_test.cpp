#include <gtest/gtest.h>

#include "fabrics/iscsi/test_fixture.hpp"
#include "gateway/scsi/outcome_builders.hpp"

/// Data that the unit does not want any more while the initiator still owes them, and what becomes of them on the wire.
namespace sluice::iscsi::fixture {
namespace {

struct owed {
  scsi_command write;
  std::vector<ready_to_transfer> asks;
};

/// A WRITE of `blocks` blocks without immediate data, and the R2Ts for it, of which none is answered.
owed owe(fixture& s, std::uint16_t blocks, std::size_t asks = 1) {
  owed o;
  o.write = s.write_10(0, blocks);
  s.initiator.send(o.write);
  while (o.asks.size() < asks) {
    const auto p = s.initiator.next();
    EXPECT_TRUE(p && p->code() == opcode::r2t);
    if (!p) break;
    o.asks.push_back(p->as<ready_to_transfer>());
  }
  return o;
}

void pay(fixture& s, const ready_to_transfer& ask, std::uint8_t with = 1) {
  s.initiator.send(answer_to(ask), block_of(with, ask.desired_length));
}

/// Somebody else ends all tasks of the session.
void end_all(fixture& s, std::optional<scsi::outcome> outcome) {
  s.target_loop->post([&s, outcome] { s.gateway.nexus->end_all(outcome); });
  s.world.run_for(10 * ns_per_ms);
}

bool untouched_so_far(fixture& s) {
  return octets(s.gateway.medium.begin(), s.gateway.medium.begin() + 65536) == untouched(0, 65536);
}

TEST(owed_data, of_a_task_that_ends_silently_are_dropped) {
  for (const std::vector<std::string>& keys : {std::vector<std::string>{"ImmediateData=No"},
                                               {"ImmediateData=No", "DataDigest=CRC32C", "HeaderDigest=CRC32C"}}) {
    fixture s;
    s.log_in(keys);
    const owed small = owe(s, 2), large = owe(s, 512);
    end_all(s, std::nullopt);
    EXPECT_LT(s.target_loop->buffers().bytes_in_use(), 512 * kib) << "the buffers are free";
    pay(s, small.asks[0]);
    pay(s, large.asks[0]);
    expect_alive(s);
    EXPECT_TRUE(untouched_so_far(s));
  }
}

/// The status waits for the PDU with the F bit of the last sequence that was asked for [RFC7143 11.4.2].
TEST(owed_data, hold_up_the_status_of_their_own_task_and_nothing_else) {
  fixture s;
  s.log_in({"ImmediateData=No", "MaxBurstLength=65536", "MaxOutstandingR2T=2"});
  const owed o = owe(s, 512, 2);
  end_all(s, scsi::outcomes::task_aborted());
  expect_alive(s);
  pay(s, o.asks[0]);
  expect_alive(s);
  pay(s, o.asks[1]);
  EXPECT_EQ(s.finish(o.write.initiator_task_tag).status, 0x40);
  EXPECT_TRUE(untouched_so_far(s));
}

TEST(owed_data, that_are_on_the_way_in_when_the_task_is_taken_back_go_nowhere) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    fixture s(seed);
    s.log_in({"ImmediateData=No", "DataDigest=CRC32C"});
    const owed o = owe(s, 256);
    const octets wire = s.initiator.frame(encode(answer_to(o.asks[0]), 131072), block_of(1, 131072));
    s.initiator.send(octets(wire.begin(), wire.begin() + 70000));
    s.world.run_for(10 * ns_per_ms);
    end_all(s, scsi::outcomes::task_aborted());
    s.initiator.send(octets(wire.begin() + 70000, wire.end()));
    EXPECT_EQ(s.finish(o.write.initiator_task_tag).status, 0x40);
    EXPECT_TRUE(untouched_so_far(s));
    expect_alive(s);
  }
}

TEST(owed_data, that_nobody_wants_are_still_held_against_their_digest) {
  for (const std::uint16_t blocks : {2, 256}) {
    fixture s;
    s.log_in({"ImmediateData=No", "DataDigest=CRC32C"});
    const owed o = owe(s, blocks);
    end_all(s, std::nullopt);
    octets wire = s.initiator.frame(encode(answer_to(o.asks[0]), blocks * 512u), block_of(1, blocks * 512u));
    wire[600] ^= 1;
    s.initiator.send(wire);
    EXPECT_TRUE(s.initiator.closed());
    EXPECT_EQ(s.options.shared->counted.all()["digest_errors"]["data"], 1u) << blocks;
  }
}

TEST(owed_data, of_an_earlier_command_do_not_harm_the_one_under_the_same_tag) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  const owed o = owe(s, 8);
  end_all(s, std::nullopt);
  s.next_tag = o.write.initiator_task_tag;
  const owed again = owe(s, 8);
  EXPECT_EQ(again.write.initiator_task_tag, o.write.initiator_task_tag);
  pay(s, o.asks[0], 0xee);
  pay(s, again.asks[0], 0x77);
  EXPECT_EQ(s.finish(again.write.initiator_task_tag).status, 0);
  EXPECT_EQ(s.gateway.medium[0], 0x77);
}

TEST(owed_data, an_abort_of_a_task_that_waits_for_the_last_of_them_is_answered_at_once) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  const owed o = owe(s, 8);
  end_all(s, scsi::outcomes::task_aborted());
  task_management_request abort;
  abort.immediate = true;
  abort.function = static_cast<std::uint8_t>(management_function::abort_task);
  abort.initiator_task_tag = 0x1000;
  abort.referenced_task_tag = o.write.initiator_task_tag;
  abort.cmd_sn = s.cmd_sn;
  s.initiator.send(abort);
  const auto answer = s.initiator.next();
  ASSERT_TRUE(answer && answer->code() == opcode::task_management_response);
  EXPECT_EQ(answer->as<task_management_response>().response, management_response::function_complete);
  EXPECT_EQ(answer->as<task_management_response>().sn.stat_sn, s.exp_stat_sn++);
  pay(s, o.asks[0]);
  expect_alive(s);
}

TEST(owed_data, unsolicited_ones_that_were_announced_are_dropped_too) {
  fixture s;
  s.log_in({"InitialR2T=No", "FirstBurstLength=65536"});
  auto c = s.write_10(0, 128);
  c.final = false;
  s.initiator.send(c, block_of(1, 8192));
  s.world.run_for(10 * ns_per_ms);
  end_all(s, scsi::outcomes::task_aborted());
  expect_alive(s);
  data_out out;
  out.initiator_task_tag = c.initiator_task_tag;
  for (std::uint32_t at = 8192; at < 65536; at += 8192) {
    out.buffer_offset = at;
    out.final = at + 8192 == 65536;
    s.initiator.send(out, block_of(1, 8192));
    ++out.data_sn;
  }
  EXPECT_EQ(s.finish(c.initiator_task_tag).status, 0x40);
  EXPECT_EQ(octets(s.gateway.medium.begin() + 8192, s.gateway.medium.begin() + 65536), untouched(8192, 57344));
}

TEST(owed_data, an_initiator_that_owes_them_may_leave) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  owe(s, 8);
  end_all(s, scsi::outcomes::task_aborted());
  s.initiator.hang_up();
  EXPECT_TRUE(s.gone());
}

TEST(owed_data, reads_that_nobody_takes_are_given_back_at_once) {
  fixture s(1, [](connection_options& o) { o.send_high_water = 64 * kib; });
  s.gateway.put_bytes = 1 << 20;
  s.log_in({"MaxRecvDataSegmentLength=262144"});
  s.initiator.send(s.read_10(0, 8192));
  s.world.run_for(ns_per_ms);
  end_all(s, scsi::outcomes::task_aborted());
  for (;;) {
    const auto p = s.initiator.next();
    ASSERT_TRUE(p);
    if (p->code() == opcode::data_in) continue;
    ASSERT_EQ(p->code(), opcode::scsi_response);
    EXPECT_EQ(p->as<scsi_response>().status, 0x40);
    EXPECT_EQ(p->as<scsi_response>().sn.stat_sn, s.exp_stat_sn++);
    break;
  }
  expect_alive(s);
}

void with_timeout(connection_options& o) {
  o.shared = make_shared_state({}, [](served_port& p) {
    p.data_out_timeout_ns = 2 * ns_per_s;
    p.nop_interval_ns = 0;
  });
}

void expect_timed_out(fixture& s, const scsi_command& c) {
  const auto done = s.finish(c.initiator_task_tag);
  EXPECT_EQ(done.status, 2);
  ASSERT_GE(done.sense.size(), 14u);
  EXPECT_EQ(done.sense[2] & 0xf, 0xb);
  EXPECT_EQ(done.sense[12], 0x4b);
  EXPECT_EQ(done.sense[13], 0x06);
}

TEST(owed_data, that_never_come_end_their_command_after_a_time) {
  fixture s(1, with_timeout);
  s.log_in({"ImmediateData=No", "InitialR2T=No", "FirstBurstLength=65536"});
  const std::uint64_t began = s.world.now_ns();
  const owed o = owe(s, 8);
  auto announced = s.write_10(0, 16);
  announced.final = false;
  s.initiator.send(announced);
  expect_timed_out(s, o.write);
  expect_timed_out(s, announced);
  EXPECT_GE(s.world.now_ns() - began, 2 * ns_per_s);
  EXPECT_LE(s.world.now_ns() - began, 3 * ns_per_s);
  pay(s, o.asks[0]);  // late
  expect_alive(s);
  EXPECT_TRUE(untouched_so_far(s));
}

TEST(owed_data, that_come_slowly_are_waited_for) {
  fixture s(1, with_timeout);
  s.log_in({"ImmediateData=No"});
  const owed o = owe(s, 256);
  const octets wire = s.initiator.frame(encode(answer_to(o.asks[0]), 131072), block_of(1, 131072));
  for (std::size_t at = 0; at < wire.size(); at += 20000) {
    s.initiator.send(octets(wire.begin() + static_cast<std::ptrdiff_t>(at),
                            wire.begin() + static_cast<std::ptrdiff_t>(std::min(at + 20000, wire.size()))));
    s.world.run_for(1500 * ns_per_ms);
  }
  EXPECT_EQ(s.finish(o.write.initiator_task_tag).status, 0);
  EXPECT_EQ(s.gateway.medium[131071], 1);
}

TEST(owed_data, that_nobody_wants_hold_up_a_status_for_that_time_only) {
  fixture s(1, with_timeout);
  s.log_in({"ImmediateData=No"});
  const owed o = owe(s, 8);
  end_all(s, scsi::outcomes::task_aborted());
  EXPECT_EQ(s.finish(o.write.initiator_task_tag).status, 0x40);
  pay(s, o.asks[0]);
  expect_alive(s);
}

}  // namespace
}  // namespace sluice::iscsi::fixture
