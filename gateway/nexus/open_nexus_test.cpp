#include "gateway/nexus/open_nexus.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::nexus {
namespace {

using port::task_function;
using port::task_response;

/// A unit that answers a function when the test says so, and lets go of a nexus likewise.
class slow_unit final : public access::unit_door {
 public:
  void post(port::task&, port::task_event) noexcept override { ++tasks; }
  void post(port::task_management& request) noexcept override { asked.push_back(&request); }
  void attach(std::shared_ptr<const port::i_t_nexus>) override {}
  void detach(std::uint64_t, port::loss_reason, std::function<void()> detached) override {
    let_go = std::move(detached);
  }
  void raise(std::uint64_t, scsi::additional_sense) override {}
  void answer(task_response with) {
    port::task_management& request = *asked.back();
    asked.pop_back();
    request.response = with;
    request.reply_to->post(request);
  }
  int tasks = 0;
  std::vector<port::task_management*> asked;
  std::function<void()> let_go;
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
  open_nexus nexus{*loop, identity, {{5, handle_of(before)}}, [] {}};
  port::task_management request;
  std::vector<task_response> answers;
};

TEST_F(open_nexus_test, a_function_for_a_unit_that_gave_its_place_to_another_is_carried_out_by_both) {
  nexus.remap({{5, handle_of(after)}});
  manage(task_function::abort_task);
  ASSERT_EQ(before.asked.size(), 1U);
  ASSERT_EQ(after.asked.size(), 1U);
  after.answer(task_response::task_does_not_exist);
  EXPECT_TRUE(answers.empty()) << "the old unit may still answer the task";
  before.answer(task_response::function_complete);
  EXPECT_EQ(answers, std::vector{task_response::function_complete});
}

TEST_F(open_nexus_test, what_neither_unit_knows_does_not_exist_and_what_one_knows_does) {
  nexus.remap({{5, handle_of(after)}});
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
  nexus.remap({{6, handle_of(after)}});
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

TEST_F(open_nexus_test, a_unit_may_let_go_when_the_nexus_is_no_more) {
  {
    open_nexus other{*loop, identity, {{5, handle_of(after)}}, [] {}};
    other.remap({});
  }
  after.let_go();
}

}  // namespace
}  // namespace sluice::nexus
