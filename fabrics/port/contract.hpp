#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fabrics/port/contract_kit.hpp"

/// The contract suite: what every fabric owes initiators and the SCSI core, run over each of them through a whole
/// gateway. A test includes this header in one source file and instantiates the suite:
///
///   INSTANTIATE_TEST_SUITE_P(loopback, fabric_contract, testing::Values(subject{"loopback", make}), name_of);
namespace sluice::port::contract {

class fabric_contract : public testing::TestWithParam<subject> {
 protected:
  void SetUp() override { site_ = GetParam().make(); }

  std::unique_ptr<initiator> logged_in(unsigned number) {
    auto made = site_->make_initiator(number);
    made->log_in();
    EXPECT_TRUE(site_->until([&] { return made->now() == initiator::state::up; })) << "no login";
    return made;
  }
  /// Logged in, and told all there was to tell.
  std::unique_ptr<initiator> ready(unsigned number) {
    auto made = logged_in(number);
    attentions(*made);
    return made;
  }
  bool is_down(const initiator& who) {
    return site_->until([&] { return who.now() == initiator::state::down; });
  }
  bool is_done(const request& r) {
    return site_->until([&] { return r.done; });
  }
  const response& run(initiator& by, request& r) {
    by.submit(r);
    EXPECT_FALSE(r.done) << "answered within submit()";
    EXPECT_TRUE(is_done(r)) << "no answer to operation " << int{r.cdb.at(0)};
    EXPECT_EQ(r.completions, 1);
    return r.how;
  }
  response run(initiator& by, request&& r) { return run(by, r); }
  response write(initiator& by, std::uint32_t block, const octets& data) { return run(by, write_10(block, data)); }
  octets read(initiator& by, std::uint32_t block, std::uint16_t blocks) {
    response how = run(by, read_10(block, blocks));
    EXPECT_TRUE(how.good()) << how.describe();
    return how.data;
  }
  /// Takes the unit attentions of a LUN.
  std::vector<scsi::additional_sense> attentions(initiator& by, std::uint16_t lun = 0) {
    std::vector<scsi::additional_sense> all;
    for (int i = 0; i < 16; ++i) {
      const response how = run(by, test_unit_ready(lun));
      if (!how.checked(scsi::sense_key::unit_attention)) {
        EXPECT_TRUE(how.good()) << how.describe();
        return all;
      }
      all.push_back(how.sense().code);
    }
    ADD_FAILURE() << "unit attentions without end";
    return all;
  }
  task_response manage(initiator& by, task_function function, std::uint16_t lun, const request* referenced = nullptr) {
    std::optional<task_response> answer;
    by.manage(function, lun, referenced, [&](task_response r) { answer = r; });
    EXPECT_TRUE(site_->until([&] { return answer.has_value(); })) << to_string(function) << " is not answered";
    return answer.value_or(task_response::rejected);
  }
  /// A write that the initiator does not send its data for, once the target has asked.
  void owe(initiator& by, request& w) {
    w.withholds = true;
    by.submit(w);
    EXPECT_TRUE(site_->until([&] { return by.owes(w); })) << "the target asks for no data";
  }
  const octets before_ = pattern(2 * mib, 1), after_ = pattern(2 * mib, 2);

  std::unique_ptr<site> site_;
};

// -- login ---------------------------------------------------------------------------------------------------------

TEST_P(fabric_contract, an_initiator_logs_in_works_and_logs_out) {
  const auto a = logged_in(0);
  EXPECT_NE(attentions(*a), std::vector<scsi::additional_sense>{}) << "a new nexus hears of the power on";
  const response inquiry = run(*a, in_cdb({0x12, 0, 0, 0, 36, 0}, 36));
  EXPECT_TRUE(inquiry.good());
  ASSERT_EQ(inquiry.data.size(), 36u);
  EXPECT_EQ(inquiry.data[0] & 0x1f, 0) << "a disk";
  a->log_out();
  EXPECT_TRUE(is_down(*a));
  a->log_in();
  EXPECT_TRUE(site_->until([&] { return a->now() == initiator::state::up; }));
}

TEST_P(fabric_contract, whoever_is_not_admitted_is_refused) {
  const auto stranger = site_->make_initiator(site::stranger);
  stranger->log_in();
  EXPECT_TRUE(is_down(*stranger));
  const auto a = ready(0);
  EXPECT_TRUE(run(*a, test_unit_ready()).good());
}

TEST_P(fabric_contract, a_second_login_of_one_initiator_port_takes_the_place_of_the_first) {
  const auto first = ready(0);
  request owed = write_10(0, after_);
  owe(*first, owed);
  const auto second = logged_in(0);
  EXPECT_TRUE(is_down(*first));
  EXPECT_FALSE(owed.how.answered);
  attentions(*second);
  EXPECT_TRUE(run(*second, test_unit_ready()).good());
}

TEST_P(fabric_contract, a_kicked_initiator_goes_and_may_come_back) {
  const auto a = ready(0);
  request owed = write_10(0, after_);
  owe(*a, owed);
  site_->kick_all();
  EXPECT_TRUE(is_down(*a));
  EXPECT_FALSE(owed.how.answered);
  a->log_in();
  EXPECT_TRUE(site_->until([&] { return a->now() == initiator::state::up; }));
  attentions(*a);
  EXPECT_EQ(read(*a, 0, 1), octets(512, 0));
}

TEST_P(fabric_contract, an_initiator_that_is_admitted_no_more_is_evicted) {
  const auto a = ready(0), b = ready(1);
  site_->admit_no_more(1);
  EXPECT_TRUE(is_down(*b));
  attentions(*a);
  EXPECT_TRUE(run(*a, test_unit_ready()).good());
  b->log_in();
  EXPECT_TRUE(is_down(*b));
}

TEST_P(fabric_contract, a_port_stops_while_tasks_run) {
  const auto a = ready(0);
  request owed = write_10(0, after_);
  owe(*a, owed);
  std::vector<request> reads(8, read_10(0, 64));
  for (request& r : reads) a->submit(r);
  site_->stop_port();
  EXPECT_TRUE(is_down(*a));
  EXPECT_FALSE(owed.how.answered);
  a->log_in();
  EXPECT_TRUE(is_down(*a)) << "nobody is there";
}

// -- data ----------------------------------------------------------------------------------------------------------

TEST_P(fabric_contract, reads_what_was_written_whatever_its_length) {
  const auto a = ready(0);
  std::uint32_t block = 1;
  for (const std::size_t blocks : {1u, 3u, 16u, 127u, 513u, 2048u, 4096u}) {
    const octets data = pattern(blocks * 512, static_cast<unsigned>(blocks));
    const response how = write(*a, block, data);
    EXPECT_TRUE(how.good()) << how.describe() << " after a write of " << blocks;
    EXPECT_EQ(how.residual.value_or(0), 0);
    EXPECT_TRUE(read(*a, block, static_cast<std::uint16_t>(blocks)) == data) << blocks;
    block += 7;
  }
}

TEST_P(fabric_contract, many_commands_at_once_are_answered_once_each) {
  const auto a = ready(0), b = ready(1);
  std::vector<request> all;
  for (unsigned i = 0; i < 64; ++i) all.push_back(write_10(i * 8, pattern(4096, i)));
  for (unsigned i = 0; i < 64; ++i) (i % 2 ? a : b)->submit(all[i]);
  for (request& r : all) {
    ASSERT_TRUE(is_done(r));
    EXPECT_TRUE(r.how.good()) << r.how.describe();
  }
  for (unsigned i = 0; i < 64; ++i) EXPECT_TRUE(read(*a, i * 8, 8) == pattern(4096, i));
  for (const request& r : all) EXPECT_EQ(r.completions, 1);
}

TEST_P(fabric_contract, says_how_much_was_left_over_or_missing) {
  const auto a = ready(0);
  ASSERT_TRUE(write(*a, 0, pattern(4096, 3)).good());
  request read_less = read_10(0, 2), read_more = read_10(0, 8);
  read_less.room = 4096;
  read_more.room = 1024;
  response how = run(*a, read_less);
  EXPECT_TRUE(how.good());
  EXPECT_EQ(how.data.size(), 1024u);
  EXPECT_EQ(how.residual.value_or(1024 - 4096), 1024 - 4096) << "more room than data";
  how = run(*a, read_more);
  EXPECT_TRUE(how.good());
  EXPECT_TRUE(how.data == bytes_of(pattern(4096, 3), 0, 1024));
  EXPECT_EQ(how.residual.value_or(4096 - 1024), 4096 - 1024) << "less room than data";
  request write_less = write_10(16, pattern(512, 4));
  write_less.data_out.resize(4096, 9);  // the CDB says one block
  how = run(*a, write_less);
  EXPECT_TRUE(how.good());
  EXPECT_EQ(how.residual.value_or(512 - 4096), 512 - 4096) << "more data than the command takes";
  EXPECT_EQ(read(*a, 17, 1), octets(512, 0)) << "nothing beyond it was written";
  request write_more = write_10(32, pattern(2048, 5));
  write_more.data_out.resize(1024);  // the CDB says four blocks
  how = run(*a, write_more);
  EXPECT_EQ(how.residual.value_or(2048 - 1024), 2048 - 1024) << "less data than the command takes";
  EXPECT_EQ(read(*a, 34, 1), octets(512, 0));
}

TEST_P(fabric_contract, a_transfer_of_no_length_is_no_error) {
  const auto a = ready(0);
  const response nothing = run(*a, read_10(0, 0));
  EXPECT_TRUE(nothing.good());
  EXPECT_TRUE(nothing.data.empty());
  EXPECT_EQ(nothing.residual.value_or(0), 0);
  request roomy = read_10(0, 0);
  roomy.room = 512;
  const response how = run(*a, roomy);
  EXPECT_TRUE(how.good());
  EXPECT_EQ(how.residual.value_or(-512), -512);
  EXPECT_TRUE(run(*a, write_10(0, {})).good());
}

TEST_P(fabric_contract, sense_comes_with_the_status) {
  const auto a = ready(0);
  const response unknown = run(*a, plain_cdb({0xbf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_TRUE(unknown.checked(scsi::sense_key::illegal_request)) << unknown.describe();
  EXPECT_EQ(unknown.sense().code, 0x2000);
  const response beyond = run(*a, read_10(0x7fffffff, 1));
  EXPECT_TRUE(beyond.checked(scsi::sense_key::illegal_request));
  EXPECT_EQ(beyond.sense().code, 0x2100);
  EXPECT_TRUE(beyond.data.empty());
  const response nowhere = run(*a, test_unit_ready(9));
  EXPECT_TRUE(nowhere.checked(scsi::sense_key::illegal_request));
  EXPECT_EQ(nowhere.sense().code, 0x2500);
}

// -- tasks that end otherwise --------------------------------------------------------------------------------------

TEST_P(fabric_contract, a_task_is_aborted_in_the_middle_of_its_data) {
  const auto a = ready(0);
  ASSERT_TRUE(write(*a, 0, before_).good());
  request owed = write_10(0, after_);
  owe(*a, owed);
  EXPECT_EQ(manage(*a, task_function::abort_task, 0, &owed), task_response::function_complete);
  // What was asked for before comes late, and is nobody's.
  a->resume(owed);
  site_->run_for(ns_per_s);
  EXPECT_FALSE(owed.how.answered);
  EXPECT_TRUE(read(*a, 0, 4096) == before_);
  EXPECT_TRUE(write(*a, 0, after_).good());
  EXPECT_TRUE(read(*a, 0, 4096) == after_);
}

TEST_P(fabric_contract, a_reset_does_not_wait_for_the_data_that_another_initiator_owes) {
  const auto debtor = ready(0), other = ready(1);
  ASSERT_TRUE(write(*other, 0, before_).good());
  request owed = write_10(0, after_);
  owe(*debtor, owed);
  EXPECT_EQ(manage(*other, task_function::logical_unit_reset, 0), task_response::function_complete);
  attentions(*other);
  EXPECT_TRUE(read(*other, 0, 4096) == before_);
  debtor->resume(owed);
  site_->run_for(ns_per_s);
  EXPECT_FALSE(owed.how.answered && owed.how.good());
  const auto told = attentions(*debtor);
  EXPECT_EQ(std::count(told.begin(), told.end(), scsi::asc::bus_device_reset), 1);
  EXPECT_TRUE(read(*debtor, 0, 4096) == before_);
}

TEST_P(fabric_contract, an_abort_of_nothing_says_so) {
  const auto a = ready(0);
  request done = test_unit_ready();
  EXPECT_TRUE(run(*a, done).good());
  EXPECT_EQ(manage(*a, task_function::abort_task, 0, &done), task_response::task_does_not_exist);
  EXPECT_EQ(manage(*a, task_function::logical_unit_reset, 9), task_response::lun_does_not_exist);
}

TEST_P(fabric_contract, a_task_that_the_transport_loses_is_gone) {
  const auto a = ready(0);
  if (!a->can_lose()) GTEST_SKIP() << "this transport loses no single task";
  ASSERT_TRUE(write(*a, 0, before_).good());
  request owed = write_10(0, after_);
  owe(*a, owed);
  a->lose(owed);
  ASSERT_TRUE(is_done(owed));
  EXPECT_FALSE(owed.how.answered);
  EXPECT_TRUE(read(*a, 0, 4096) == before_);
  // At any moment of its life.
  for (unsigned steps = 0; steps < 60; ++steps) {
    request r = read_10(0, 4096), w = write_10(4096, bytes_of(after_, 0, 1 * mib));
    a->submit(r);
    a->submit(w);
    site_->steps(steps);
    a->lose(r);
    a->lose(w);
    ASSERT_TRUE(is_done(r) && is_done(w)) << "lost after " << steps << " steps";
    EXPECT_EQ(r.completions + w.completions, 2);
  }
  EXPECT_TRUE(read(*a, 0, 4096) == before_);
}

TEST_P(fabric_contract, data_that_the_initiator_does_not_take_hold_up_nobody_else) {
  const auto slow = ready(0), other = ready(1);
  if (!slow->can_withhold_reads()) GTEST_SKIP() << "this initiator takes all that comes";
  request r = read_10(0, 4096);
  r.withholds = true;
  slow->submit(r);
  site_->run_for(10 * ns_per_ms);
  EXPECT_EQ(manage(*other, task_function::logical_unit_reset, 0), task_response::function_complete);
  attentions(*other);
  EXPECT_TRUE(write(*other, 0, before_).good());
  EXPECT_TRUE(is_done(r)) << "taken back";
}

TEST_P(fabric_contract, what_waits_behind_an_ordered_task_on_a_stalled_medium_ends_at_once) {
  const auto a = ready(0);
  site_->add_lun();
  attentions(*a);
  attentions(*a, 1);
  site_->stall_medium(true);
  request first = write_10(0, bytes_of(after_, 0, 4096)), behind = read_10(0, 8), lost = read_10(8, 8);
  first.attribute = task_attribute::ordered;
  for (request* each : {&first, &behind, &lost}) {
    each->lun = 1;
    a->submit(*each);
  }
  site_->run_for(ns_per_s);
  EXPECT_FALSE(first.done || behind.done || lost.done);
  EXPECT_EQ(manage(*a, task_function::abort_task, 1, &behind), task_response::function_complete);
  EXPECT_FALSE(behind.how.answered);
  if (a->can_lose()) {
    a->lose(lost);
    EXPECT_TRUE(is_done(lost));
  }
  EXPECT_FALSE(first.done) << "neither waits for the medium";
  site_->stall_medium(false);
  EXPECT_TRUE(is_done(first));
  EXPECT_TRUE(first.how.good()) << first.how.describe();
  EXPECT_TRUE(a->can_lose() || is_done(lost));
}

TEST_P(fabric_contract, a_nexus_lost_in_the_middle_of_a_write_is_told_once) {
  const auto a = ready(0);
  ASSERT_TRUE(write(*a, 0, before_).good());
  request owed = write_10(0, after_);
  owe(*a, owed);
  a->vanish();
  EXPECT_TRUE(is_down(*a));
  EXPECT_FALSE(owed.how.answered);
  a->log_in();
  ASSERT_TRUE(site_->until([&] { return a->now() == initiator::state::up; }));
  const auto told = attentions(*a);
  EXPECT_EQ(told.size(), 1u);
  EXPECT_EQ(attentions(*a), std::vector<scsi::additional_sense>{}) << "once";
  EXPECT_TRUE(read(*a, 0, 4096) == before_);
}

// -- what hangs on the nexus ---------------------------------------------------------------------------------------

TEST_P(fabric_contract, two_nexuses_are_two_to_a_reservation) {
  const auto a = ready(0), b = ready(1);
  const octets registers = reservation_parameters(0, 0xaa), mine = reservation_parameters(0xaa, 0);
  EXPECT_TRUE(run(*a, reserve_out(0, 0, registers)).good());
  EXPECT_TRUE(run(*a, reserve_out(1, 1, mine)).good()) << "RESERVE, Write Exclusive";
  const response conflict = write(*b, 0, pattern(512, 1));
  EXPECT_TRUE(conflict.answered);
  EXPECT_EQ(conflict.status, scsi::status::reservation_conflict);
  EXPECT_EQ(read(*b, 0, 1), octets(512, 0));
  EXPECT_TRUE(write(*a, 0, pattern(512, 2)).good());
  // The reservation is the initiator port's: it outlives the nexus.
  a->vanish();
  EXPECT_TRUE(is_down(*a));
  EXPECT_EQ(write(*b, 0, pattern(512, 1)).status, scsi::status::reservation_conflict);
  a->log_in();
  ASSERT_TRUE(site_->until([&] { return a->now() == initiator::state::up; }));
  attentions(*a);
  EXPECT_TRUE(run(*a, reserve_out(2, 1, mine)).good()) << "RELEASE";
  EXPECT_TRUE(write(*b, 0, pattern(512, 1)).good());
}

TEST_P(fabric_contract, a_changed_list_of_luns_is_told_to_every_nexus) {
  const auto a = ready(0), b = ready(1);
  const auto reported = [&](initiator& by) {
    return run(by, in_cdb({0xa0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}, 512)).data.size();
  };
  EXPECT_EQ(reported(*a), 8u + 8);
  site_->add_lun();
  for (const auto* each : {&a, &b}) {
    const auto told = attentions(**each);
    EXPECT_EQ(std::count(told.begin(), told.end(), scsi::asc::reported_luns_changed), 1);
    EXPECT_EQ(reported(**each), 8u + 16);
    attentions(**each, 1);
    EXPECT_TRUE(run(**each, test_unit_ready(1)).good());
  }
}

TEST_P(fabric_contract, whoever_has_asked_for_the_luns_is_not_told_that_they_have_changed) {
  const auto a = ready(0);
  site_->add_lun();
  EXPECT_EQ(run(*a, in_cdb({0xa0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}, 512)).data.size(), 8u + 16);
  EXPECT_EQ(attentions(*a), std::vector<scsi::additional_sense>{});
}

TEST_P(fabric_contract, a_changed_list_of_luns_is_told_once_without_being_asked) {
  const auto a = ready(0), b = ready(1);
  site_->add_lun();
  for (const auto* each : {&a, &b}) {
    EXPECT_TRUE(site_->until([&] { return !(*each)->heard().empty(); }));
    site_->run_for(ns_per_s);
    const auto heard = (*each)->heard();
    ASSERT_EQ(heard.size(), 1u);
    EXPECT_EQ(heard[0].code, scsi::asc::reported_luns_changed);
    EXPECT_EQ(heard[0].lun, 0u);
  }
}

inline std::string name_of(const testing::TestParamInfo<subject>& of) {
  return of.param.name;
}

}  // namespace sluice::port::contract
