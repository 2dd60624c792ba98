#include <gtest/gtest.h>

#include "fabrics/iscsi/test_fixture.hpp"

/// Task management by a connection, and what a discovery session takes.
namespace sluice::iscsi::fixture {
namespace {

task_management_request manage(fixture& s, management_function function, std::uint32_t referenced = reserved_tag) {
  task_management_request r;
  r.immediate = true;
  r.function = static_cast<std::uint8_t>(function);
  r.initiator_task_tag = 0x1000 + s.next_tag++;
  r.referenced_task_tag = referenced;
  r.cmd_sn = s.cmd_sn;
  return r;
}

std::optional<management_response> response_to(fixture& s, const task_management_request& r) {
  s.initiator.send(r);
  const auto p = s.initiator.next();
  if (!p || p->code() != opcode::task_management_response) return std::nullopt;
  EXPECT_EQ(p->as<task_management_response>().sn.stat_sn, s.exp_stat_sn++);
  return p->as<task_management_response>().response;
}

TEST(management, aborts_tasks_that_run_and_tasks_that_wait_for_data) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  const auto stuck = s.bare(0xfe);
  s.initiator.send(stuck);
  EXPECT_EQ(response_to(s, manage(s, management_function::abort_task, stuck.initiator_task_tag)),
            management_response::function_complete);
  const auto hungry = s.write_10(0, 8);
  s.initiator.send(hungry);
  const auto ask = s.initiator.next();
  ASSERT_TRUE(ask && ask->code() == opcode::r2t);
  EXPECT_EQ(response_to(s, manage(s, management_function::abort_task, hungry.initiator_task_tag)),
            management_response::function_complete);
  data_out late;  // crosses the abort on the wire: nobody waits for it
  late.final = true;
  late.initiator_task_tag = hungry.initiator_task_tag;
  late.target_transfer_tag = ask->as<ready_to_transfer>().target_transfer_tag;
  s.initiator.send(late, noise(4096));
  EXPECT_EQ(response_to(s, manage(s, management_function::abort_task, hungry.initiator_task_tag)),
            management_response::task_does_not_exist);
  EXPECT_EQ(medium_at(s, 0, 4096), untouched(0, 4096));
}

/// An abort of a command that has not come counts as its receipt, when RefCmdSN says that it may still come [RFC7143
/// 11.6.1].
TEST(management, an_abort_stands_for_a_command_that_is_on_its_way) {
  fixture s;
  s.log_in();
  const auto lost = s.bare(0x00);
  const auto behind = s.bare(0x00);
  s.initiator.send(behind);
  auto abort = manage(s, management_function::abort_task, lost.initiator_task_tag);
  abort.ref_cmd_sn = lost.cmd_sn - 1;  // was taken long ago
  EXPECT_EQ(response_to(s, abort), management_response::task_does_not_exist);
  abort.ref_cmd_sn = abort.cmd_sn + 1;  // comes after the abort
  EXPECT_EQ(response_to(s, abort), management_response::task_does_not_exist);
  auto query = manage(s, management_function::query_task, lost.initiator_task_tag);
  query.ref_cmd_sn = lost.cmd_sn;
  EXPECT_EQ(response_to(s, query), management_response::function_not_supported);
  abort.ref_cmd_sn = lost.cmd_sn;
  EXPECT_EQ(response_to(s, abort), management_response::function_complete);
  EXPECT_EQ(s.finish(behind.initiator_task_tag).status, 0);
  s.initiator.send(lost);  // too late: outside the window
  const auto after = s.bare(0x00);
  s.initiator.send(after);
  EXPECT_EQ(s.finish(after.initiator_task_tag).status, 0);
  EXPECT_EQ(s.gateway.managed.size(), 0u);
}

/// [RFC7143 4.3]
TEST(management, a_discovery_session_takes_send_targets_and_its_logout_only) {
  fixture s;
  s.log_in({}, true);
  const auto is_rejected = [&s] {
    const auto p = s.initiator.next();
    return p && p->code() == opcode::reject && p->as<reject>().reason == reject_reason::protocol_error;
  };
  text_request other;
  other.immediate = true;
  other.initiator_task_tag = 3;
  const std::string key = "MaxRecvDataSegmentLength=4096";
  octets text(key.begin(), key.end());
  text.push_back(0);
  s.initiator.send(other, text);
  EXPECT_TRUE(is_rejected());
  s.initiator.send(manage(s, management_function::logical_unit_reset));
  EXPECT_TRUE(is_rejected());
  nop_out ping;
  ping.immediate = true;
  ping.initiator_task_tag = 9;
  s.initiator.send(ping);
  EXPECT_TRUE(is_rejected());
  logout_request leave;
  leave.immediate = true;
  leave.reason = 1;  // the connection only
  leave.cid = 5;
  s.initiator.send(leave);
  EXPECT_TRUE(is_rejected());
  leave.reason = 0;
  s.initiator.send(leave);
  const auto bye = s.initiator.next();
  EXPECT_TRUE(bye && bye->code() == opcode::logout_response);
}

TEST(management, resets_units_and_says_what_it_does_not_do) {
  fixture s(1, [](connection_options& o) {
    o.shared = make_shared_state({}, [](served_port& p) { p.allow_cold_reset = true; });
  });
  s.log_in({"ImmediateData=No"});
  for (int i = 0; i < 3; ++i) s.initiator.send(s.write_10(0, 8));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(s.initiator.next());
  EXPECT_EQ(response_to(s, manage(s, management_function::logical_unit_reset)), management_response::function_complete);
  EXPECT_EQ(response_to(s, manage(s, management_function::task_reassign)),
            management_response::reassignment_not_supported);
  EXPECT_EQ(response_to(s, manage(s, management_function::query_task_set)),
            management_response::function_not_supported);
  EXPECT_EQ(response_to(s, manage(s, management_function::target_cold_reset)), management_response::function_complete);
  EXPECT_TRUE(s.initiator.closed());
  EXPECT_EQ(s.gateway.managed.size(), 2u);
}

ready_to_transfer owe(fixture& s) {
  s.initiator.send(s.write_10(0, 8));
  const auto ask = s.initiator.next();
  EXPECT_TRUE(ask && ask->code() == opcode::r2t);
  return ask ? ask->as<ready_to_transfer>() : ready_to_transfer{};
}

void pay_noise(fixture& s, const ready_to_transfer& ask) {
  data_out all;
  all.final = true;
  all.initiator_task_tag = ask.initiator_task_tag;
  all.target_transfer_tag = ask.target_transfer_tag;
  s.initiator.send(all, noise(ask.desired_length));
}

bool is_answered(fixture& s, std::uint64_t within_ns) {
  const auto p = s.initiator.next(within_ns);
  if (!p) return false;
  EXPECT_EQ(p->code(), opcode::task_management_response);
  EXPECT_EQ(p->as<task_management_response>().response, management_response::function_complete);
  EXPECT_EQ(p->as<task_management_response>().sn.stat_sn, s.exp_stat_sn++);
  return true;
}

constexpr management_function that_end_many[] = {
    management_function::abort_task_set, management_function::clear_task_set, management_function::logical_unit_reset,
    management_function::target_warm_reset};

/// The target waits for the answers to the R2Ts that the initiator has [RFC7143 4.2.3.2 a], whatever was said of
/// TaskReporting: that is the default.
TEST(management, the_end_of_many_tasks_is_answered_when_their_r2ts_are) {
  for (const std::vector<std::string>& keys :
       {std::vector<std::string>{"ImmediateData=No"}, {"ImmediateData=No", "TaskReporting=RFC3720"}})
    for (const management_function function : that_end_many) {
      fixture s;
      s.log_in(keys);
      const auto one = owe(s), other = owe(s);
      s.initiator.send(manage(s, function));
      EXPECT_FALSE(is_answered(s, ns_per_s));
      pay_noise(s, other);
      EXPECT_FALSE(is_answered(s, ns_per_s)) << "one R2T has no answer yet";
      pay_noise(s, one);
      EXPECT_TRUE(is_answered(s, 10 * ns_per_ms));
      EXPECT_EQ(medium_at(s, 0, 4096), untouched(0, 4096));
      const auto after = s.bare(0x00);
      s.initiator.send(after);
      EXPECT_EQ(s.finish(after.initiator_task_tag).status, 0);
    }
}

TEST(management, data_that_come_while_their_task_ends_are_no_debt) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  const auto ask = owe(s);
  data_out all;
  all.final = true;
  all.initiator_task_tag = ask.initiator_task_tag;
  all.target_transfer_tag = ask.target_transfer_tag;
  const auto data = noise(ask.desired_length);
  const auto half = data.begin() + static_cast<std::ptrdiff_t>(data.size() / 2);
  const bhs reset = encode(manage(s, management_function::logical_unit_reset));
  const bhs header = encode(all, ask.desired_length);
  octets begun(reset.begin(), reset.end());
  begun.insert(begun.end(), header.begin(), header.end());
  begun.insert(begun.end(), data.begin(), half);
  s.initiator.send(begun);
  s.world.run_for(100 * ns_per_ms);
  s.initiator.send(octets(half, data.end()));
  EXPECT_TRUE(is_answered(s, 10 * ns_per_ms));
}

TEST(management, an_initiator_that_sends_no_data_after_its_reset_is_answered_all_the_same) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  const auto ask = owe(s);
  const std::uint64_t began = s.world.now_ns();
  s.initiator.send(manage(s, management_function::logical_unit_reset));
  EXPECT_TRUE(is_answered(s, 60 * ns_per_s));
  EXPECT_GE(s.world.now_ns() - began, connection::owed_patience_ns);
  EXPECT_LE(s.world.now_ns() - began, connection::owed_patience_ns + ns_per_s);
  pay_noise(s, ask);  // late
  const auto after = s.bare(0x00);
  s.initiator.send(after);
  EXPECT_EQ(s.finish(after.initiator_task_tag).status, 0);
}

TEST(management, an_initiator_may_leave_while_its_reset_waits_for_its_data) {
  fixture s;
  s.log_in({"ImmediateData=No"});
  owe(s);
  s.initiator.send(manage(s, management_function::logical_unit_reset));
  EXPECT_FALSE(is_answered(s, ns_per_s));
  s.initiator.hang_up();
  EXPECT_TRUE(s.gone());
}

/// What was sent before a function belongs to its tasks, though it comes later [RFC7143 4.2.3.2 b].
TEST(management, the_end_of_a_task_set_waits_for_commands_that_were_sent_before_it) {
  fixture s;
  s.log_in();
  const auto late = s.bare(0xfe), behind = s.bare(0xfe);
  s.initiator.send(behind);
  s.initiator.send(manage(s, management_function::abort_task_set));
  EXPECT_FALSE(is_answered(s, ns_per_s));
  EXPECT_TRUE(s.gateway.managed.empty());
  s.initiator.send(late);
  EXPECT_TRUE(is_answered(s, ns_per_s));
  const auto after = s.bare(0x00);
  s.initiator.send(after);
  EXPECT_EQ(s.finish(after.initiator_task_tag).status, 0);
}

/// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS claims what the nexus' capabilities say [SPC-4 6.33]: no function of
/// RFC 7144 below its protocol level.
TEST(management, a_session_has_the_functions_that_it_claims) {
  for (const bool is_new : {false, true}) {
    fixture s;
    s.log_in(is_new ? std::vector<std::string>{"iSCSIProtocolLevel=2"} : std::vector<std::string>{});
    EXPECT_EQ(s.gateway.nexus->identity()->caps.can_query, is_new);
    for (const management_function function :
         {management_function::query_task_set, management_function::i_t_nexus_reset}) {
      const auto said = response_to(s, manage(s, function));
      EXPECT_EQ(said == management_response::function_not_supported, !is_new);
    }
  }
}

TEST(management, refuses_a_cold_reset_that_would_end_the_sessions_of_others) {
  fixture s;
  s.log_in();
  EXPECT_EQ(response_to(s, manage(s, management_function::target_cold_reset)),
            management_response::authorization_failed);
  EXPECT_TRUE(s.gateway.managed.empty());
  const auto c = s.bare(0x00);
  s.initiator.send(c);
  EXPECT_EQ(s.finish(c.initiator_task_tag).status, 0);
}

}  // namespace
}  // namespace sluice::iscsi::fixture
