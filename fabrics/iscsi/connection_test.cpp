#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fabrics/iscsi/test_fixture.hpp"
#include "gateway/scsi/asc.hpp"

namespace sluice::iscsi::fixture {
namespace {

/// Answers every R2T from `data` in Data-Out PDUs of `piece` octets, until the status.
fixture::completion feed(fixture& s, std::uint32_t tag, const octets& data, std::uint32_t piece) {
  for (;;) {
    const std::optional<pdu> p = s.initiator.next();
    if (!p || p->code() != opcode::r2t) {
      EXPECT_TRUE(p && p->code() == opcode::scsi_response);
      fixture::completion c;
      if (!p) return c;
      const auto r = p->as<scsi_response>();
      EXPECT_EQ(r.sn.stat_sn, s.exp_stat_sn++);
      c.status = r.status;
      c.residual = r.residual_count;
      c.underflow = r.underflow;
      if (p->data.size() > 2) c.sense.assign(p->data.begin() + 2, p->data.end());
      return c;
    }
    const auto ask = p->as<ready_to_transfer>();
    EXPECT_EQ(ask.initiator_task_tag, tag);
    data_out out;
    out.initiator_task_tag = tag;
    out.target_transfer_tag = ask.target_transfer_tag;
    for (std::uint32_t sent = 0; sent < ask.desired_length; sent += piece) {
      const std::uint32_t now = std::min(piece, ask.desired_length - sent);
      out.buffer_offset = ask.buffer_offset + sent;
      out.final = sent + now == ask.desired_length;
      const auto from = data.begin() + out.buffer_offset;
      s.initiator.send(out, octets(from, from + now));
      ++out.data_sn;
    }
  }
}

TEST(connection, carries_a_command_without_data) {
  fixture s;
  s.log_in();
  const auto c = s.bare(0x00);
  s.initiator.send(c);
  const auto done = s.finish(c.initiator_task_tag);
  EXPECT_EQ(done.status, 0);
  EXPECT_FALSE(done.underflow || done.overflow);
}

TEST(connection, reads_with_the_status_on_the_last_data_in) {
  fixture s;
  s.log_in({"MaxRecvDataSegmentLength=8192"});
  const auto c = s.read_10(7, 100);
  s.initiator.send(c);
  const auto done = s.finish(c.initiator_task_tag);
  EXPECT_EQ(done.status, 0);
  EXPECT_TRUE(done.collapsed);
  EXPECT_EQ(done.data_pdus, 7u);
  EXPECT_EQ(done.data, untouched(7 * 512, 100 * 512));
}

TEST(connection, reads_far_more_than_the_peer_takes_at_once) {
  fixture s;
  s.gateway.put_bytes = 300000;
  s.log_in({"MaxRecvDataSegmentLength=65536", "MaxBurstLength=131072"});
  const auto c = s.read_10(0, 8192);
  s.initiator.send(c);
  const auto done = s.finish(c.initiator_task_tag);
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.data, untouched(0, 8192 * 512));
}

TEST(connection, never_tears_what_it_borrowed) {
  fixture s;
  s.log_in({"MaxRecvDataSegmentLength=262144"});
  const auto c = s.read_10(0, 2048);
  s.initiator.send(c);
  std::optional<pdu> first = s.initiator.next();
  ASSERT_TRUE(first);
  std::fill(s.gateway.medium.begin(), s.gateway.medium.end(), 0xee);  // a later write, while the rest waits to be sent
  octets all = first->data;
  while (all.size() < 2048 * 512) {
    first = s.initiator.next();
    ASSERT_TRUE(first);
    all.insert(all.end(), first->data.begin(), first->data.end());
  }
  EXPECT_EQ(all, untouched(0, 2048 * 512));
}

TEST(connection, says_how_the_residual_came_out) {
  fixture s;
  s.log_in();
  auto more = s.read_10(0, 4);
  more.expected_data_transfer_length = 4096;
  s.initiator.send(more);
  auto done = s.finish(more.initiator_task_tag);
  EXPECT_TRUE(done.underflow);
  EXPECT_EQ(done.residual, 2048u);
  auto less = s.read_10(0, 4);
  less.expected_data_transfer_length = 512;
  s.initiator.send(less);
  done = s.finish(less.initiator_task_tag);
  EXPECT_TRUE(done.overflow);
  EXPECT_EQ(done.residual, 1536u);
  EXPECT_EQ(done.data.size(), 512u);
}

TEST(connection, sends_sense) {
  fixture s;
  s.log_in();
  const auto c = s.bare(0x03);
  s.initiator.send(c);
  const auto done = s.finish(c.initiator_task_tag);
  EXPECT_EQ(done.status, 2);
  ASSERT_GE(done.sense.size(), 14u);
  EXPECT_EQ(done.sense[2] & 0xf, 3);
  EXPECT_EQ(done.sense[12], 0x0c);
}

struct write_case {
  const char* what;
  std::vector<std::string> keys;
  std::uint32_t blocks, immediate, piece;
};
struct writes : ::testing::TestWithParam<write_case> {};

TEST_P(writes, land_where_they_belong) {
  const write_case& w = GetParam();
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    fixture s(seed);
    s.gateway.get_bytes = 700000;
    s.log_in(w.keys);
    const octets data = noise(w.blocks * 512, static_cast<std::uint8_t>(seed));
    const auto c = s.write_10(3, static_cast<std::uint16_t>(w.blocks));
    s.initiator.send(c, octets(data.begin(), data.begin() + w.immediate));
    EXPECT_EQ(feed(s, c.initiator_task_tag, data, w.piece).status, 0) << w.what;
    EXPECT_EQ(medium_at(s, 3 * 512, data.size()), data) << w.what;
  }
}

INSTANTIATE_TEST_SUITE_P(
    shapes, writes,
    ::testing::Values(write_case{"immediate only", {}, 8, 4096, 8192},
                      write_case{"large immediate", {}, 96, 49152, 8192},
                      write_case{"immediate and R2T", {"MaxBurstLength=65536"}, 512, 8192, 16384},
                      write_case{"R2T only", {"ImmediateData=No", "InitialR2T=Yes"}, 1000, 0, 8192},
                      write_case{
                          "several R2Ts at a time", {"MaxOutstandingR2T=4", "MaxBurstLength=16384"}, 777, 0, 5000},
                      write_case{"digests", {"HeaderDigest=CRC32C", "DataDigest=CRC32C"}, 300, 8192, 10001},
                      write_case{"four MiB", {"MaxBurstLength=1048576", "MaxOutstandingR2T=2"}, 8192, 65536, 262144}));

TEST(connection, takes_unsolicited_data_behind_the_command) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    fixture s(seed);
    s.log_in({"InitialR2T=No", "FirstBurstLength=65536"});
    const octets data = noise(200000 / 512 * 512);
    auto c = s.write_10(0, static_cast<std::uint16_t>(data.size() / 512));
    c.final = false;
    s.initiator.send(c, octets(data.begin(), data.begin() + 8192));
    data_out out;
    out.initiator_task_tag = c.initiator_task_tag;
    for (std::uint32_t at = 8192; at < 65536; at += 8192) {
      out.buffer_offset = at;
      out.final = at + 8192 == 65536;
      s.initiator.send(out, octets(data.begin() + at, data.begin() + at + 8192));
      ++out.data_sn;
    }
    EXPECT_EQ(feed(s, c.initiator_task_tag, data, 8192).status, 0);
    EXPECT_EQ(medium_at(s, 0, data.size()), data);
  }
}

TEST(connection, keeps_digests_on_reads) {
  fixture s;
  s.gateway.borrow = false;
  s.log_in({"HeaderDigest=CRC32C", "DataDigest=CRC32C", "MaxRecvDataSegmentLength=5000"});
  const auto c = s.read_10(1, 77);
  s.initiator.send(c);
  EXPECT_EQ(s.finish(c.initiator_task_tag).data, untouched(512, 77 * 512));
}

TEST(connection, answers_many_commands_and_opens_the_window_again) {
  fixture s;
  s.log_in();
  for (int round = 0; round < 20; ++round) {
    std::vector<scsi_command> sent;
    for (int i = 0; i < 32; ++i) {
      sent.push_back(s.read_10(static_cast<std::uint32_t>(i), 1));
      s.initiator.send(sent.back());
    }
    std::uint32_t max_cmd_sn = 0;
    for (const auto& c : sent) max_cmd_sn = s.finish(c.initiator_task_tag).max_cmd_sn;
    EXPECT_EQ(max_cmd_sn, s.cmd_sn + 31);
  }
}

TEST(connection, runs_commands_in_the_order_of_cmd_sn) {
  fixture s;
  s.log_in();
  auto first = s.read_10(0, 1), second = s.read_10(1, 1), third = s.bare(0x00);
  nop_out ping;
  ping.initiator_task_tag = 0x77;
  ping.cmd_sn = s.cmd_sn++;
  s.initiator.send(third);
  s.initiator.send(ping, noise(10));
  s.initiator.send(second);
  s.initiator.send(second);  // a duplicate within the window is ignored
  s.initiator.send(first);
  const std::optional<pdu> pong = s.initiator.next();  // answered by the connection itself, at its turn
  ASSERT_TRUE(pong && pong->code() == opcode::nop_in);
  EXPECT_EQ(pong->as<nop_in>().sn.stat_sn, s.exp_stat_sn++);
  EXPECT_EQ(s.finish(first.initiator_task_tag).status, 0);
  EXPECT_EQ(s.finish(second.initiator_task_tag).status, 0);
  EXPECT_EQ(s.finish(third.initiator_task_tag).status, 0);
  ASSERT_EQ(s.gateway.cdbs.size(), 3u);
  EXPECT_EQ(s.gateway.cdbs[0][0], 0x28);
  EXPECT_EQ(s.gateway.cdbs[0][5], 0);
  EXPECT_EQ(s.gateway.cdbs[1][5], 1);
  EXPECT_EQ(s.gateway.cdbs[2][0], 0x00);
}

TEST(connection, ignores_commands_outside_the_window) {
  fixture s;
  s.log_in();
  auto high = s.bare(0x00), low = s.bare(0x00);
  s.cmd_sn -= 2;
  high.cmd_sn = s.cmd_sn + 32;
  low.cmd_sn = s.cmd_sn - 1;
  s.initiator.send(high);
  s.initiator.send(low);
  const auto good = s.bare(0x00);
  s.initiator.send(good);
  EXPECT_EQ(s.finish(good.initiator_task_tag).status, 0);
  EXPECT_EQ(s.gateway.cdbs.size(), 1u);
}

TEST(connection, takes_a_32_byte_cdb) {
  fixture s;
  s.log_in();
  octets ahs{0, 17, 1, 0};
  for (std::uint8_t i = 0; i < 16; ++i) ahs.push_back(static_cast<std::uint8_t>(0xa0 + i));
  const auto c = s.bare(0x7f);
  s.initiator.send(c, {}, ahs);
  EXPECT_EQ(s.finish(c.initiator_task_tag).status, 0);
  ASSERT_EQ(s.gateway.cdbs[0].size(), 32u);
  EXPECT_EQ(s.gateway.cdbs[0][31], 0xaf);
}

TEST(connection, takes_the_longest_cdb) {
  fixture s;
  s.log_in();
  octets ahs{0, 245, 1, 0};
  for (int i = 0; i < 244; ++i) ahs.push_back(static_cast<std::uint8_t>(i));
  const auto c = s.bare(0x7f);
  s.initiator.send(c, {}, ahs);
  EXPECT_EQ(s.finish(c.initiator_task_tag).status, 0);
  ASSERT_EQ(s.gateway.cdbs[0].size(), 260u);
  EXPECT_EQ(s.gateway.cdbs[0][259], 243);
}

TEST(connection, answers_pings_of_any_size) {
  fixture s;
  s.log_in();
  for (std::size_t size : {0u, 3u, 4096u, 8192u}) {
    nop_out ping;
    ping.immediate = true;
    ping.initiator_task_tag = 9;
    ping.cmd_sn = s.cmd_sn;
    s.initiator.send(ping, noise(size));
    const auto pong = s.initiator.next();
    ASSERT_TRUE(pong && pong->code() == opcode::nop_in);
    EXPECT_EQ(pong->data, noise(size));
    EXPECT_EQ(pong->as<nop_in>().sn.stat_sn, s.exp_stat_sn++);
  }
}

TEST(connection, asks_a_silent_initiator_and_gives_up_on_a_dead_one) {
  fixture s;
  s.log_in();
  auto probe = s.initiator.next(120 * ns_per_s);
  ASSERT_TRUE(probe && probe->code() == opcode::nop_in);
  EXPECT_NE(probe->as<nop_in>().target_transfer_tag, reserved_tag);
  EXPECT_EQ(probe->as<nop_in>().sn.stat_sn, s.exp_stat_sn);
  nop_out alive;
  alive.immediate = true;
  alive.target_transfer_tag = probe->as<nop_in>().target_transfer_tag;
  s.initiator.send(alive);
  probe = s.initiator.next(120 * ns_per_s);
  ASSERT_TRUE(probe && probe->code() == opcode::nop_in);
  EXPECT_TRUE(s.initiator.closed());
}

TEST(connection, lists_targets_over_several_text_responses) {
  fixture s;
  s.log_in({}, true);
  text_request ask;
  ask.immediate = true;
  ask.initiator_task_tag = 3;
  const std::string all = "SendTargets=All";
  octets text(all.begin(), all.end());
  text.push_back(0);
  std::string list;
  for (int rounds = 0; rounds < 10; ++rounds) {
    s.initiator.send(ask, text);
    const auto answer = s.initiator.next();
    ASSERT_TRUE(answer && answer->code() == opcode::text_response);
    list.append(answer->data.begin(), answer->data.end());
    const auto r = answer->as<text_response>();
    if (r.final) break;
    EXPECT_TRUE(r.continues);
    ask.target_transfer_tag = r.target_transfer_tag;
    text.clear();
  }
  EXPECT_NE(list.find("TargetName=iqn.2026-11.io.sluice:main"), std::string::npos);
  EXPECT_NE(list.find("TargetAddress=10.0.0.1:3260,1"), std::string::npos);
  EXPECT_NE(list.find("TargetAddress=[2001:db8::1]:3261,1"), std::string::npos);
  EXPECT_NE(list.find("-199"), std::string::npos);
  s.initiator.send(s.bare(0x00));
  const auto no = s.initiator.next();
  ASSERT_TRUE(no);
  EXPECT_EQ(no->code(), opcode::reject);
}

TEST(connection, a_list_of_targets_is_made_once_until_access_changes) {
  fixture s;
  s.log_in({}, true);
  const auto ask = [&s, text = octets{'S', 'e', 'n', 'd', 'T', 'a', 'r', 'g', 'e', 't', 's', '=', 'A', 'l', 'l', 0}] {
    text_request request;
    request.immediate = true;
    request.initiator_task_tag = 3;
    s.initiator.send(request, text);
    const auto answer = s.initiator.next();
    return answer ? answer->data : octets();
  };
  const octets first = ask();
  const unsigned checks = s.gateway.checks;
  EXPECT_GE(checks, 201u);
  EXPECT_EQ(ask(), first);
  EXPECT_EQ(s.gateway.checks, checks);
  s.gateway.access.allowed = false;
  ++s.gateway.epoch;
  EXPECT_EQ(ask(), octets());
}

TEST(connection, logs_out) {
  fixture s;
  s.log_in();
  s.initiator.send(s.bare(0xfe));  // still running: aborted silently
  logout_request bye;
  bye.immediate = true;
  bye.reason = 1;
  bye.cid = 9;
  s.initiator.send(bye);
  auto answer = s.initiator.next();
  ASSERT_TRUE(answer && answer->code() == opcode::logout_response);
  EXPECT_EQ(answer->as<logout_response>().response, logout_result::cid_not_found);
  bye.cid = 5;
  s.initiator.send(bye);
  answer = s.initiator.next();
  ASSERT_TRUE(answer && answer->code() == opcode::logout_response);
  EXPECT_EQ(answer->as<logout_response>().response, logout_result::closed);
  EXPECT_TRUE(s.initiator.closed());
  EXPECT_TRUE(s.gone());
  EXPECT_EQ(s.gateway.closed.at(0), port::loss_reason::logout);
}

TEST(connection, tells_a_login_that_waits_too_long_for_another_session_to_try_again) {
  fixture s(1, [](connection_options& o) { o.bounds.login_timeout_ns = 2 * ns_per_s; });
  s.gateway.holds_logins = true;
  const auto answer =
      s.say_login({std::string("InitiatorName=") + initiator_name, std::string("TargetName=") + target_name}, 1, 3);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->as<login_response>().status, login_status::service_unavailable);
  s.target_loop->post([&s] { s.gateway.let_in(); });
  EXPECT_TRUE(s.initiator.closed());
}

TEST(connection, ends_when_the_core_evicts_it) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  s.initiator.send(s.write_10(0, 8));
  ASSERT_TRUE(s.initiator.next());
  s.target_loop->post([&s] { s.gateway.events.evict(port::loss_reason::kicked); });
  const auto farewell = s.initiator.next();
  ASSERT_TRUE(farewell && farewell->code() == opcode::async_message);
  EXPECT_EQ(farewell->as<async_message>().event, async_event::session_dropped);
  EXPECT_TRUE(s.initiator.closed());
  EXPECT_TRUE(s.gone());
  EXPECT_EQ(s.gateway.closed.at(0), port::loss_reason::kicked);
}

TEST(connection, tells_of_changed_luns_without_being_asked) {
  fixture s;
  s.log_in();
  s.target_loop->post([&s] {
    s.gateway.events.report({port::lun_address(5), scsi::asc::mode_parameters_changed});  // nothing to look up
    s.gateway.events.report({0, scsi::asc::reported_luns_changed});
    s.gateway.events.report({port::lun_address(5), scsi::asc::capacity_changed});
  });
  std::uint32_t stat_sn = 0;
  for (const auto& [lun, code] : {std::pair<std::uint64_t, int>(0, 0x3f0e), {port::lun_address(5), 0x2a09}}) {
    const auto told = s.initiator.next();
    ASSERT_TRUE(told && told->code() == opcode::async_message);
    const auto event = told->as<async_message>();
    EXPECT_EQ(event.event, async_event::scsi_event);
    EXPECT_EQ(event.lun, lun);
    ASSERT_EQ(told->data.size(), 20U);
    EXPECT_EQ(told->data[0] << 8 | told->data[1], 18);
    EXPECT_EQ(told->data[2 + 2] & 0xf, 6);
    EXPECT_EQ(told->data[2 + 12] << 8 | told->data[2 + 13], code);
    EXPECT_TRUE(stat_sn == 0 || event.sn.stat_sn == stat_sn + 1) << "each takes a StatSN";
    stat_sn = event.sn.stat_sn;
  }
}

TEST(connection, refuses_the_login_when_the_nexus_does_not_open) {
  fixture s;
  s.gateway.open_fails = errc::no_space;
  const auto answer =
      s.say_login({std::string("InitiatorName=") + initiator_name, std::string("TargetName=") + target_name}, 1, 3);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->as<login_response>().status, login_status::out_of_resources);
  EXPECT_EQ(answer->as<login_response>().sn.stat_sn, 0u);
  EXPECT_TRUE(s.initiator.closed());
}

TEST(connection, gives_up_on_a_login_that_never_comes) {
  fixture s;
  EXPECT_TRUE(s.initiator.closed());
}

TEST(connection, survives_a_hang_up_at_any_time) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    fixture s(seed);
    s.log_in({"InitialR2T=No"});
    s.initiator.send(s.read_10(0, 2048));
    s.initiator.send(s.bare(0xfe));
    auto c = s.write_10(0, 2048);
    c.final = seed % 2;
    s.initiator.send(c, noise(seed * 100));
    s.world.run_for(seed * 40 * ns_per_us);
    s.initiator.hang_up();
    EXPECT_TRUE(s.gone());
  }
}

std::vector<memory::slice> every_large_buffer(fixture& s) {
  std::vector<memory::slice> all;
  for (;;) {
    memory::slice part = s.target_loop->buffers().take(memory::pool::largest);
    if (part.empty()) return all;
    all.push_back(std::move(part));
  }
}

/// Two commands of 1 MiB have the session's floor; the third finds nothing.
struct three_writes {
  explicit three_writes(fixture& on) : s(on), hog(every_large_buffer(on)) {
    for (scsi_command& c : commands) s.initiator.send(c = s.write_10(0, 2048));
  }
  fixture& s;
  std::vector<memory::slice> hog;
  std::array<scsi_command, 3> commands;
};

TEST(connection, answers_task_set_full_when_no_buffer_comes_free) {
  fixture s(1, {}, 8 * mib);
  s.log_in({"ImmediateData=No", "MaxBurstLength=1048576"});
  three_writes w(s);
  for (int i = 0; i < 2; ++i) {
    const auto ask = s.initiator.next();
    ASSERT_TRUE(ask && ask->code() == opcode::r2t);
    EXPECT_EQ(ask->as<ready_to_transfer>().initiator_task_tag, w.commands[i].initiator_task_tag);
  }
  EXPECT_FALSE(s.initiator.next(connection::hungry_limit_ns - 100 * ns_per_ms));
  EXPECT_EQ(s.finish(w.commands[2].initiator_task_tag).status, 0x28);
}

TEST(connection, waits_for_buffers) {
  fixture s(1, {}, 8 * mib);
  s.log_in({"ImmediateData=No", "MaxBurstLength=1048576"});
  three_writes w(s);
  s.world.run_for(100 * ns_per_ms);
  w.hog.clear();
  const auto first = s.initiator.next(), second = s.initiator.next();
  ASSERT_TRUE(first && second);
  const octets data = noise(2048 * 512);
  EXPECT_EQ(feed(s, w.commands[2].initiator_task_tag, data, 65536).status, 0);
  EXPECT_EQ(medium_at(s, 0, data.size()), data);
}

}  // namespace
}  // namespace sluice::iscsi::fixture
