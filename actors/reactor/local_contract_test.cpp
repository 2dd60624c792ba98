#include "actors/reactor/message_contract.hpp"

namespace sluice::reactor {
namespace {

class local_contract : public message_contract {
 protected:
  /// Sends octets along with duplicates of handles.
  std::int64_t pass(handle over, std::vector<std::uint8_t> octets, const std::vector<handle>& passed) {
    const iovec part{octets.data(), octets.size()};
    return sockets().send_passing(over, &part, 1, passed);
  }
};

}  // namespace

TEST_P(local_contract, bytes_go_both_ways_until_the_end_of_the_stream) {
  const local_pair made = connected_locally();
  EXPECT_EQ(send(made.client, pattern(100)), 100);
  recorder op;
  std::vector<std::uint8_t> into(100);
  std::size_t got = 0;
  while (got < 100) {
    on().receive(op, made.server, bytes(into).subspan(got));
    ASSERT_TRUE(until([&] { return !op.in_flight(); }));
    ASSERT_GT(op.value, 0);
    got += static_cast<std::size_t>(op.value);
  }
  EXPECT_EQ(into, pattern(100));
  EXPECT_EQ(send(made.server, pattern(5, 9)), 5);
  message answer{.into = into};
  for (got = 0; got < 5;) {
    answer.into = bytes(into).subspan(got);
    const std::int64_t more = receive(made.client, answer);
    ASSERT_GT(more, 0);
    got += static_cast<std::size_t>(more);
  }
  EXPECT_TRUE(std::equal(into.begin(), into.begin() + 5, pattern(5, 9).begin()));
  EXPECT_EQ(sockets().receive_passing(made.client, answer), -EAGAIN);
  on().shutdown(made.server);
  EXPECT_EQ(receive(made.client, answer), 0);
  close(made);
}

TEST_P(local_contract, says_who_the_peer_is) {
  const local_pair made = connected_locally();
  const peer_credentials peer = sockets().credentials(made.server).value();
  EXPECT_EQ(peer.user, on().kind() == std::string("simulated") ? 0 : ::geteuid());
  EXPECT_GT(peer.process, 0);
  close(made);
}

TEST_P(local_contract, passed_handles_are_the_same_thing_at_the_other_end) {
  const local_pair made = connected_locally();
  const handle first = sockets().open_event().value(), second = sockets().open_event().value();
  EXPECT_EQ(pass(made.client, pattern(4), {first, second}), 4);
  std::vector<std::uint8_t> room(64);
  message came{.into = room};
  ASSERT_GT(receive(made.server, came), 0);
  ASSERT_EQ(came.passed.size(), 2u);
  EXPECT_FALSE(came.handles_lost);
  const handle taken = came.passed.take(1);
  EXPECT_EQ(came.passed.take(1), no_handle) << "taken already";
  EXPECT_NE(taken, second);
  EXPECT_EQ(sockets().signal(taken), 0);
  recorder op;
  on().poll(op, second, poll_event::readable);
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(sockets().drain(second), 1);
  EXPECT_EQ(sockets().drain(first), -EAGAIN);
  // The sender's own go on without it, and the receiver's without the sender's.
  on().close(second);
  EXPECT_EQ(sockets().signal(taken), 0);
  EXPECT_EQ(sockets().drain(taken), 1);
  on().close(taken);
  on().close(first);
  close(made);
}

TEST_P(local_contract, each_message_gets_what_was_passed_with_it) {
  const local_pair made = connected_locally();
  const handle first = sockets().open_event().value(), second = sockets().open_event().value();
  EXPECT_EQ(pass(made.client, {1, 1, 1}, {first}), 3);
  EXPECT_EQ(pass(made.client, {2, 2, 2}, {second}), 3);
  EXPECT_EQ(pass(made.client, {3, 3, 3}, {}), 3);
  std::vector<std::uint8_t> got, room(64);
  std::vector<std::pair<std::uint8_t, handle>> passed;  // the last octet that came with it
  while (got.size() < 9) {
    message came{.into = room};
    const std::int64_t more = receive(made.server, came);
    ASSERT_GT(more, 0);
    got.insert(got.end(), room.begin(), room.begin() + more);
    ASSERT_LE(came.passed.size(), 1u);
    if (came.passed.size()) passed.emplace_back(got.back(), came.passed.take(0));
  }
  EXPECT_EQ(got, (std::vector<std::uint8_t>{1, 1, 1, 2, 2, 2, 3, 3, 3}));
  ASSERT_EQ(passed.size(), 2u);
  EXPECT_EQ(passed[0].first, 1);
  EXPECT_EQ(passed[1].first, 2);
  EXPECT_EQ(sockets().signal(passed[1].second), 0);
  EXPECT_EQ(sockets().drain(second), 1);
  for (const handle h : {first, second, passed[0].second, passed[1].second}) on().close(h);
  close(made);
}

TEST_P(local_contract, handles_of_dropped_messages_are_closed) {
  const std::size_t at_first = driver_->open_handles();
  const local_pair made = connected_locally();
  const handle event = sockets().open_event().value();
  const std::size_t before = driver_->open_handles();
  std::vector<std::uint8_t> room(64);
  EXPECT_EQ(pass(made.client, {1}, {event, event}), 1);
  {
    message came{.into = room};
    EXPECT_EQ(receive(made.server, came), 1);
    EXPECT_EQ(came.passed.size(), 2u);
    EXPECT_EQ(driver_->open_handles(), before + 2);
    EXPECT_EQ(pass(made.client, {2}, {event}), 1);
    EXPECT_EQ(receive(made.server, came), 1);
    EXPECT_EQ(came.passed.size(), 1u) << "those of the message before are closed";
    EXPECT_EQ(driver_->open_handles(), before + 1);
  }
  EXPECT_EQ(driver_->open_handles(), before);
  // Received by one who does not look for them.
  EXPECT_EQ(pass(made.client, {3}, {event}), 1);
  recorder op;
  on().receive(op, made.server, room);
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value, 1);
  EXPECT_EQ(driver_->open_handles(), before);
  // Never received at all.
  EXPECT_EQ(pass(made.client, {4}, {event, event}), 1);
  idle();
  close(made);
  idle();
  on().close(event);
  EXPECT_EQ(driver_->open_handles(), at_first);
}

TEST_P(local_contract, the_number_of_handles_is_bounded) {
  const local_pair made = connected_locally();
  const handle event = sockets().open_event().value();
  EXPECT_EQ(pass(made.client, {1}, std::vector<handle>(passed_handles::limit + 1, event)), -EINVAL);
  EXPECT_EQ(pass(made.client, {1}, std::vector<handle>(passed_handles::limit, event)), 1);
  std::vector<std::uint8_t> room(64);
  message came{.into = room};
  EXPECT_EQ(receive(made.server, came), 1);
  EXPECT_EQ(came.passed.size(), passed_handles::limit);
  EXPECT_FALSE(came.handles_lost);
  EXPECT_LT(pass(made.client, {1}, {no_handle}), 0);
  on().close(event);
  close(made);
}

TEST_P(local_contract, a_full_stream_is_waited_for) {
  const local_pair made = connected_locally();
  const std::vector<std::uint8_t> much = pattern(1 << 20);
  std::size_t sent = 0;
  for (std::int64_t now = 0; (now = send(made.client, much)) != -EAGAIN; sent += static_cast<std::size_t>(now))
    ASSERT_GT(now, 0);
  recorder writable;
  on().wait_writable(writable, made.client);
  idle();
  EXPECT_EQ(writable.completions, 0);
  std::vector<std::uint8_t> room(1 << 20);
  message came{.into = room};
  for (std::size_t got = 0; got < sent;) {
    const std::int64_t more = receive(made.server, came);
    ASSERT_GT(more, 0);
    got += static_cast<std::size_t>(more);
  }
  ASSERT_TRUE(completed(writable));
  EXPECT_EQ(writable.value, 0);
  EXPECT_GT(send(made.client, much), 0);
  close(made);
}

TEST_P(local_contract, waiting_to_read_is_cancelled_like_everything) {
  const local_pair made = connected_locally();
  recorder op;
  ASSERT_TRUE(do_on_loop([&] { on().wait_readable(op, made.server); }));
  ASSERT_TRUE(do_on_loop([&] { on().cancel(op); }));
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value, -ECANCELED);
  EXPECT_EQ(send(made.client, {1}), 1);
  std::vector<std::uint8_t> room(8);
  message came{.into = room};
  EXPECT_EQ(receive(made.server, came), 1);
  close(made);
}

TEST_P(local_contract, a_path_is_listened_on_once_and_a_stale_one_is_replaced) {
  const std::string path = driver_->file_path("once");
  const handle listener = sockets().listen_local(path, 4).value();
  const auto again = sockets().listen_local(path, 4);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::already_exists);
  on().close(listener);
  const auto refused = sockets().connect_local(path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::closed);
  const handle anew = sockets().listen_local(path, 4).value();
  on().close(sockets().connect_local(path).value());
  on().close(anew);
}

TEST_P(local_contract, connecting_fails_as_the_system_says) {
  const auto absent = sockets().connect_local(driver_->file_path("absent"));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, errc::not_found);
  for (const std::string& path : {std::string(), std::string(200, 'x')}) {
    EXPECT_EQ(sockets().connect_local(path).error().code, errc::invalid_argument);
    EXPECT_EQ(sockets().listen_local(path, 1).error().code, errc::invalid_argument);
  }
  const handle listener = sockets().listen_local(driver_->file_path("busy"), 1).value();
  std::vector<handle> waiting;
  for (;;) {
    const auto next = sockets().connect_local(driver_->file_path("busy"));
    if (!next) {
      EXPECT_EQ(next.error().code, errc::busy);
      break;
    }
    waiting.push_back(*next);
    ASSERT_LT(waiting.size(), 10u);
  }
  for (const handle h : waiting) on().close(h);
  on().close(listener);
}

INSTANTIATE_TEST_SUITE_P(loops, local_contract, kinds_of_loops(), name_of_kind);

}  // namespace sluice::reactor
