#include <gtest/gtest.h>

#include <map>

#include "fabrics/iscsi/test_fixture.hpp"
#include "fabrics/iscsi/test_turns.hpp"

/// What an initiator holds of the gateway's memory and time, whatever it sends.
namespace sluice::iscsi::fixture {
namespace {

octets letters(std::size_t size) {
  octets text(size, 'x');
  const std::string key = "X-com.example.long=";
  std::copy(key.begin(), key.end(), text.begin());
  text.back() = 0;
  return text;
}

memory::pool& buffers(fixture& s) {
  return s.target_loop->buffers();
}

std::uint64_t of_strangers(fixture& s) {
  return buffers(s).accounts().strangers().used();
}

login_request half_open() {
  login_request r;
  r.continues = true;
  r.current_stage = 1;
  r.isid = 0x800000000001;
  return r;
}

TEST(memory, a_silent_connection_holds_nothing_and_one_in_the_midst_of_a_pdu_one_page) {
  fixture s;
  s.world.run_for(ns_per_ms);
  EXPECT_EQ(of_strangers(s), 0u);
  EXPECT_EQ(buffers(s).bytes_in_use(), 0u);
  const octets whole = s.initiator.frame(encode(half_open(), 100), octets(100, 'x'));
  s.initiator.send(octets(whole.begin(), whole.begin() + 20));
  s.world.run_for(ns_per_ms);
  EXPECT_EQ(of_strangers(s), 4096u);
  EXPECT_EQ(buffers(s).bytes_in_use(), 4096u);
}

TEST(memory, a_half_open_login_holds_little_and_the_sum_is_bounded) {
  fixture s(1, {}, 64 * mib);
  const std::uint64_t pot = 4 * mib;
  for (int i = 0; i < 7; ++i) {
    s.initiator.send(half_open(), letters(8192));
    ASSERT_TRUE(s.initiator.next());
  }
  EXPECT_LE(of_strangers(s), 16 * kib + 2 * 7 * 8192);
  EXPECT_EQ(buffers(s).accounts().strangers_limit(), pot);
  // Others have taken what there is for text: this one is told so, and gives up what it had.
  memory::charge others(buffers(s).accounts(), buffers(s).accounts().strangers());
  ASSERT_TRUE(others.set(pot / 2));
  s.initiator.send(half_open(), letters(8192));
  const auto answer = s.initiator.next();
  ASSERT_TRUE(answer && answer->code() == opcode::login_response);
  EXPECT_EQ(answer->as<login_response>().status, login_status::out_of_resources);
  EXPECT_TRUE(s.initiator.closed());
  ASSERT_TRUE(s.gone());
  EXPECT_EQ(of_strangers(s), pot / 2);
}

TEST(memory, a_login_in_one_request_needs_nothing_of_what_others_took_for_text) {
  fixture s(1, {}, 64 * mib);
  memory::charge others(buffers(s).accounts(), buffers(s).accounts().strangers());
  ASSERT_TRUE(others.set(2 * mib));
  s.log_in();
  const auto c = s.bare(0x00);
  s.initiator.send(c);
  EXPECT_EQ(s.finish(c.initiator_task_tag).status, 0);
}

TEST(memory, discovery_takes_no_long_segments) {
  fixture s;
  s.log_in({}, true);
  text_request text;
  text.immediate = true;
  const bhs raw = encode(text, 256 * 1024);
  s.initiator.send(octets(raw.begin(), raw.end()));
  EXPECT_TRUE(s.initiator.closed());
}

TEST(memory, discovery_declares_what_it_takes) {
  fixture s;
  const auto answer = s.say_login({std::string("InitiatorName=") + initiator_name, "SessionType=Discovery"}, 1, 3);
  ASSERT_TRUE(answer);
  const std::string text(answer->data.begin(), answer->data.end());
  EXPECT_NE(text.find(std::string("MaxRecvDataSegmentLength=8192") + '\0'), std::string::npos) << text;
  const auto sn = answer->as<login_response>().sn;
  EXPECT_EQ(sn.max_cmd_sn, sn.exp_cmd_sn) << "one request after the other";
}

TEST(memory, discovery_parks_nothing_and_answers_no_pings) {
  fixture s;
  s.log_in({}, true);
  nop_out ping;
  ping.initiator_task_tag = 7;
  for (std::uint32_t ahead = 100; ahead > 0; --ahead) {
    ping.cmd_sn = s.cmd_sn + ahead;
    s.initiator.send(ping, octets(8192, 1));
  }
  s.world.run_for(10 * ns_per_ms);
  EXPECT_LE(of_strangers(s), 16 * kib);
  ping.cmd_sn = s.cmd_sn++;
  s.initiator.send(ping, octets(10, 1));
  const auto answer = s.initiator.next();
  ASSERT_TRUE(answer && answer->code() == opcode::reject);
  EXPECT_EQ(answer->as<reject>().reason, reject_reason::protocol_error);
}

/// Takes what the target asks for, and gives nothing.
std::vector<ready_to_transfer> all_asked(fixture& s) {
  std::vector<ready_to_transfer> asked;
  while (const auto p = s.initiator.next(20 * ns_per_ms)) {
    EXPECT_EQ(p->code(), opcode::r2t);
    asked.push_back(p->as<ready_to_transfer>());
  }
  return asked;
}

TEST(memory, writes_whose_data_are_owed_take_none) {
  fixture s(
      1, [](connection_options& o) { o.bounds.max_tasks_per_nexus = 128; }, 256 * mib);
  s.log_in({"ImmediateData=No", "InitialR2T=Yes", "MaxBurstLength=1048576"});
  constexpr unsigned count = 120;
  for (unsigned i = 0; i < count; ++i) s.initiator.send(s.write_10(i % 16 * 2048, 2048));
  auto asked = all_asked(s);
  EXPECT_EQ(asked.size(), connection::solicited_limit / mib);
  EXPECT_LT(buffers(s).bytes_in_use(), mib) << "not before an octet has come";
  // With the data the others get their turn, all of them.
  unsigned good = 0, asked_in_all = 0;
  std::map<std::uint32_t, unsigned> of_tag;
  while (good < count) {
    for (const ready_to_transfer& r : asked) {
      EXPECT_EQ(r.desired_length, mib);
      EXPECT_EQ(++of_tag[r.initiator_task_tag], 1u);
      ++asked_in_all;
      data_out out;
      out.initiator_task_tag = r.initiator_task_tag;
      out.target_transfer_tag = r.target_transfer_tag;
      for (std::uint32_t at = 0; at < r.desired_length; at += 262144) {
        out.buffer_offset = at;
        out.final = at + 262144 == r.desired_length;
        s.initiator.send(out, octets(262144, 7));
        ++out.data_sn;
      }
    }
    asked.clear();
    const auto p = s.initiator.next();
    ASSERT_TRUE(p);
    if (p->code() == opcode::r2t) {
      asked.push_back(p->as<ready_to_transfer>());
      continue;
    }
    ASSERT_EQ(p->code(), opcode::scsi_response);
    ASSERT_EQ(p->as<scsi_response>().status, 0);
    ++good;
    EXPECT_LT(buffers(s).bytes_in_use(), connection::solicited_limit + 4 * mib);
  }
  EXPECT_EQ(asked_in_all, count);
}

/// Two sessions that want all, and hold what they get.
struct greedy_others {
  explicit greedy_others(fixture& s) {
    memory::ledger& ledger = buffers(s).accounts();
    for (int i = 0; i < 2; ++i) shares.push_back(memory::share::open(ledger));
    for (int round = 0; round < 1000; ++round)
      for (memory::share& each : shares) {
        memory::slice part = buffers(s).take(mib, *each);
        if (!part.empty()) held.push_back(std::move(part));
      }
  }
  std::vector<memory::slice> held;
  std::vector<memory::share> shares;
};

TEST(memory, others_that_take_all_they_get_leave_a_session_its_commands) {
  fixture s(1, {}, 64 * mib);
  s.log_in({"InitialR2T=No", "MaxBurstLength=1048576"});
  greedy_others greedy(s);
  EXPECT_GT(greedy.held.size(), 30u) << "they have most of it";
  std::vector<memory::slice> own;  // and the gateway itself the rest
  for (memory::slice part = buffers(s).take(4096); !part.empty(); part = buffers(s).take(4096))
    own.push_back(std::move(part));
  for (int round = 0; round < 20; ++round) {
    std::vector<scsi_command> sent;
    for (int i = 0; i < 8; ++i) {
      sent.push_back(s.write_10(static_cast<std::uint32_t>(i) * 128, 128));
      s.initiator.send(sent.back(), octets(65536, 5));
    }
    for (const scsi_command& c : sent) EXPECT_EQ(s.finish(c.initiator_task_tag).status, 0) << "no TASK SET FULL";
  }
}

TEST(memory, immediate_data_that_find_no_memory_do_not_stand_in_the_way_for_ever) {
  fixture s(1, {}, 8 * mib);
  s.log_in({"ImmediateData=Yes", "InitialR2T=Yes", "MaxBurstLength=1048576", "FirstBurstLength=262144"});
  std::vector<memory::slice> own;
  for (memory::slice part = buffers(s).take(4096); !part.empty(); part = buffers(s).take(4096))
    own.push_back(std::move(part));
  const auto first = s.write_10(0, 2048),
             second = s.write_10(2048, 2048);  // their data are owed, and the floor is theirs
  s.initiator.send(first);
  s.initiator.send(second);
  const auto ask = s.initiator.next(), ask_too = s.initiator.next();
  ASSERT_TRUE(ask && ask_too && ask->code() == opcode::r2t && ask_too->code() == opcode::r2t);
  const auto late = s.write_10(4096, 512);
  s.initiator.send(late, octets(262144, 3));
  // Behind it in the stream: what brings memory back.
  data_out out;
  out.initiator_task_tag = first.initiator_task_tag;
  out.target_transfer_tag = ask->as<ready_to_transfer>().target_transfer_tag;
  for (std::uint32_t at = 0; at < mib; at += 262144) {
    out.buffer_offset = at;
    out.final = at + 262144 == mib;
    s.initiator.send(out, octets(262144, 7));
    ++out.data_sn;
  }
  EXPECT_EQ(s.finish(late.initiator_task_tag).status, 0x28);
  EXPECT_EQ(s.finish(first.initiator_task_tag).status, 0);
}

TEST(memory, without_room_for_another_session_a_login_is_told_so) {
  fixture s(1, {}, 16 * mib);
  std::vector<memory::share> shares;
  for (;;) {
    memory::share next = memory::share::open(buffers(s).accounts());
    if (!next) break;
    shares.push_back(std::move(next));
  }
  const auto answer =
      s.say_login({std::string("InitiatorName=") + initiator_name, std::string("TargetName=") + target_name}, 1, 3);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->as<login_response>().status, login_status::out_of_resources);
  EXPECT_TRUE(s.initiator.closed());
}

// -- time --------------------------------------------------------------------------------------------------------

TEST(work, a_session_has_only_so_much_of_a_turn) {
  fixture s;
  s.log_in();
  nop_out ping;
  ping.immediate = true;
  ping.initiator_task_tag = 1;
  octets many;
  for (int i = 0; i < 3000; ++i) {
    const octets one = s.initiator.frame(encode(ping, 0), {});
    many.insert(many.end(), one.begin(), one.end());
  }
  s.initiator.send(many);
  s.world.run_for(0);
  turn_counter counter(*s.target_loop);
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(s.initiator.next());
  EXPECT_GE(counter.turns, 3000 / connection::work_per_turn);
  counter.over = true;
  s.world.run_for(ns_per_ms);
}

}  // namespace
}  // namespace sluice::iscsi::fixture
