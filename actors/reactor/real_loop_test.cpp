#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <thread>
#include <vector>

#include "actors/reactor/hand_over.hpp"
#include "actors/reactor/loop_driver.hpp"

namespace sluice::reactor {
namespace {

std::uint64_t cpu_time_ns(pthread_t of) {
  clockid_t clock;
  timespec used{};
  EXPECT_EQ(::pthread_getcpuclockid(of, &clock), 0);
  ::clock_gettime(clock, &used);
  return static_cast<std::uint64_t>(used.tv_sec) * ns_per_s + static_cast<std::uint64_t>(used.tv_nsec);
}

class real_loop : public ::testing::TestWithParam<backend> {
 protected:
  std::unique_ptr<loop> make(loop_options options = {}) {
    options.kind = GetParam();
    return make_loop(options).value();
  }
};

struct counted_post final : runnable {
  std::atomic<bool> pending{false};
  std::atomic<unsigned> runs{0};
  void run() noexcept override {
    ++runs;
    pending.store(false, std::memory_order_release);
  }
};

/// Forbids io_uring to the calling thread, as container runtimes do.
bool forbid_io_uring() {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, rules};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

TEST_P(real_loop, no_post_from_a_thread_is_lost) {
  constexpr unsigned posters = 3, rounds = 5000;
  const auto on = make({.spin_ns = 2000});
  std::thread runner([&] { on->run(); });
  std::vector<std::thread> threads;
  std::atomic<bool> lost{false};
  for (unsigned i = 0; i < posters; ++i)
    threads.emplace_back([&] {
      counted_post work;
      for (unsigned round = 0; round < rounds && !lost; ++round) {
        work.pending = true;
        on->post(work);
        // Waiting for each makes the loop fall asleep again and again: a lost wake would hang here.
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (work.pending.load(std::memory_order_acquire)) {
          if (std::chrono::steady_clock::now() > deadline) {
            lost = true;
            break;
          }
          std::this_thread::yield();
        }
      }
      EXPECT_TRUE(lost || work.runs == rounds);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(lost);
  on->stop();
  runner.join();
}

TEST_P(real_loop, runs_here_on_its_own_thread_only) {
  const auto on = make();
  EXPECT_FALSE(on->runs_here());
  bool on_loop = false;
  on->post([&] {
    on_loop = on->runs_here();
    on->stop();
  });
  std::thread([&] { on->run(); }).join();
  EXPECT_TRUE(on_loop);
  EXPECT_FALSE(on->runs_here());
}

TEST_P(real_loop, idles_without_using_the_processor) {
  const auto on = make();
  std::thread runner([&] { on->run(); });
  std::atomic<bool> warm{false};
  on->post([&] { warm = true; });
  while (!warm) std::this_thread::yield();
  const pthread_t of = runner.native_handle();
  const std::uint64_t before = cpu_time_ns(of);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the idle time that is measured
  EXPECT_LT(cpu_time_ns(of) - before, 30 * ns_per_ms);
  on->stop();
  runner.join();
}

TEST_P(real_loop, stop_wakes_a_sleeping_loop_and_run_can_be_called_again) {
  const auto on = make({.spin_ns = 0});
  bool again = false;
  std::thread([&] {
    std::thread stopper([&] { on->stop(); });
    on->run();
    stopper.join();
    on->post([&] {
      again = true;
      on->stop();
    });
    on->run();
  }).join();
  EXPECT_TRUE(again);
}

TEST_P(real_loop, operations_started_before_run_go_out) {
  real_driver driver(GetParam());
  const handle h = driver.get().open_file(driver.file_path("early"), {.create = true}).value();
  std::vector<recorder> ops(2000);
  const char text[] = "octets";
  const iovec part{const_cast<char*>(text), sizeof text};
  for (recorder& op : ops) driver.get().write(op, h, &part, 1, 0, false);
  EXPECT_TRUE(
      driver.until([&] { return std::all_of(ops.begin(), ops.end(), [](auto& op) { return op.completions == 1; }); }));
  EXPECT_THAT(ops, ::testing::Each(::testing::Field(&recorder::value, static_cast<std::int64_t>(sizeof text))));
  driver.get().close(h);
}

TEST_P(real_loop, an_accepted_connection_may_move_to_another_loop) {
  real_driver first(GetParam()), second(GetParam());
  const handle listener = first.get().listen({"127.0.0.1", 0}, 4).value();
  recorder accepted, connected;
  first.get().accept(accepted, listener);
  first.get().connect(connected, first.get().local_endpoint(listener).value());
  ASSERT_TRUE(first.until([&] { return accepted.completions && connected.completions; }));
  const char text[] = "hello";
  const iovec part{const_cast<char*>(text), 5};
  EXPECT_EQ(first.get().send_now(static_cast<handle>(connected.value), &part, 1), 5);
  recorder received;
  std::vector<std::uint8_t> into(10);
  second.get().receive(received, static_cast<handle>(accepted.value), into);
  EXPECT_TRUE(second.until([&] { return received.completions; }));
  EXPECT_EQ(received.value, 5);
  second.get().close(static_cast<handle>(accepted.value));
  first.get().close(static_cast<handle>(connected.value));
  first.get().close(listener);
}

TEST_P(real_loop, pins_its_thread) {
  cpu_set_t allowed;
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int core = 0;
  while (!CPU_ISSET(static_cast<unsigned>(core), &allowed)) ++core;
  const auto on = make({.core = core});
  cpu_set_t seen;
  CPU_ZERO(&seen);
  on->post([&] {
    ::sched_getaffinity(0, sizeof seen, &seen);
    on->stop();
  });
  std::thread([&] { on->run(); }).join();
  EXPECT_EQ(CPU_COUNT(&seen), 1);
  EXPECT_TRUE(CPU_ISSET(static_cast<unsigned>(core), &seen));
}

namespace {

/// A connected pair whose accepted end the first of two loops waits for, and then hands over to the second.
struct handed_pair {
  handle accepted = no_handle, peer = no_handle;
  bool was_readable = false, is_readable = false;
};

handed_pair go_over(real_driver& from, real_driver& to) {
  handed_pair made;
  const handle listener = to.get().listen({"127.0.0.1", 0}, 8).value();
  recorder accepting, connecting;
  to.get().accept(accepting, listener);
  to.get().connect(connecting, to.get().local_endpoint(listener).value());
  EXPECT_TRUE(to.until([&] { return accepting.completions && connecting.completions; }));
  to.get().close(listener);
  made.accepted = static_cast<handle>(accepting.value);
  made.peer = static_cast<handle>(connecting.value);
  const auto say = [&] {
    char octet = 'x';
    const iovec part{&octet, 1};
    EXPECT_EQ(to.get().send_now(made.peer, &part, 1), 1);
  };
  const auto hear = [&](real_driver& at) {
    std::uint8_t octet[4];
    recorder waiting;
    at.get().wait_readable(waiting, made.accepted);
    at.until([] { return true; });  // it sleeps on it
    say();
    const bool heard = at.until([&] { return waiting.completions == 1; });
    EXPECT_EQ(at.get().receive_now(made.accepted, octet), 1);
    return heard;
  };
  made.was_readable = hear(from);
  hand_over_socket(from.get(), made.accepted);
  made.is_readable = hear(to);
  to.get().close(made.accepted);
  to.get().close(made.peer);
  return made;
}

}  // namespace

/// Also a second time: its number has become another socket's meanwhile.
TEST_P(real_loop, a_socket_goes_over_to_another_loop) {
  real_driver from(GetParam()), to(GetParam());
  for (int i = 0; i < 3; ++i) {
    const handed_pair made = go_over(from, to);
    EXPECT_TRUE(made.was_readable && made.is_readable) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(kinds, real_loop, ::testing::Values(backend::uring, backend::epoll),
                         [](const auto& of) { return of.param == backend::uring ? "uring" : "epoll"; });

TEST(make_loop, refuses_a_core_that_is_not_there) {
  const auto made = make_loop({.core = 100'000});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, errc::invalid_argument);
}

TEST(make_loop, chooses_by_itself_and_says_why) {
  std::string why;
  const auto made = make_loop({}, &why);
  ASSERT_TRUE(made);
  EXPECT_EQ(why.empty(), std::string((*made)->kind()) == "io_uring");
}

TEST(make_loop, falls_back_to_epoll_where_io_uring_is_forbidden) {
  std::thread([] {
    if (!forbid_io_uring()) GTEST_SKIP() << "no seccomp here";
    std::string why;
    const auto made = make_loop({}, &why);
    ASSERT_TRUE(made);
    EXPECT_STREQ((*made)->kind(), "epoll");
    EXPECT_THAT(why, ::testing::HasSubstr("io_uring"));
    const auto insisting = make_loop({.kind = backend::uring});
    ASSERT_FALSE(insisting);
    EXPECT_EQ(insisting.error().code, errc::permission);
  }).join();
}

}  // namespace sluice::reactor
