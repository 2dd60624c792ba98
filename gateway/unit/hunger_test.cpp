#include "gateway/unit/test_fixture.hpp"

/// What initiators are sent is paid for by each of them, also where it is lent, and who cannot pay waits.
namespace sluice::unit {
namespace {

class hunger_test : public testing::Test {
 protected:
  explicit hunger_test(std::uint64_t limit_ns = 3600 * ns_per_s) : s_({.limits = {.hunger_limit_ns = limit_ns}}) {
    a_.payer = &*share_;
    EXPECT_TRUE(s_.done(a_.send(write10(0, 2048), data_)).good());
  }
  exchange& read() { return a_.send(read10(0, 2048), {}, mib); }
  /// Reads until one of them waits: the answers of the others are on their way to an initiator that does not take them.
  exchange& read_until_hungry() {
    for (int i = 0; i < 64; ++i) {
      exchange& r = read();
      s_.run();
      if (r.completions == 0) return r;
      EXPECT_TRUE(r.good());
      taken_.push_back(&r);
    }
    ADD_FAILURE() << "nothing waits for memory";
    return a_.exchanges.back();
  }
  /// The initiator takes an answer.
  void take_one() {
    taken_.back()->task.reset();
    taken_.pop_back();
    s_.run();
  }
  ~hunger_test() override {
    while (!taken_.empty()) take_one();
    s_.run();
    for (initiator& each : s_.initiators)
      for (exchange& e : each.exchanges) e.task.lent = {};
  }

  fixture s_;
  memory::share share_ = memory::share::open(s_.loop->buffers().accounts());
  initiator& a_ = s_.add();
  const octets data_ = patterned(mib, 5);
  std::vector<exchange*> taken_;
};

TEST_F(hunger_test, what_is_lent_is_paid_for_until_it_was_taken) {
  const std::uint64_t before = (*share_).used();
  exchange& r = s_.done(read());
  EXPECT_TRUE(r.in == data_);
  EXPECT_EQ((*share_).used(), before + mib);
  r.task.reset();
  EXPECT_EQ((*share_).used(), before);
}

TEST_F(hunger_test, who_cannot_pay_waits_until_answers_have_been_taken) {
  exchange& waits = read_until_hungry();
  EXPECT_GE(taken_.size(), 8u);
  take_one();
  EXPECT_TRUE(waits.good());
  EXPECT_TRUE(waits.in == data_);
}

TEST_F(hunger_test, waits_in_the_midst_of_a_long_read) {
  exchange& first = read_until_hungry();
  exchange& r = a_.send(cdb16(0x88, 0, 4096), {}, 2 * mib);
  s_.run();
  EXPECT_EQ(r.completions, 0);
  while (!taken_.empty()) take_one();
  EXPECT_TRUE(first.good());
  EXPECT_TRUE(r.good());
  EXPECT_TRUE(std::equal(data_.begin(), data_.end(), r.in.begin()));
}

TEST_F(hunger_test, can_be_aborted_at_once) {
  exchange& waits = read_until_hungry();
  managed& m = a_.manage(port::task_function::abort_task, waits.task.tag);
  s_.run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(waits.silent);
}

TEST_F(hunger_test, keeps_nobody_elses_ordered_task_waiting) {
  exchange& waits = read_until_hungry();
  initiator& b = s_.add();
  EXPECT_TRUE(s_.done(b.send(write10(0, 8), filled(4096, 1), 0, port::task_attribute::ordered)).good());
  EXPECT_EQ(waits.completions, 0);
  take_one();
  EXPECT_TRUE(waits.good());
}

TEST_F(hunger_test, ends_with_a_reset_of_the_unit) {
  exchange& waits = read_until_hungry();
  initiator& b = s_.add();
  managed& m = b.manage(port::task_function::logical_unit_reset);
  s_.run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(waits.silent);
}

class impatient_test : public hunger_test {
 protected:
  impatient_test() : hunger_test(ns_per_ms) {}
};

TEST_F(impatient_test, ends_when_nothing_comes_free) {
  exchange& waits = read_until_hungry();
  while (waits.completions == 0) s_.run();
  EXPECT_TRUE(waits.ended_with(scsi::status::busy));  // its nexus has no other task here
}

}  // namespace
}  // namespace sluice::unit
