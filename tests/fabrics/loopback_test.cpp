#include "tests/fabrics/test_loopback.hpp"

/// What loopback has and iSCSI has not.
namespace sluice::fabrics {
namespace {

using namespace port::contract;

struct hears final : loopback::session::handler {
  std::optional<bool> up;
  std::optional<port::loss_reason> down;
  void on_up(const result<void>& how) noexcept override { up = how.has_value(); }
  void on_down(port::loss_reason why) noexcept override { down = why; }
};

struct bare_command final : loopback::command {
  int completions = 0;
  void on_done() noexcept override { ++completions; }
};

class loopback_test : public testing::Test {
 protected:
  std::shared_ptr<loopback::session> log_in(simulated_site& at, hears& tell, const std::string& name) {
    auto made = loopback::exchange::of_this_process().log_in(loopback_port_name, 1, {name, ""}, 1, tell);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    EXPECT_TRUE(at.until([&] { return tell.up.has_value(); }));
    for (int i = 0; i < 4; ++i) {  // unit attentions
      bare_command ready;
      ready.cdb = octets(6, 0);
      run(at, **made, ready);
    }
    return *made;
  }
  void run(simulated_site& at, loopback::session& by, bare_command& c) {
    by.submit(0, c);
    EXPECT_TRUE(at.until([&] { return c.completions == 1; }));
  }
  void end(simulated_site& at, loopback::session& of, const hears& tell) {
    of.end(port::loss_reason::logout);
    EXPECT_TRUE(at.until([&] { return tell.down.has_value(); }));
  }
};

TEST_F(loopback_test, a_port_without_names_has_one_nameless_initiator) {
  loopback_site at(false);
  hears first, second, third;
  const auto a = log_in(at, first, "");
  ASSERT_EQ(first.up, true);
  EXPECT_FALSE(
      loopback::exchange::of_this_process().log_in(loopback_port_name, 1, {loopback_initiator_name(0), ""}, 0, third))
      << "a name at a port that has none";
  const auto b = log_in(at, second, "");
  EXPECT_EQ(first.down, port::loss_reason::reinstated);
  EXPECT_EQ(second.up, true);
  end(at, *b, second);
}

TEST_F(loopback_test, cdbs_of_any_length_are_answered) {
  loopback_site at;
  hears tell;
  const auto a = log_in(at, tell, loopback_initiator_name(0));
  for (const std::size_t size : {1u, 6u, 12u, 16u, 32u, 33u, 260u, 70'000u}) {
    bare_command c;
    c.cdb = octets(size, 0);
    c.cdb[0] = size > 32 ? 0x7f : 0xbf;
    run(at, *a, c);
    EXPECT_TRUE(c.answered);
    EXPECT_EQ(c.status, scsi::status::check_condition) << size;
    EXPECT_EQ(scsi::decode_sense(c.sense).key, scsi::sense_key::illegal_request) << size;
  }
  bare_command nothing;
  run(at, *a, nothing);
  EXPECT_EQ(nothing.status, scsi::status::check_condition);
  end(at, *a, tell);
}

TEST_F(loopback_test, a_length_that_is_not_told_is_the_cdbs) {
  loopback_site at;
  hears tell;
  const auto a = log_in(at, tell, loopback_initiator_name(0));
  bare_command w;
  w.length_known = false;
  w.data_out = pattern(3 * mib, 7);
  w.cdb = block_cdb(0x2a, 0, w.data_out.size() / 512);
  run(at, *a, w);
  EXPECT_EQ(w.status, scsi::status::good);
  EXPECT_EQ(w.residual, 0);
  bare_command r;
  r.length_known = false;
  r.room = 4 * mib;
  r.cdb = block_cdb(0x28, 0, w.data_out.size() / 512);
  run(at, *a, r);
  EXPECT_TRUE(r.data_in == w.data_out);
  bare_command more;  // than there is
  more.length_known = false;
  more.data_out = pattern(512, 7);
  more.cdb = block_cdb(0x2a, 0, 2);
  run(at, *a, more);
  EXPECT_TRUE(more.answered);
  EXPECT_EQ(more.status, scsi::status::check_condition);
  end(at, *a, tell);
}

class channels_test : public loopback_test {
 protected:
  static bare_command with(octets cdb, std::uint64_t tag = 0) {
    bare_command made;
    made.cdb = std::move(cdb);
    made.tag = tag;
    return made;
  }
  scsi::additional_sense ready(loopback::session& by, unsigned channel) {
    bare_command c = with(octets(6, 0));
    by.submit(channel, c);
    EXPECT_TRUE(at.until([&] { return c.completions == 1; }));
    EXPECT_TRUE(c.answered);
    return c.status == scsi::status::good ? 0 : scsi::decode_sense(c.sense).code;
  }
  port::task_response manage(loopback::session& by, unsigned channel, port::task_function what, std::uint64_t tag = 0) {
    std::optional<port::task_response> answer;
    by.manage(channel, what, 0, tag, [&](port::task_response r) { answer = r; });
    EXPECT_TRUE(at.until([&] { return answer.has_value(); }));
    return answer.value_or(port::task_response::rejected);
  }
  /// A WRITE that owes its data, by each channel, with the channel's number as tag.
  void owe(loopback::session& by, std::vector<std::unique_ptr<bare_command>>& all) {
    for (unsigned channel = 0; channel < simulated_site::cores; ++channel) {
      auto& made = all.emplace_back(std::make_unique<bare_command>(with(block_cdb(0x2a, channel * 8, 8), channel)));
      made->data_out = pattern(4096, channel);
      made->withholds = true;
      by.submit(channel, *made);
      EXPECT_TRUE(at.until([&] { return made->asked; }));
    }
  }

  static bool all_done_once(const std::vector<std::unique_ptr<bare_command>>& all) {
    return std::all_of(all.begin(), all.end(), [](const auto& each) { return each->completions == 1; });
  }

  loopback_site at;
  hears tell;
};

TEST_F(channels_test, a_unit_attention_is_told_once_by_whichever_channel_asks_first) {
  const auto a = log_in(at, tell, loopback_initiator_name(0));
  for (unsigned channel = 0; channel < simulated_site::cores; ++channel)
    EXPECT_EQ(ready(*a, channel), 0u) << "power on was told by another channel";
  for (unsigned first = 0; first < simulated_site::cores; ++first) {
    EXPECT_EQ(manage(*a, (first + 1) % 3, port::task_function::i_t_nexus_reset),
              port::task_response::function_complete);
    EXPECT_EQ(ready(*a, first), scsi::asc::i_t_nexus_loss);
    for (unsigned channel = 0; channel < simulated_site::cores; ++channel) EXPECT_EQ(ready(*a, channel), 0u);
  }
  at.add_lun();
  at.run_for(ns_per_s);
  EXPECT_EQ(ready(*a, 2), scsi::asc::reported_luns_changed);
  for (unsigned channel = 0; channel < simulated_site::cores; ++channel) EXPECT_EQ(ready(*a, channel), 0u);
  end(at, *a, tell);
}

TEST_F(channels_test, task_management_covers_the_tasks_of_all_channels) {
  const auto a = log_in(at, tell, loopback_initiator_name(0));
  std::vector<std::unique_ptr<bare_command>> owed;
  owe(*a, owed);
  EXPECT_EQ(manage(*a, 0, port::task_function::query_task, 2), port::task_response::function_succeeded);
  EXPECT_EQ(manage(*a, 0, port::task_function::abort_task, 2), port::task_response::function_complete);
  EXPECT_TRUE(at.until([&] { return owed[2]->completions == 1; })) << "its channel may hear later than the asking one";
  EXPECT_FALSE(owed[2]->answered);
  EXPECT_EQ(manage(*a, 0, port::task_function::query_task, 2), port::task_response::function_complete);
  EXPECT_EQ(manage(*a, 0, port::task_function::abort_task, 2), port::task_response::task_does_not_exist);
  EXPECT_EQ(owed[0]->completions + owed[1]->completions, 0);
  EXPECT_EQ(manage(*a, 2, port::task_function::query_task_set), port::task_response::function_succeeded);
  EXPECT_EQ(manage(*a, 2, port::task_function::abort_task_set), port::task_response::function_complete);
  EXPECT_TRUE(at.until([&] { return all_done_once(owed); }));
  owe(*a, owed);
  EXPECT_EQ(manage(*a, 1, port::task_function::i_t_nexus_reset), port::task_response::function_complete);
  EXPECT_TRUE(at.until([&] { return all_done_once(owed); }));
  end(at, *a, tell);
}

TEST_F(channels_test, an_ordered_task_waits_for_those_of_the_other_channels) {
  const auto a = log_in(at, tell, loopback_initiator_name(0));
  std::vector<std::unique_ptr<bare_command>> owed;
  owe(*a, owed);
  bare_command last = with(octets(6, 0));
  last.attribute = port::task_attribute::ordered;
  a->submit(0, last);
  at.run_for(ns_per_s);
  EXPECT_EQ(last.completions, 0);
  for (unsigned channel = 0; channel < simulated_site::cores; ++channel) a->resume(channel, *owed[channel]);
  EXPECT_TRUE(at.until([&] { return last.completions == 1; }));
  EXPECT_EQ(last.status, scsi::status::good);
  for (const auto& each : owed) EXPECT_EQ(each->status, scsi::status::good);
  end(at, *a, tell);
}

TEST_F(channels_test, a_reservation_is_the_nexus_own_by_every_channel_and_ends_with_it) {
  const auto a = log_in(at, tell, loopback_initiator_name(0));
  bare_command reserve = with({0x16, 0, 0, 0, 0, 0});
  run(at, *a, reserve);
  EXPECT_EQ(reserve.status, scsi::status::good);
  for (unsigned channel = 0; channel < simulated_site::cores; ++channel) EXPECT_EQ(ready(*a, channel), 0u);
  hears other;
  const auto b = log_in(at, other, loopback_initiator_name(1));
  bare_command read = with(block_cdb(0x28, 0, 1));
  read.room = 512;
  run(at, *b, read);
  EXPECT_EQ(read.status, scsi::status::reservation_conflict);
  end(at, *a, tell);
  read.completions = 0;
  run(at, *b, read);
  EXPECT_EQ(read.status, scsi::status::good);
  end(at, *b, other);
}

TEST_F(channels_test, a_second_login_ends_every_channel_of_the_first) {
  const auto a = log_in(at, tell, loopback_initiator_name(0));
  std::vector<std::unique_ptr<bare_command>> owed;
  owe(*a, owed);
  hears other;
  const auto b = log_in(at, other, loopback_initiator_name(0));
  EXPECT_EQ(tell.down, port::loss_reason::reinstated);
  EXPECT_TRUE(all_done_once(owed)) << "before the session was down";
  for (const auto& each : owed) EXPECT_FALSE(each->answered);
  for (unsigned channel = 0; channel < simulated_site::cores; ++channel) EXPECT_EQ(ready(*b, channel), 0u);
  end(at, *b, other);
}

TEST_F(channels_test, a_session_that_ends_while_it_begins_comes_to_its_end) {
  for (unsigned steps = 0; steps < 60; ++steps) {
    hears one;
    const auto made =
        loopback::exchange::of_this_process().log_in(loopback_port_name, 1, {loopback_initiator_name(0), ""}, 1, one);
    ASSERT_TRUE(made);
    at.steps(steps);
    (*made)->log_out();
    EXPECT_TRUE(at.until([&] { return one.up == false || one.down.has_value(); })) << steps;
  }
}

TEST_F(loopback_test, names_that_cannot_be_are_refused) {
  loopback_site at;
  hears tell;
  loopback::exchange& all = loopback::exchange::of_this_process();
  for (const char* name : {"", "5000", "5000C50000000100", "zzzzzzzzzzzzzzzz"})
    EXPECT_EQ(all.log_in(loopback_port_name, 1, {name, ""}, 0, tell).error().code, errc::invalid_argument) << name;
  EXPECT_EQ(all.log_in("5000c5000000ffff", 1, {loopback_initiator_name(0), ""}, 0, tell).error().code, errc::not_found);
  EXPECT_EQ(all.log_in(loopback_port_name, 2, {loopback_initiator_name(0), ""}, 0, tell).error().code, errc::not_found);
  EXPECT_EQ(all.log_in(loopback_port_name, 1, {loopback_initiator_name(0), ""}, 9, tell).error().code,
            errc::invalid_argument);
  EXPECT_FALSE(tell.up.has_value());
}

TEST_F(loopback_test, what_is_asked_after_the_end_is_done_without_a_response) {
  loopback_site at;
  hears tell;
  const auto a = log_in(at, tell, loopback_initiator_name(0));
  end(at, *a, tell);
  bare_command late;
  late.cdb = octets(6, 0);
  a->submit(2, late);
  EXPECT_EQ(late.completions, 0);
  EXPECT_TRUE(at.until([&] { return late.completions == 1; }));
  EXPECT_FALSE(late.answered);
  std::optional<port::task_response> answer;
  a->manage(0, port::task_function::logical_unit_reset, 0, 0, [&](port::task_response r) { answer = r; });
  EXPECT_TRUE(at.until([&] { return answer.has_value(); }));
  EXPECT_EQ(answer, port::task_response::rejected);
  a->log_out();
}

}  // namespace
}  // namespace sluice::fabrics
