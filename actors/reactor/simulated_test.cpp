#include "actors/reactor/simulated.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <set>
#include <vector>

#include "actors/reactor/loop_driver.hpp"

namespace sluice::reactor {
namespace {

using octets = std::vector<std::uint8_t>;

octets filled(std::size_t size, std::uint8_t with) {
  return octets(size, with);
}

/// A world, a loop in it, and requests that run to their end.
struct one_machine {
  sim_world world;
  std::unique_ptr<loop> on;

  explicit one_machine(std::uint64_t seed, sim_options options = {}) : world(seed, options), on(world.make_loop(0)) {}
  std::int64_t finish(recorder& op) {
    EXPECT_TRUE(world.run_until([&] { return op.completions > 0; }, world.now_ns() + 60 * ns_per_s));
    return op.value;
  }
  std::int64_t write(handle h, const octets& data, std::uint64_t offset, bool durable = false) {
    recorder op;
    const iovec part{const_cast<std::uint8_t*>(data.data()), data.size()};
    on->write(op, h, &part, 1, offset, durable);
    return finish(op);
  }
  std::int64_t sync(handle h) {
    recorder op;
    on->sync(op, h);
    return finish(op);
  }
  std::int64_t read(handle h, octets& into, std::uint64_t offset) {
    recorder op;
    const iovec part{into.data(), into.size()};
    on->read(op, h, &part, 1, offset);
    return finish(op);
  }
  octets read_all(handle h, std::size_t size) {
    octets all(size);
    EXPECT_EQ(read(h, all, 0), static_cast<std::int64_t>(size));
    return all;
  }
  handle open(const char* path = "/disk") { return on->open_file(path, {.create = true}).value(); }
};

struct two_machines {
  sim_world world;
  std::unique_ptr<loop> near, far;
  handle listener, client = no_handle, server = no_handle;

  explicit two_machines(std::uint64_t seed, sim_options options = {})
      : world(seed, options),
        near(world.make_loop(0)),
        far(world.make_loop(1)),
        listener(far->listen({"10.0.0.2", 3260}, 8).value()) {}
  bool connect() {
    recorder accepted, connected;
    far->accept(accepted, listener);
    near->connect(connected, {"10.0.0.2", 3260});
    const bool both = run([&] { return accepted.completions && connected.completions; });
    server = static_cast<handle>(accepted.value);
    client = static_cast<handle>(connected.value);
    return both && server >= 0 && client >= 0;
  }
  bool run(const std::function<bool()>& done, std::uint64_t at_most_ns = 30 * ns_per_s) {
    return world.run_until(done, world.now_ns() + at_most_ns);
  }
  std::int64_t send(std::size_t size) {
    octets data = filled(size, 7);
    const iovec part{data.data(), data.size()};
    return near->send_now(client, &part, 1);
  }
};

/// A history that touches everything that draws from the seed.
std::uint64_t busy_history(std::uint64_t seed) {
  two_machines of(seed, {.reset = 0.01, .read_error = 0.1, .write_error = 0.1});
  if (!of.connect()) return of.world.digest();
  const handle file = of.far->open_file("/busy", {.create = true}).value();
  octets into(5000), block = filled(3000, 3);
  const iovec part{block.data(), block.size()};
  std::array<recorder, 8> writes;
  recorder receiving, reading;
  for (int round = 0; round < 30; ++round) {
    of.send(4000);
    if (!receiving.in_flight()) of.far->receive(receiving, of.server, into);
    for (recorder& op : writes)
      if (!op.in_flight()) of.far->write(op, file, &part, 1, of.world.below(100'000), of.world.chance(0.5));
    of.world.run_for(of.world.below(3 * ns_per_ms));
  }
  of.world.crash();
  return of.world.digest();
}

}  // namespace

TEST(simulated, the_same_seed_replays_the_same_history) {
  std::set<std::uint64_t> different;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const std::uint64_t first = busy_history(seed);
    EXPECT_EQ(first, busy_history(seed)) << seed;
    different.insert(first);
  }
  EXPECT_EQ(different.size(), 20u);
}

TEST(simulated, time_is_virtual_and_timers_jump_to_it) {
  one_machine of(1);
  const std::uint64_t start = of.world.now_ns();
  bool fired = false;
  alarm daily([&] { fired = true; });
  of.on->arm(daily, 24 * 3600 * ns_per_s);
  EXPECT_FALSE(of.world.run_until([&] { return fired; }, start + 23 * 3600 * ns_per_s));
  EXPECT_EQ(of.world.now_ns(), start + 23 * 3600 * ns_per_s);
  EXPECT_TRUE(of.world.run_until([&] { return fired; }, start + 25 * 3600 * ns_per_s));
  EXPECT_FALSE(of.world.step()) << "nothing is left to happen";
}

TEST(simulated, only_the_running_loop_runs_here) {
  two_machines of(1);
  EXPECT_TRUE(of.near->runs_here() && of.far->runs_here());
  bool ran = false;
  of.near->post([&] {
    EXPECT_TRUE(of.near->runs_here());
    EXPECT_FALSE(of.far->runs_here());
    ran = true;
  });
  EXPECT_TRUE(of.run([&] { return ran; }));
}

RC_GTEST_PROP(simulated, a_crash_loses_only_what_was_not_durable, ()) {
  constexpr std::size_t sectors = 32;
  one_machine of(*rc::gen::arbitrary<std::uint64_t>());
  handle h = of.open();
  RC_ASSERT(of.on->resize_file(h, sectors * 512).has_value());
  // Which contents each sector may hold after a crash: the durable one first, then those written since.
  std::vector<octets> possible(sectors, octets{0});
  std::uint8_t next = 1;
  const auto steps = *rc::gen::container<std::vector<std::tuple<unsigned, std::size_t, std::size_t>>>(rc::gen::tuple(
      rc::gen::inRange(0u, 10u), rc::gen::inRange<std::size_t>(0, sectors), rc::gen::inRange<std::size_t>(1, 6)));
  for (const auto& [what, first, length] : steps) {
    const std::size_t end = std::min(first + length, sectors);
    if (what == 0) {
      RC_ASSERT(of.sync(h) == 0);
      for (octets& each : possible) each = {each.back()};
    } else if (what == 1) {
      of.world.crash();
      h = of.open();
      const octets all = of.read_all(h, sectors * 512);
      for (std::size_t i = 0; i < sectors; ++i) {
        const std::uint8_t found = all[i * 512];
        RC_ASSERT(octets(&all[i * 512], &all[i * 512] + 512) == filled(512, found));
        RC_ASSERT(std::count(possible[i].begin(), possible[i].end(), found) > 0);
        possible[i] = {found};
      }
    } else {
      const bool durable = what < 4;
      const auto size = static_cast<std::int64_t>((end - first) * 512);
      RC_ASSERT(of.write(h, filled((end - first) * 512, next), first * 512, durable) == size);
      for (std::size_t i = first; i < end; ++i) {
        if (durable) possible[i].clear();
        possible[i].push_back(next);
      }
      ++next;
    }
  }
}

TEST(simulated, a_crash_does_lose_and_tear_now_and_then) {
  bool lost = false, kept = false, torn = false;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    one_machine of(seed);
    const handle h = of.open();
    EXPECT_EQ(of.write(h, filled(1024, 1), 0, true), 1024);
    EXPECT_EQ(of.write(h, filled(1024, 2), 0), 1024);
    of.world.crash();
    const octets all = of.read_all(of.open(), 1024);
    lost |= all[0] == 1;
    kept |= all[0] == 2;
    torn |= all[0] != all[512];
  }
  EXPECT_TRUE(lost && kept && torn);
}

TEST(simulated, a_crash_forgets_what_was_under_way) {
  two_machines of(3);
  ASSERT_TRUE(of.connect());
  recorder receiving, writing, surviving;
  octets into(10), there(10), block = filled(512, 1);
  const iovec part{block.data(), block.size()};
  bool ran = false;
  step never([&] { ran = true; });
  alarm silent([&] { ran = true; });
  of.far->receive(receiving, of.server, into);
  of.far->write(writing, of.far->open_file("/file", {.create = true}).value(), &part, 1, 0, false);
  of.far->defer(never);
  of.far->arm(silent, ns_per_ms);
  of.near->receive(surviving, of.client, there);
  of.world.crash(1);
  EXPECT_FALSE(receiving.in_flight() || writing.in_flight() || never.queued_ || silent.armed());
  EXPECT_TRUE(of.run([&] { return surviving.completions > 0; }));
  EXPECT_EQ(surviving.value, -ECONNRESET);
  of.world.run_for(ns_per_s);
  EXPECT_EQ(receiving.completions + writing.completions, 0);
  EXPECT_FALSE(ran);
  // The same machine serves again.
  of.listener = of.far->listen({"10.0.0.2", 3260}, 8).value();
  EXPECT_TRUE(of.connect());
}

TEST(simulated, a_killed_process_leaves_what_it_wrote_to_the_page_cache) {
  bool whole = false, nothing = false;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    one_machine of(seed);
    const handle h = of.open();
    EXPECT_EQ(of.write(h, filled(2048, 1), 0), 2048);
    recorder under_way;
    octets block = filled(1024, 2);
    const iovec part{block.data(), block.size()};
    of.on->write(under_way, h, &part, 1, 1024, true);
    of.world.kill(0);
    EXPECT_FALSE(under_way.in_flight());
    const octets all = of.read_all(of.open(), 2048);
    EXPECT_EQ(all[0], 1) << "not durable, and there all the same";
    whole |= all[1024] == 2 && all[1536] == 2;
    nothing |= all[1024] == 1 && all[1536] == 1;
  }
  EXPECT_TRUE(whole && nothing);
}

TEST(simulated, an_unplugged_loop_lives_on_with_copies_of_its_files) {
  for (const auto how : {sim_world::ending::machine, sim_world::ending::process}) {
    one_machine of(1);
    std::unique_ptr<loop> other = of.world.make_loop(1);
    const handle h = of.open();
    EXPECT_EQ(of.write(h, filled(512, 1), 0, true), 512);
    EXPECT_EQ(of.write(h, filled(512, 1), 512), 512);
    recorder under_way;
    octets block = filled(512, 2);
    const iovec part{block.data(), block.size()};
    of.on->write(under_way, h, &part, 1, 0, false);
    of.world.faults("/disk").gone = true;
    of.world.unplug(0, how);
    EXPECT_EQ(of.finish(under_way), -EIO);
    of.world.faults("/disk").gone = false;
    EXPECT_EQ(of.write(h, filled(1024, 3), 0, true), 1024);
    EXPECT_EQ(of.read_all(h, 1024), filled(1024, 3));
    of.on.swap(other);
    const octets seen = of.read_all(of.open(), 1024);
    EXPECT_TRUE(seen[0] == 1 || seen[0] == 2) << "what was under way may have happened";
    if (how == sim_world::ending::process) {
      EXPECT_EQ(seen[512], 1) << "the page cache stays";
    } else {
      EXPECT_LE(seen[512], 1);
    }
  }
}

TEST(simulated, media_fail_where_told_until_written_anew) {
  one_machine of(1);
  const handle h = of.open();
  EXPECT_EQ(of.write(h, filled(4096, 1), 0), 4096);
  of.world.medium_error("/disk", 1024, 512);
  octets into(512);
  EXPECT_EQ(of.read(h, into, 0), 512);
  EXPECT_EQ(of.read(h, into, 1024), -EIO);
  EXPECT_EQ(of.read(h, into, 1000), -EIO);
  EXPECT_EQ(of.write(h, filled(512, 2), 1024), 512);
  EXPECT_EQ(of.read(h, into, 1024), 512);
  EXPECT_EQ(into[0], 2);
}

TEST(simulated, direct_files_insist_on_alignment) {
  one_machine of(1);
  const handle h = of.on->open_file("/direct", {.create = true, .direct = true}).value();
  alignas(512) static std::uint8_t block[512];
  for (const auto& [base, size, offset, expected] : {std::tuple{0, 512, 0, 512}, std::tuple{0, 512, 100, -EINVAL},
                                                     std::tuple{1, 511, 0, -EINVAL}, std::tuple{0, 100, 0, -EINVAL}}) {
    recorder op;
    const iovec part{block + base, static_cast<std::size_t>(size)};
    of.on->write(op, h, &part, 1, static_cast<std::uint64_t>(offset), false);
    EXPECT_EQ(of.finish(op), expected);
  }
}

TEST(simulated, probable_disk_errors_happen) {
  one_machine of(1, {.read_error = 0.5, .write_error = 0.5});
  const handle h = of.open();
  std::set<std::int64_t> results;
  octets into(512);
  for (int i = 0; i < 50; ++i) {
    results.insert(of.write(h, filled(512, 1), 0));
    results.insert(of.read(h, into, 0));
  }
  EXPECT_TRUE(results.contains(-EIO) && results.contains(512));
}

TEST(simulated, a_stalled_connection_delivers_later) {
  two_machines of(1);
  ASSERT_TRUE(of.connect());
  of.world.stall(of.client, ns_per_s);
  recorder receiving;
  octets into(10);
  EXPECT_GT(of.send(10), 0);
  of.far->receive(receiving, of.server, into);
  EXPECT_FALSE(of.run([&] { return receiving.completions > 0; }, 900 * ns_per_ms));
  EXPECT_TRUE(of.run([&] { return receiving.completions > 0; }, 200 * ns_per_ms));
  EXPECT_EQ(into[0], 7);
}

TEST(simulated, a_partition_holds_data_and_times_connecting_out) {
  two_machines of(2);
  ASSERT_TRUE(of.connect());
  of.world.partition(0, 1, true);
  recorder receiving, connecting;
  octets into(10);
  EXPECT_GT(of.send(10), 0);
  of.far->receive(receiving, of.server, into);
  of.near->connect(connecting, {"10.0.0.2", 3260});
  EXPECT_TRUE(of.run([&] { return connecting.completions > 0; }));
  EXPECT_EQ(connecting.value, -ETIMEDOUT);
  EXPECT_EQ(receiving.completions, 0);
  of.world.partition(1, 0, false);
  EXPECT_TRUE(of.run([&] { return receiving.completions > 0; }));
  EXPECT_GT(receiving.value, 0);
}

TEST(simulated, a_reset_breaks_both_ends) {
  two_machines of(2);
  ASSERT_TRUE(of.connect());
  recorder near, far;
  octets a(10), b(10);
  of.near->receive(near, of.client, a);
  of.far->receive(far, of.server, b);
  of.world.reset_connection(of.server);
  EXPECT_TRUE(of.run([&] { return near.completions && far.completions; }));
  EXPECT_EQ(near.value, -ECONNRESET);
  EXPECT_EQ(far.value, -ECONNRESET);
  EXPECT_EQ(of.send(1), -EPIPE);
}

TEST(simulated, sends_are_bounded_and_short_at_times) {
  two_machines of(4, {.send_buffer_bytes = 10'000, .short_send = 0.5});
  ASSERT_TRUE(of.connect());
  std::int64_t total = 0;
  std::set<std::int64_t> sizes;
  for (std::int64_t sent = 0; sent != -EAGAIN; sent = of.send(3000)) {
    sizes.insert(sent);
    total += sent;
  }
  EXPECT_EQ(total, 10'000);
  EXPECT_GT(sizes.size(), 2u);
  recorder writable;
  of.near->wait_writable(writable, of.client);
  of.world.run_for(ns_per_s);
  EXPECT_EQ(writable.completions, 0);
  recorder receiving;
  octets into(100);
  of.far->receive(receiving, of.server, into);
  EXPECT_TRUE(of.run([&] { return writable.completions > 0; }));
  EXPECT_EQ(writable.value, 0);
  EXPECT_GT(of.send(1), 0);
}

}  // namespace sluice::reactor
