#include <numeric>

#include "actors/reactor/loop_contract.hpp"

namespace sluice::reactor {
namespace {

/// Receives whatever comes and, when asked, sends it back: what a connection does.
struct echo {
  loop& on;
  handle h;
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(8192);
  std::vector<std::uint8_t> backlog;
  bool ended = false;
  recorder receiving, writable;

  echo(loop& where, handle of) : on(where), h(of) {
    receiving.then = [this] { on_received(); };
    writable.then = [this] { flush(); };
    on.receive(receiving, h, buffer);
  }
  void on_received() {
    if (receiving.value <= 0) {
      ended = true;
      return;
    }
    backlog.insert(backlog.end(), buffer.begin(), buffer.begin() + receiving.value);
    flush();
    on.receive(receiving, h, buffer);
  }
  void flush() {
    while (!backlog.empty() && !writable.in_flight()) {
      const iovec part{backlog.data(), backlog.size()};
      const std::int64_t sent = on.send_now(h, &part, 1);
      if (sent == -EAGAIN) return on.wait_writable(writable, h);
      ASSERT_GT(sent, 0);
      backlog.erase(backlog.begin(), backlog.begin() + sent);
    }
  }
};

/// Sends all of `data` and collects what comes.
struct talker {
  loop& on;
  handle h;
  std::vector<std::uint8_t> data;
  std::size_t sent = 0;
  unsigned waits = 0;
  std::vector<std::uint8_t> got;
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(65536);
  recorder receiving, writable;

  talker(loop& where, handle of, std::vector<std::uint8_t> what) : on(where), h(of), data(std::move(what)) {
    receiving.then = [this] {
      if (receiving.value <= 0) return;
      got.insert(got.end(), buffer.begin(), buffer.begin() + receiving.value);
      if (got.size() < data.size()) on.receive(receiving, h, buffer);
    };
    writable.then = [this] { push(); };
    on.receive(receiving, h, buffer);
    push();
  }
  void push() {
    while (sent < data.size()) {
      const std::size_t left = data.size() - sent;
      const iovec parts[2] = {{data.data() + sent, left / 2}, {data.data() + sent + left / 2, left - left / 2}};
      const std::int64_t now = on.send_now(h, parts, 2);
      if (now == -EAGAIN) {
        ++waits;
        return on.wait_writable(writable, h);
      }
      ASSERT_GT(now, 0);
      sent += static_cast<std::size_t>(now);
    }
  }
};

}  // namespace

TEST_P(loop_contract, runs_deferred_work_in_order_and_turn_ends_last) {
  std::vector<int> order;
  step second([&] { order.push_back(2); });
  step end([&] { order.push_back(9); });
  step third([&] { order.push_back(3); });
  step first([&] {
    order.push_back(1);
    on().at_turn_end(end);
    on().at_turn_end(end);  // queued already
    on().defer(third);
  });
  EXPECT_TRUE(do_on_loop([&] {
    on().defer(first);
    on().defer(second);
    on().defer(first);  // queued already
  }));
  EXPECT_TRUE(until([&] { return order.size() == 4; }));
  ASSERT_EQ(order.size(), 4u);
  EXPECT_EQ(std::vector<int>(order.begin(), order.begin() + 2), (std::vector<int>{1, 2}));
  EXPECT_NE(order[2], order[3]);
}

TEST_P(loop_contract, deferred_work_may_defer_itself_without_starving_timers) {
  bool fired = false;
  unsigned runs = 0;
  alarm ring([&] { fired = true; });
  step again([&] {
    ++runs;
    if (!fired) on().defer(again);
  });
  EXPECT_TRUE(do_on_loop([&] {
    on().arm(ring, 2 * ns_per_ms);
    on().defer(again);
  }));
  EXPECT_TRUE(until([&] { return fired; }));
  EXPECT_TRUE(until([&] { return !again.queued_; }));
  EXPECT_GT(runs, 0u);
}

TEST_P(loop_contract, runs_posted_functions_in_order_on_its_own_thread) {
  std::vector<int> order;
  for (int i = 0; i < 5; ++i)
    on().post([&, i] {
      EXPECT_TRUE(on().runs_here());
      order.push_back(i);
    });
  EXPECT_TRUE(until([&] { return order.size() == 5; }));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_P(loop_contract, timers_fire_in_order_and_never_early) {
  std::vector<int> order;
  std::uint64_t start = 0;
  alarm late([&] {
    order.push_back(2);
    EXPECT_GE(on().now_ns() - start, 30 * ns_per_ms);
  });
  alarm early([&] {
    order.push_back(1);
    EXPECT_GE(on().now_ns() - start, 10 * ns_per_ms);
  });
  alarm never([&] { ADD_FAILURE() << "a disarmed timer fired"; });
  EXPECT_TRUE(do_on_loop([&] {
    start = on().now_ns();
    on().arm(late, 30 * ns_per_ms);
    on().arm(never, 5 * ns_per_ms);
    on().arm(early, 50 * ns_per_ms);
    on().arm(early, 10 * ns_per_ms);  // re-armed
    on().disarm(never);
    on().disarm(never);
  }));
  EXPECT_FALSE(never.armed());
  EXPECT_TRUE(until([&] { return order.size() == 2; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_FALSE(late.armed());
}

TEST_P(loop_contract, random_differs) {
  EXPECT_NE(on().random(), on().random());
}

TEST_P(loop_contract, echoes_a_stream_larger_than_every_buffer) {
  for (const char* host : {"127.0.0.1", "::1"}) {
    const pair made = connected_pair(host);
    EXPECT_EQ(on().peer_endpoint(made.client).value(), on().local_endpoint(made.listener).value());
    EXPECT_EQ(on().peer_endpoint(made.server).value(), on().local_endpoint(made.client).value());
    std::unique_ptr<echo> server;
    std::unique_ptr<talker> client;
    EXPECT_TRUE(do_on_loop([&] { client = std::make_unique<talker>(on(), made.client, pattern(9'000'000)); }));
    EXPECT_TRUE(until([&] { return client->waits > 0; })) << "the sender never filled the connection";
    EXPECT_TRUE(do_on_loop([&] { server = std::make_unique<echo>(on(), made.server); }));
    EXPECT_TRUE(until([&] { return client->got.size() == client->data.size(); }));
    EXPECT_TRUE(client->got == client->data);
    on().shutdown(made.client);
    EXPECT_TRUE(until([&] { return server->ended; }));
    EXPECT_EQ(server->receiving.value, 0);
    close(made);
  }
}

TEST_P(loop_contract, end_of_stream_comes_after_the_data) {
  const pair made = connected_pair();
  std::vector<std::uint8_t> data = pattern(1000), into(4000);
  const iovec part{data.data(), data.size()};
  ASSERT_EQ(on().send_now(made.client, &part, 1), 1000);
  on().close(made.client);
  std::size_t got = 0;
  for (;;) {
    recorder op;
    on().receive(op, made.server, bytes(into).subspan(got));
    ASSERT_TRUE(completed(op));
    EXPECT_EQ(op.completions, 1);
    if (op.value == 0) break;
    ASSERT_GT(op.value, 0);
    got += static_cast<std::size_t>(op.value);
  }
  EXPECT_EQ(got, 1000u);
  close({made.listener, no_handle, made.server});
}

TEST_P(loop_contract, what_has_come_is_taken_at_once_and_waited_for_again) {
  const pair made = connected_pair();
  const auto data = pattern(1000);
  std::vector<std::uint8_t> got;
  std::uint8_t into[300];
  const auto take = [&] {
    const std::int64_t result = on().receive_now(made.server, into);
    if (result > 0) got.insert(got.end(), into, into + result);
    return result;
  };
  EXPECT_EQ(take(), -EAGAIN);
  // Waits until something is there, which `make` brings.
  const auto await = [&](const std::function<void()>& make) {
    recorder readable;
    EXPECT_TRUE(do_on_loop([&] { on().wait_readable(readable, made.server); }));
    make();
    EXPECT_TRUE(completed(readable));
    EXPECT_EQ(readable.value, 0);
  };
  for (const std::size_t end : {500, 1000}) {
    await([&] {
      const iovec part{const_cast<std::uint8_t*>(data.data()) + end - 500, 500};
      EXPECT_EQ(on().send_now(made.client, &part, 1), 500);
    });
    while (got.size() < end && !HasFailure())
      if (take() == -EAGAIN) await([] {});
    EXPECT_EQ(take(), -EAGAIN);
  }
  EXPECT_EQ(got, data);
  await([&] { on().shutdown(made.client); });
  EXPECT_EQ(take(), 0) << "the end of the stream";
  close(made);
}

TEST_P(loop_contract, sending_to_a_closed_peer_fails_in_the_end) {
  const pair made = connected_pair();
  std::vector<std::uint8_t> data = pattern(10);
  const iovec part{data.data(), data.size()};
  ASSERT_EQ(on().send_now(made.client, &part, 1), 10);
  recorder arrived;
  std::vector<std::uint8_t> one(1);
  on().receive(arrived, made.server, one);
  ASSERT_TRUE(completed(arrived));
  on().close(made.server);  // with nine octets unread: the connection is reset
  recorder op;
  std::vector<std::uint8_t> into(10);
  on().receive(op, made.client, into);
  ASSERT_TRUE(completed(op));
  EXPECT_EQ(op.value, -ECONNRESET);
  EXPECT_LT(on().send_now(made.client, &part, 1), 0);
  close({made.listener, made.client, no_handle});
}

TEST_P(loop_contract, shutdown_completes_what_waits) {
  const pair made = connected_pair();
  recorder receiving, accepting;
  std::vector<std::uint8_t> into(10);
  EXPECT_TRUE(do_on_loop([&] {
    on().receive(receiving, made.server, into);
    on().accept(accepting, made.listener);
  }));
  EXPECT_TRUE(do_on_loop([&] {
    on().shutdown(made.server);
    on().shutdown(made.listener);
  }));
  EXPECT_TRUE(until([&] { return receiving.completions && accepting.completions; }));
  EXPECT_EQ(receiving.value, 0);
  EXPECT_LT(accepting.value, 0);
  close(made);
}

TEST_P(loop_contract, connecting_to_nobody_is_refused) {
  const handle listener = on().listen({"127.0.0.1", 0}, 1).value();
  const endpoint where = on().local_endpoint(listener).value();
  on().close(listener);
  recorder op, nonsense;
  on().connect(op, where);
  on().connect(nonsense, {"not an address", 1});
  EXPECT_TRUE(until([&] { return op.completions && nonsense.completions; }));
  EXPECT_EQ(op.value, -ECONNREFUSED);
  EXPECT_EQ(nonsense.value, -EINVAL);
}

TEST_P(loop_contract, listening_twice_on_a_port_fails) {
  const handle listener = on().listen({"127.0.0.1", 0}, 1).value();
  const auto again = on().listen(on().local_endpoint(listener).value(), 1);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::already_exists);
  on().close(listener);
}

TEST_P(loop_contract, accepts_every_connection) {
  const handle listener = on().listen({"127.0.0.1", 0}, 64).value();
  const endpoint where = on().local_endpoint(listener).value();
  std::vector<handle> accepted;
  recorder accepting;
  accepting.then = [&] {
    ASSERT_GE(accepting.value, 0);
    accepted.push_back(static_cast<handle>(accepting.value));
    if (accepted.size() < 20) on().accept(accepting, listener);
  };
  std::vector<recorder> connecting(20);
  EXPECT_TRUE(do_on_loop([&] {
    on().accept(accepting, listener);
    for (recorder& op : connecting) on().connect(op, where);
  }));
  EXPECT_TRUE(until([&] {
    return accepted.size() == 20 &&
           std::all_of(connecting.begin(), connecting.end(), [](auto& op) { return op.completions == 1; });
  }));
  for (const handle h : accepted) on().close(h);
  for (const recorder& op : connecting) on().close(static_cast<handle>(op.value));
  on().close(listener);
}

TEST_P(loop_contract, cancel_completes_once) {
  const pair made = connected_pair();
  recorder receiving, accepting, idle;
  std::vector<std::uint8_t> into(10);
  EXPECT_TRUE(do_on_loop([&] {
    on().receive(receiving, made.client, into);
    on().accept(accepting, made.listener);
    on().cancel(idle);  // never started
  }));
  EXPECT_TRUE(do_on_loop([&] {
    on().cancel(receiving);
    on().cancel(accepting);
    EXPECT_EQ(receiving.completions + accepting.completions, 0);
  }));
  EXPECT_TRUE(until([&] { return receiving.completions && accepting.completions; }));
  EXPECT_EQ(receiving.value, -ECANCELED);
  EXPECT_EQ(accepting.value, -ECANCELED);
  EXPECT_FALSE(receiving.in_flight());
  // The connection is as good as before.
  const std::vector<std::uint8_t> data = pattern(5);
  const iovec part{const_cast<std::uint8_t*>(data.data()), 5};
  EXPECT_EQ(on().send_now(made.server, &part, 1), 5);
  on().receive(receiving, made.client, into);
  EXPECT_TRUE(until([&] { return receiving.completions == 2; }));
  EXPECT_GT(receiving.value, 0);
  EXPECT_EQ(into[0], data[0]);
  EXPECT_EQ(accepting.completions + idle.completions, 1);
  close(made);
}

TEST_P(loop_contract, cancel_in_the_same_turn_as_the_start) {
  const pair made = connected_pair();
  recorder receiving;
  std::vector<std::uint8_t> into(10);
  EXPECT_TRUE(do_on_loop([&] {
    on().receive(receiving, made.client, into);
    on().cancel(receiving);
  }));
  EXPECT_TRUE(completed(receiving));
  EXPECT_EQ(receiving.value, -ECANCELED);
  close(made);
}

TEST_P(loop_contract, reads_what_was_written) {
  const handle h = new_file("data");
  const auto data = pattern(300'000);
  EXPECT_EQ(write(h, data, 4096), 300'000);
  EXPECT_EQ(write(h, pattern(512, 7), 0, true), 512);
  recorder synced;
  on().sync(synced, h);
  ASSERT_TRUE(completed(synced));
  EXPECT_EQ(synced.value, 0);
  std::vector<std::uint8_t> back(300'000);
  EXPECT_EQ(read(h, back, 4096), 300'000);
  EXPECT_TRUE(back == data);
  EXPECT_EQ(read(h, back, 304'096 - 100), 100) << "short only at the end of the file";
  EXPECT_EQ(read(h, back, 400'000), 0);
  EXPECT_EQ(on().info(h)->size_bytes, 304'096u);
  on().close(h);
}

TEST_P(loop_contract, buffers_of_the_loop_and_others_read_and_write_alike) {
  constexpr std::uint32_t size = 64 * 1024;
  const handle h = new_file("slabs", 4 * size);
  const std::vector<std::uint8_t> data = pattern(size);
  memory::slice from, to;
  iovec from_part{}, to_part{};
  recorder wrote, durable;
  ASSERT_TRUE(do_on_loop([&] {
    from = on().buffers().take(size);
    to = on().buffers().take(size);
    std::copy(data.begin(), data.end(), from.data());
    from_part = from.iov();
    to_part = to.iov();
    on().write(wrote, h, &from_part, 1, 0, false);
    on().write(durable, h, &from_part, 1, 2 * size, true);
  }));
  ASSERT_TRUE(completed(wrote) && completed(durable));
  EXPECT_EQ(wrote.value, size);
  EXPECT_EQ(durable.value, size);
  std::vector<std::uint8_t> seen(size);
  EXPECT_EQ(read(h, seen, 2 * size), size);
  EXPECT_EQ(seen, data);
  recorder got;
  ASSERT_TRUE(do_on_loop([&] { on().read(got, h, &to_part, 1, 0); }));
  ASSERT_TRUE(completed(got));
  EXPECT_EQ(got.value, size);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), to.data()));
  // Short at the end of the file.
  recorder tail;
  ASSERT_TRUE(do_on_loop([&] { on().read(tail, h, &to_part, 1, 4 * size - 4096); }));
  ASSERT_TRUE(completed(tail));
  EXPECT_EQ(tail.value, 4096);
  ASSERT_TRUE(do_on_loop([&] { from = to = {}; }));
  on().close(h);
}

TEST_P(loop_contract, files_have_the_size_they_are_given) {
  const handle h = new_file("sized", 1 * mib);
  const file_info about = on().info(h).value();
  EXPECT_EQ(about.size_bytes, 1 * mib);
  EXPECT_FALSE(about.is_block_device);
  EXPECT_FALSE(about.read_only);
  EXPECT_GE(about.logical_block, 512u);
  std::vector<std::uint8_t> back(8192, 0xff);
  EXPECT_EQ(read(h, back, 1 * mib - 8192), 8192);
  EXPECT_EQ(std::accumulate(back.begin(), back.end(), 0), 0);
  EXPECT_TRUE(on().resize_file(h, 4096));
  EXPECT_EQ(on().info(h)->size_bytes, 4096u);
  on().close(h);
}

TEST_P(loop_contract, files_are_read_and_written_with_blocking_calls_too) {
  const handle h = new_file("at once", 8192);
  const std::vector<std::uint8_t> data = pattern(4096, 3);
  EXPECT_TRUE(on().write_now(h, data, 4096));
  EXPECT_TRUE(on().sync_now(h));
  std::vector<std::uint8_t> back(8192, 0xff);
  EXPECT_EQ(on().read_now(h, back, 4096), 4096u) << "to the end of the file";
  EXPECT_TRUE(std::equal(data.begin(), data.end(), back.begin()));
  EXPECT_EQ(on().read_now(h, back, 8192), 0u);
  on().close(h);
  const handle only_read = on().open_file(driver_->file_path("at once"), {.writable = false}).value();
  EXPECT_FALSE(on().write_now(only_read, data, 0));
  on().close(only_read);
}

TEST_P(loop_contract, memory_is_a_file_of_zeroes_without_a_name) {
  const handle h = on().open_memory(8192).value();
  EXPECT_EQ(on().info(h)->size_bytes, 8192u);
  std::vector<std::uint8_t> back(4096, 0xff);
  EXPECT_EQ(on().read_now(h, back, 4096), 4096u);
  EXPECT_TRUE(std::all_of(back.begin(), back.end(), [](std::uint8_t octet) { return octet == 0; }));
  const std::vector<std::uint8_t> data = pattern(4096, 3);
  EXPECT_TRUE(on().write_now(h, data, 4096));
  EXPECT_EQ(on().read_now(h, back, 4096), 4096u);
  EXPECT_EQ(back, data);
  on().close(h);
}

TEST_P(loop_contract, notes_stay_with_files_that_can_keep_them) {
  const handle h = new_file("noted");
  const auto none = on().attribute_of(h, "sluice");
  if (!none) {
    EXPECT_EQ(none.error().code, errc::unsupported);
    on().close(h);
    GTEST_SKIP() << "the file system of the temporary folder keeps no notes";
  }
  EXPECT_EQ(*none, "");
  EXPECT_TRUE(on().set_attribute(h, "sluice", "of one process"));
  on().close(h);
  const handle again = on().open_file(driver_->file_path("noted"), {}).value();
  EXPECT_EQ(on().attribute_of(again, "sluice"), "of one process");
  EXPECT_TRUE(on().set_attribute(again, "sluice", ""));
  EXPECT_EQ(on().attribute_of(again, "sluice"), "");
  on().close(again);
}

TEST_P(loop_contract, many_requests_at_once_complete_once_each) {
  constexpr std::size_t count = 3000;  // more than any queue holds
  const handle h = new_file("many", count * 512);
  std::vector<std::vector<std::uint8_t>> blocks(count);
  std::vector<recorder> ops(count);
  std::vector<iovec> parts(count);
  const auto all_done = [&] {
    return std::all_of(ops.begin(), ops.end(), [](const recorder& op) { return !op.in_flight(); });
  };
  EXPECT_TRUE(do_on_loop([&] {
    for (std::size_t i = 0; i < count; ++i) {
      blocks[i] = pattern(512, static_cast<unsigned>(i));
      parts[i] = {blocks[i].data(), 512};
      on().write(ops[i], h, &parts[i], 1, i * 512, false);
    }
  }));
  EXPECT_TRUE(until(all_done));
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_EQ(ops[i].completions, 1);
    EXPECT_EQ(ops[i].value, 512);
    std::vector<std::uint8_t> expected = std::move(blocks[i]);
    if (i % 500 == 0) {
      std::vector<std::uint8_t> back(512);
      EXPECT_EQ(read(h, back, i * 512), 512);
      EXPECT_TRUE(back == expected);
    }
  }
  on().close(h);
}

TEST_P(loop_contract, holes_are_punched_and_found) {
  const handle h = new_file("holes", 1 * mib);
  EXPECT_EQ(write(h, pattern(256 * 1024), 256 * 1024), 256 * 1024);
  recorder punched;
  on().allocate(punched, h, allocate_mode::punch_hole, 320 * 1024, 64 * 1024);
  ASSERT_TRUE(completed(punched));
  if (punched.value == -EOPNOTSUPP) GTEST_SKIP() << "this file system cannot punch holes";
  ASSERT_EQ(punched.value, 0);
  std::vector<std::uint8_t> back(64 * 1024, 0xff);
  EXPECT_EQ(read(h, back, 320 * 1024), 64 * 1024);
  EXPECT_EQ(std::accumulate(back.begin(), back.end(), 0), 0);
  struct range {
    std::uint64_t from, begin, end;
  };
  for (const range expected : {range{0, 256 * 1024, 320 * 1024}, range{260 * 1024, 260 * 1024, 320 * 1024},
                               range{330 * 1024, 384 * 1024, 512 * 1024}, range{512 * 1024, 1 * mib, 1 * mib}}) {
    recorder found;
    std::uint64_t begin_at = 0, end_at = 0;
    on().find_data(found, h, expected.from, &begin_at, &end_at);
    ASSERT_TRUE(completed(found));
    ASSERT_EQ(found.value, 0);
    EXPECT_EQ(begin_at, expected.begin);
    EXPECT_EQ(end_at, expected.end);
  }
  on().close(h);
}

TEST_P(loop_contract, zeroed_ranges_read_as_zeroes) {
  const handle h = new_file("zeroes");
  EXPECT_EQ(write(h, pattern(64 * 1024), 0), 64 * 1024);
  recorder zeroed;
  on().allocate(zeroed, h, allocate_mode::zero_range, 1000, 10'000);
  ASSERT_TRUE(completed(zeroed));
  if (zeroed.value == -EOPNOTSUPP) GTEST_SKIP() << "this file system cannot zero ranges";
  ASSERT_EQ(zeroed.value, 0);
  auto expected = pattern(64 * 1024);
  std::fill_n(expected.begin() + 1000, 10'000, 0);
  std::vector<std::uint8_t> back(64 * 1024);
  EXPECT_EQ(read(h, back, 0), 64 * 1024);
  EXPECT_TRUE(back == expected);
  EXPECT_EQ(on().info(h)->size_bytes, 64u * 1024);
  on().close(h);
}

TEST_P(loop_contract, opening_fails_as_the_system_says) {
  const auto absent = on().open_file(driver_->file_path("absent"), {});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, errc::not_found);
  on().close(new_file("present", 100));
  const handle h = on().open_file(driver_->file_path("present"), {.writable = false}).value();
  EXPECT_TRUE(on().info(h)->read_only);
  EXPECT_EQ(write(h, pattern(10), 0), -EBADF);
  on().close(h);
}

INSTANTIATE_TEST_SUITE_P(loops, loop_contract, kinds_of_loops(), name_of_kind);

}  // namespace sluice::reactor
