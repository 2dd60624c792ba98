#include "gateway/nexus/open_nexus.hpp"
#include "gateway/scsi/asc.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::nexus {
namespace {

using port::task_function;
using port::task_response;

/// A unit that answers a function when the test says so, and lets go of a nexus likewise.
class slow_unit final : public access::unit_endpoint {
 public:
  void post(port::task&, port::task_event) noexcept override { ++tasks; }
  void post(port::task_management& request) noexcept override { asked.push_back(&request); }
  void add_nexus(std::shared_ptr<const port::i_t_nexus>, access::attention_listener* who) override { listener = who; }
  void remove_nexus(std::uint64_t, port::loss_reason, std::function<void()> removed) override {
    let_go = std::move(removed);
  }
  void raise(std::uint64_t, scsi::additional_sense, std::uint64_t) override {}
  void withdraw(std::uint64_t, scsi::additional_sense code) override { withdrawn.push_back(code); }
  std::vector<scsi::additional_sense> withdrawn;
  void answer(task_response with) {
    port::task_management& request = *asked.back();
    asked.pop_back();
    request.response = with;
    request.reply_to->post(request);
  }
  int tasks = 0;
  std::vector<port::task_management*> asked;
  std::function<void()> let_go;
  access::attention_listener* listener = nullptr;
};

class open_nexus_test : public testing::Test, public port::task_endpoint {
 protected:
  void post(port::task&, port::task_event) noexcept override {}
  void post(port::task_management& answered) noexcept override { answers.push_back(answered.response); }

  static std::shared_ptr<const access::unit_handle> handle_of(slow_unit& unit) {
    return std::make_shared<access::unit_handle>(access::unit_handle{"u", {&unit}});
  }
  void manage(task_function what, std::uint16_t lun = 5) {
    request = {};
    request.nexus = identity;
    request.reply_to = this;
    request.function = what;
    request.lun = port::lun_address(lun);
    nexus.manage(request);
  }

  std::unique_ptr<reactor::loop> loop = *reactor::make_loop({});
  std::shared_ptr<port::i_t_nexus> identity = std::make_shared<port::i_t_nexus>();
  slow_unit before, after;
  open_nexus nexus{*loop, identity, {{5, handle_of(before)}}, {.gone = [] {}}};
  port::task_management request;
  std::vector<task_response> answers;
};

TEST_F(open_nexus_test, a_function_for_a_unit_that_gave_its_place_to_another_is_carried_out_by_both) {
  nexus.remap({{5, handle_of(after)}}, 1);
  manage(task_function::abort_task);
  ASSERT_EQ(before.asked.size(), 1U);
  ASSERT_EQ(after.asked.size(), 1U);
  after.answer(task_response::task_does_not_exist);
  EXPECT_TRUE(answers.empty()) << "the old unit may still answer the task";
  before.answer(task_response::function_complete);
  EXPECT_EQ(answers, std::vector{task_response::function_complete});
}

TEST_F(open_nexus_test, what_neither_unit_knows_does_not_exist_and_what_one_knows_does) {
  nexus.remap({{5, handle_of(after)}}, 1);
  manage(task_function::abort_task);
  after.answer(task_response::task_does_not_exist);
  before.answer(task_response::task_does_not_exist);
  manage(task_function::query_task);
  before.answer(task_response::function_succeeded);
  after.answer(task_response::function_complete);
  manage(task_function::i_t_nexus_reset);
  before.answer(task_response::function_complete);
  after.answer(task_response::function_complete);
  EXPECT_EQ(answers, (std::vector{task_response::task_does_not_exist, task_response::function_succeeded,
                                  task_response::function_complete}));
}

TEST_F(open_nexus_test, a_unit_that_has_let_go_and_one_of_another_lun_are_not_asked) {
  nexus.remap({{6, handle_of(after)}}, 1);
  manage(task_function::logical_unit_reset, 6);
  EXPECT_TRUE(before.asked.empty());
  after.answer(task_response::function_complete);
  manage(task_function::logical_unit_reset, 5);
  EXPECT_EQ(before.asked.size(), 1U) << "its tasks are not all answered yet";
  before.answer(task_response::function_complete);
  before.let_go();
  manage(task_function::logical_unit_reset, 5);
  EXPECT_TRUE(before.asked.empty());
  EXPECT_EQ(answers, (std::vector{task_response::function_complete, task_response::function_complete,
                                  task_response::lun_does_not_exist}));
}

/// Another core's channel, which answers when the test says so.
struct other_core final : other_channels {
  void manage_elsewhere(const port::task_management& request, answer answered) override {
    asked.push_back(request.function);
    answers.push_back(std::move(answered));
  }
  std::vector<task_function> asked;
  std::vector<answer> answers;
};

TEST_F(open_nexus_test, a_function_of_one_nexus_is_carried_out_by_all_of_its_channels) {
  other_core elsewhere;
  open_nexus one{*loop, identity, {{5, handle_of(after)}}, {.others = &elsewhere, .gone = [] {}}};
  const auto ask = [&](task_function what) {
    request = {};
    request.nexus = identity;
    request.reply_to = this;
    request.function = what;
    request.lun = port::lun_address(5);
    one.manage(request);
  };
  ask(task_function::abort_task);
  after.answer(task_response::task_does_not_exist);
  EXPECT_TRUE(answers.empty()) << "the task may be another channel's";
  elsewhere.answers.at(0)(task_response::function_complete);
  ask(task_function::logical_unit_reset);
  after.answer(task_response::function_complete);
  EXPECT_EQ(elsewhere.asked, std::vector{task_function::abort_task}) << "a unit's coordinator reaches all cores itself";
  EXPECT_EQ(answers, (std::vector{task_response::function_complete, task_response::function_complete}));
  std::vector<task_response> for_peer;
  one.manage_for_peer({.function = task_function::i_t_nexus_reset}, [&](task_response r) { for_peer.push_back(r); });
  ASSERT_EQ(after.asked.size(), 1U);
  EXPECT_EQ(after.asked[0]->function, task_function::abort_task_set) << "its unit attention comes from where it began";
  after.answer(task_response::function_complete);
  EXPECT_EQ(for_peer, std::vector{task_response::function_complete});
}

TEST_F(open_nexus_test, the_transport_resets_its_nexus_or_every_unit) {
  bool done = false;
  nexus.reset(port::transport_reset::nexus_loss, [&] { done = true; });
  ASSERT_EQ(before.asked.size(), 1U);
  EXPECT_EQ(before.asked[0]->function, task_function::i_t_nexus_reset);
  before.answer(task_response::function_complete);
  EXPECT_TRUE(done);
  nexus.reset(port::transport_reset::hard_reset, [] {});
  EXPECT_EQ(before.asked.at(0)->function, task_function::target_warm_reset);
  before.answer(task_response::function_complete);
}

TEST_F(open_nexus_test, tells_what_happened_at_its_units_in_a_step_of_its_own) {
  std::vector<port::unit_event> told;
  auto one = std::make_unique<open_nexus>(
      *loop, identity, access::lun_map{{5, handle_of(after)}},
      open_nexus::surroundings{.report = [&](const port::unit_event& what) { told.push_back(what); }, .gone = [] {}});
  ASSERT_TRUE(after.listener);
  after.listener->on_attention(after, scsi::asc::capacity_changed);
  one->remap({{5, handle_of(after)}, {6, handle_of(before)}}, 2);
  EXPECT_TRUE(told.empty());
  loop->post([&] { loop->stop(); });
  loop->run();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].lun, port::lun_address(5));
  EXPECT_EQ(told[0].code, scsi::asc::capacity_changed);
  EXPECT_EQ(told[1].code, scsi::asc::reported_luns_changed);
  after.listener->on_attention(after, scsi::asc::capacity_changed);
  one.reset();  // before its turn comes
  loop->post([&] { loop->stop(); });
  loop->run();
  EXPECT_EQ(told.size(), 2U);
}

TEST_F(open_nexus_test, counts_what_its_initiator_asks_for) {
  function_counts managed;
  open_nexus other{*loop, identity, {{5, handle_of(after)}}, {.gone = [] {}, .managed = &managed}};
  port::task t;
  t.fabric = this;
  t.cdb[0] = 0x28;
  t.lun = port::lun_address(5);
  t.expected_data_in = 4096;
  other.submit(t);
  t.expected_data_in = port::unknown_length;  // a transport that does not say
  t.expected_data_out = 512;
  other.submit(t);
  EXPECT_EQ(after.tasks, 2);
  EXPECT_EQ(other.commands(), 2u);
  EXPECT_EQ(other.octets(), 4608u);
  EXPECT_TRUE(managed.by_name().empty());
  for (const task_function what :
       {task_function::abort_task, task_function::logical_unit_reset, task_function::abort_task}) {
    request = {};
    request.nexus = identity;
    request.reply_to = this;
    request.function = what;
    request.lun = port::lun_address(5);
    other.manage(request);
    after.answer(task_response::function_complete);
  }
  EXPECT_EQ(managed.by_name(), (std::map<std::string, std::uint64_t>{{"abort_task", 2}, {"logical_unit_reset", 1}}));
  EXPECT_EQ(answers.size(), 3u);
}

TEST_F(open_nexus_test, a_unit_may_let_go_when_the_nexus_is_no_more) {
  {
    open_nexus other{*loop, identity, {{5, handle_of(after)}}, {.gone = [] {}}};
    other.remap({}, 1);
  }
  after.let_go();
}

}  // namespace
}  // namespace sluice::nexus
