#include "actors/reactor/descriptor_watch.hpp"
#include "actors/reactor/message_contract.hpp"

namespace sluice::reactor {
namespace {

class poll_contract : public message_contract {};

/// Takes what an event counts, unless it is told to leave it.
struct counting_watch final : descriptor_watch {
  message_sockets& sockets;
  handle event;
  unsigned ready = 0;
  std::int64_t taken = 0;
  std::vector<std::int64_t> stops;
  std::function<void()> instead;

  counting_watch(loop& on, handle of) : descriptor_watch(on), sockets(on.messages()), event(of) {}
  void on_ready(unsigned events) noexcept override {
    EXPECT_EQ(events, poll_event::readable);
    ++ready;
    if (instead) return instead();
    if (const std::int64_t count = sockets.drain(event); count > 0) taken += count;
  }
  void on_stopped(std::int64_t problem) noexcept override { stops.push_back(problem); }
};

}  // namespace

TEST_P(poll_contract, a_poll_completes_when_the_descriptor_is_ready) {
  const handle event = sockets().open_event().value();
  EXPECT_EQ(sockets().drain(event), -EAGAIN);
  recorder op;
  ASSERT_TRUE(do_on_loop([&] { on().poll(op, event, poll_event::readable); }));
  idle();
  EXPECT_EQ(op.completions, 0);
  EXPECT_EQ(sockets().signal(event), 0);
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value, poll_event::readable);
  EXPECT_EQ(sockets().signal(event), 0);
  EXPECT_EQ(sockets().drain(event), 2);
  idle();
  EXPECT_EQ(op.completions, 1) << "one request, one completion";
  on().close(event);
}

TEST_P(poll_contract, a_ready_descriptor_completes_at_once_but_not_within_the_call) {
  const handle event = sockets().open_event().value();
  EXPECT_EQ(sockets().signal(event), 0);
  recorder readable, writable;
  ASSERT_TRUE(do_on_loop([&] {
    on().poll(readable, event, poll_event::readable);
    EXPECT_EQ(readable.completions, 0);
  }));
  ASSERT_TRUE(completed(readable));
  EXPECT_EQ(readable.value & poll_event::readable, poll_event::readable);
  on().poll(writable, event, poll_event::writable);
  ASSERT_TRUE(completed(writable));
  EXPECT_EQ(writable.value & poll_event::writable, poll_event::writable);
  on().close(event);
}

TEST_P(poll_contract, a_cancelled_poll_is_over_when_it_says_so) {
  const handle event = sockets().open_event().value();
  recorder op;
  ASSERT_TRUE(do_on_loop([&] { on().poll(op, event, poll_event::readable); }));
  ASSERT_TRUE(do_on_loop([&] {
    on().cancel(op);
    EXPECT_EQ(op.completions, 0);
  }));
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value, -ECANCELED);
  on().close(event);
  // The number may mean another descriptor now: nothing of the old one is left.
  const handle another = sockets().open_event().value();
  EXPECT_EQ(sockets().signal(another), 0);
  on().poll(op, another, poll_event::readable);
  ASSERT_TRUE(until([&] { return op.completions == 2; }));
  EXPECT_EQ(op.value, poll_event::readable);
  on().close(another);
}

TEST_P(poll_contract, a_poll_and_its_cancel_in_one_turn) {
  const handle event = sockets().open_event().value();
  recorder op;
  ASSERT_TRUE(do_on_loop([&] {
    on().poll(op, event, poll_event::readable);
    on().cancel(op);
    on().cancel(op);
  }));
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value, -ECANCELED);
  idle();
  EXPECT_EQ(op.completions, 1);
  on().close(event);
}

TEST_P(poll_contract, what_is_no_descriptor_is_said) {
  const handle event = sockets().open_event().value();
  on().close(event);
  recorder op;
  on().poll(op, event, poll_event::readable);
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value, -EBADF);
}

TEST_P(poll_contract, several_descriptors_are_told_apart) {
  std::vector<handle> events;
  std::vector<recorder> ops(5);
  for (recorder& op : ops) {
    events.push_back(sockets().open_event().value());
    on().poll(op, events.back(), poll_event::readable);
  }
  EXPECT_EQ(sockets().signal(events[3]), 0);
  EXPECT_EQ(sockets().signal(events[1]), 0);
  ASSERT_TRUE(until([&] { return ops[1].completions && ops[3].completions; }));
  EXPECT_EQ(ops[0].completions + ops[2].completions + ops[4].completions, 0);
  for (recorder& op : ops) on().cancel(op);
  ASSERT_TRUE(until([&] { return std::none_of(ops.begin(), ops.end(), [](auto& op) { return op.in_flight(); }); }));
  for (const recorder& op : ops) EXPECT_EQ(op.completions, 1);
  for (const handle each : events) on().close(each);
}

TEST_P(poll_contract, a_watch_tells_again_until_it_is_stopped) {
  const handle event = sockets().open_event().value();
  counting_watch watch(on(), event);
  ASSERT_TRUE(do_on_loop([&] { watch.start(event, poll_event::readable); }));
  for (std::int64_t count = 1; count <= 3; ++count) {
    EXPECT_EQ(sockets().signal(event), 0);
    ASSERT_TRUE(until([&] { return watch.taken == count; }));
  }
  ASSERT_TRUE(do_on_loop([&] {
    watch.stop();
    watch.stop();
    EXPECT_TRUE(watch.stops.empty());
  }));
  ASSERT_TRUE(until([&] { return !watch.watching(); }));
  EXPECT_EQ(watch.stops, std::vector<std::int64_t>{0});
  EXPECT_EQ(sockets().signal(event), 0);
  const unsigned before = watch.ready;
  idle();
  EXPECT_EQ(watch.ready, before) << "nothing is told after the stop";
  on().close(event);
}

TEST_P(poll_contract, a_watch_tells_again_what_was_left_and_stops_from_within) {
  const handle event = sockets().open_event().value();
  counting_watch watch(on(), event);
  watch.instead = [&] {
    if (watch.ready == 4) watch.stop();
    EXPECT_TRUE(watch.stops.empty());
  };
  EXPECT_EQ(sockets().signal(event), 0);
  ASSERT_TRUE(do_on_loop([&] { watch.start(event, poll_event::readable); }));
  ASSERT_TRUE(until([&] { return !watch.stops.empty(); }));
  EXPECT_EQ(watch.ready, 4u);
  EXPECT_EQ(watch.stops, std::vector<std::int64_t>{0});
  EXPECT_FALSE(watch.watching());
  // And may start anew.
  watch.instead = nullptr;
  ASSERT_TRUE(do_on_loop([&] { watch.start(event, poll_event::readable); }));
  ASSERT_TRUE(until([&] { return watch.taken == 1; }));
  ASSERT_TRUE(do_on_loop([&] { watch.stop(); }));
  ASSERT_TRUE(until([&] { return watch.stops.size() == 2; }));
  on().close(event);
}

TEST_P(poll_contract, a_watch_of_no_descriptor_ends) {
  counting_watch watch(on(), no_handle);
  ASSERT_TRUE(do_on_loop([&] { watch.start(no_handle, poll_event::readable); }));
  ASSERT_TRUE(until([&] { return !watch.watching(); }));
  EXPECT_EQ(watch.stops, std::vector<std::int64_t>{-EBADF});
}

INSTANTIATE_TEST_SUITE_P(loops, poll_contract, kinds_of_loops(), name_of_kind);

}  // namespace sluice::reactor
