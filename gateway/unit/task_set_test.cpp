#include "gateway/unit/test_fixture.hpp"

namespace sluice::unit {
namespace {

using port::task_attribute;
using port::task_function;
using port::task_response;
using scsi::sense_key;
using scsi::status;
namespace asc = scsi::asc;

TEST(task_set, ordered_tasks_keep_their_place) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    fixture_options how;
    how.seed = seed;
    how.delays = true;
    fixture s(how);
    s.late = true;
    initiator& a = s.add();
    std::vector<exchange*> before, after;
    for (int i = 0; i < 3; ++i) before.push_back(&a.send(write10(0, 1), filled(512, static_cast<std::uint8_t>(i))));
    exchange& ordered = a.send(write10(0, 1), filled(512, 100), 0, task_attribute::ordered);
    for (int i = 0; i < 3; ++i) after.push_back(&a.send(read10(0, 1), {}, 512));
    s.run();
    EXPECT_TRUE(ordered.good());
    for (exchange* e : before) EXPECT_LT(e->completed_at, ordered.completed_at);
    for (exchange* e : after) {
      EXPECT_GT(e->completed_at, ordered.completed_at);
      EXPECT_EQ(e->in, filled(512, 100));
    }
  }
}

TEST(task_set, head_of_queue_passes_what_waits) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  exchange& slow = a.send(write10(0, 8), filled(8 * 512, 1));
  exchange& ordered = a.send(write10(0, 1), filled(512, 2), 0, task_attribute::ordered);
  exchange& simple = a.send(read10(0, 1), {}, 512);
  exchange& head = a.send(test_unit_ready(), {}, 0, task_attribute::head_of_queue);
  s.run();
  EXPECT_TRUE(slow.good() && ordered.good() && simple.good() && head.good());
  EXPECT_LT(head.completed_at, ordered.completed_at);
  EXPECT_LT(ordered.completed_at, simple.completed_at);
}

TEST(task_set, an_ordered_task_waits_for_tasks_on_other_cores) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    fixture_options how;
    how.seed = seed;
    how.delays = true;
    how.shards = 3;
    fixture s(how);
    s.late = true;
    initiator& a = s.add(0);
    initiator& b = s.add(1);
    initiator& c = s.add(2);
    exchange& first = a.send(write10(0, 1), filled(512, 1));
    exchange& second = b.send(write10(0, 1), filled(512, 2), 0, task_attribute::ordered);
    exchange& third = c.send(write10(0, 1), filled(512, 3), 0, task_attribute::ordered);
    s.run();
    EXPECT_TRUE(first.good() && second.good() && third.good());
    exchange& r = s.done(a.send(read10(0, 1), {}, 512));
    EXPECT_EQ(r.in.size(), 512u);
    EXPECT_EQ(r.in, filled(512, r.in.at(0)));
  }
}

/// Two initiators on two cores count up with COMPARE AND WRITE: no step is lost.
TEST(task_set, compare_and_write_is_one_step_across_cores) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    fixture_options how;
    how.seed = seed;
    how.delays = true;
    how.shards = 3;
    fixture s(how);
    s.late = true;
    initiator* hosts[] = {&s.add(0), &s.add(1), &s.add(2)};
    int succeeded = 0;
    for (std::uint8_t round = 0; round < 5; ++round) {
      std::vector<exchange*> tries;
      octets data = filled(512, round);
      const octets next = filled(512, static_cast<std::uint8_t>(round + 1));
      data.insert(data.end(), next.begin(), next.end());
      for (initiator* i : hosts) tries.push_back(&i->send(compare_and_write16(3, 1), data));
      s.run();
      for (exchange* e : tries) {
        succeeded += e->good();
        EXPECT_TRUE(e->good() || e->sensed(sense_key::miscompare, asc::miscompare_during_verify));
      }
    }
    EXPECT_EQ(succeeded, 5);
  }
}

/// ORWRITE reads, then writes: a write that comes between would be lost.
TEST(task_set, no_write_comes_between_the_halves_of_or_write) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    fixture_options how;
    how.seed = seed;
    how.delays = true;
    how.shards = 2;
    fixture s(how);
    s.late = true;
    initiator& a = s.add(0);
    initiator& b = s.add(1);
    for (int round = 0; round < 40; ++round) {
      s.done(a.send(write10(0, 1), filled(512, 0)));
      exchange& ors = a.send(cdb16(0x8b, 0, 1), filled(512, 0xf0), 0, task_attribute::simple, 512);
      exchange& writes = b.send(write10(0, 1), filled(512, 0x0f), 0, task_attribute::simple, 512);
      s.run();
      ASSERT_TRUE(ors.good() && writes.good());
      const octets last = s.done(a.send(read10(0, 1), {}, 512)).in;
      ASSERT_TRUE(last == filled(512, 0x0f) || last == filled(512, 0xff)) << seed;
    }
  }
}

/// A writer whose data does not come does not hold up COMPARE AND WRITE of others, and goes on after it.
TEST(task_set, a_stalled_writer_does_not_hold_up_compare_and_write) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  initiator& b = s.add();
  a.stalled = true;
  exchange& w = a.send(write10(0, 4), filled(4 * 512, 5));
  s.run();
  EXPECT_EQ(w.completions, 0);
  octets both = filled(1024, 0);
  std::fill(both.begin() + 512, both.end(), std::uint8_t{9});
  EXPECT_TRUE(s.done(b.send(compare_and_write16(1, 1), both)).good());
  EXPECT_EQ(s.done(b.send(read10(1, 1), {}, 512)).in, filled(512, 9));
  a.release();
  s.run();
  EXPECT_TRUE(w.good());
  EXPECT_EQ(s.done(b.send(read10(0, 4), {}, 4 * 512)).in, filled(4 * 512, 5));
}

/// Nor does a COMPARE AND WRITE whose own data does not come.
TEST(task_set, a_stalled_compare_and_write_holds_up_nobody) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  initiator& b = s.add();
  octets both = filled(1024, 0);
  std::fill(both.begin() + 512, both.end(), std::uint8_t{9});
  a.stalled = true;
  exchange& slow = a.send(compare_and_write16(1, 1), both);
  s.run();
  EXPECT_EQ(slow.completions, 0);
  EXPECT_TRUE(s.done(b.send(write10(0, 4), filled(4 * 512, 5))).good());
  EXPECT_EQ(s.done(b.send(read10(0, 4), {}, 4 * 512)).in, filled(4 * 512, 5));
  a.release();
  s.run();
  EXPECT_TRUE(slow.sensed(sense_key::miscompare, scsi::asc::miscompare_during_verify));
  a.stalled = true;
  exchange& dropped = a.send(compare_and_write16(1, 1), both);
  s.run();
  managed& m = a.manage(task_function::abort_task, dropped.task.tag);
  s.run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_EQ(dropped.completions, 1);
  EXPECT_TRUE(dropped.silent);
  EXPECT_TRUE(s.done(b.send(write10(0, 4), filled(4 * 512, 6))).good()) << "it left no range lock behind";
}

/// A command that waits at the coordinator is not done any more once its abort has been answered.
TEST(task_set, an_aborted_command_at_the_coordinator_does_nothing) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  initiator& b = s.add();
  s.stalled.on = true;
  b.send(write10(0, 1), filled(512, 1));
  s.run();
  managed& clear = a.manage(task_function::clear_task_set);  // the coordinator waits for the task of b
  s.run();
  EXPECT_EQ(clear.answers, 0);
  octets list(24);
  list[15] = 7;  // SERVICE ACTION RESERVATION KEY
  exchange& registers = a.send({0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0}, list);
  s.run();
  managed& abort = a.manage(task_function::abort_task, registers.task.tag);
  s.run();
  EXPECT_EQ(abort.answers, 1);
  EXPECT_TRUE(registers.silent);
  s.end_stall();
  s.run();
  EXPECT_EQ(clear.answers, 1);
  const octets keys = s.done(a.send({0x5e, 0, 0, 0, 0, 0, 0, 0, 64, 0}, {}, 64)).in;
  ASSERT_EQ(keys.size(), 8u);
  EXPECT_EQ(keys[7], 0) << "no key is registered";
}

TEST(task_set, task_aborted_status_when_asked_for) {
  fixture s;
  initiator& a = s.add();
  initiator& b = s.add();
  octets page = s.done(a.send({0x1a, 8, 0x0a, 0, 252, 0}, {}, 252)).in;
  page[0] = page[2] = 0;
  page[4] &= 0x3f;
  page[4 + 5] |= 0x40;  // TAS
  const auto size = static_cast<std::uint8_t>(page.size());
  EXPECT_TRUE(s.done(a.send({0x15, 0x10, 0, 0, size, 0}, page)).good());
  s.done(b.send(test_unit_ready()));  // MODE PARAMETERS CHANGED
  b.stalled = true;
  exchange& theirs = b.send(write10(0, 1), filled(512, 1));
  s.run();
  managed& m = a.manage(task_function::clear_task_set);
  s.run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(theirs.ended_with(status::task_aborted));
  EXPECT_TRUE(s.done(b.send(test_unit_ready())).good());
}

TEST(task_set, an_aborted_task_is_done_with_the_medium_before_the_answer) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  exchange& w = a.send(write10(0, 1), filled(512, 1), 0, task_attribute::simple, 512);
  managed& m = a.manage(task_function::abort_task, w.task.tag);
  s.run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_EQ(m.request.response, task_response::function_complete);
  EXPECT_EQ(w.completions, 1);
  EXPECT_TRUE(w.silent);
  managed& again = a.manage(task_function::abort_task, w.task.tag);
  s.run();
  EXPECT_EQ(again.request.response, task_response::task_does_not_exist);
}

TEST(task_set, queries) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  exchange& w = a.send(write10(0, 1), filled(512, 1));
  managed& one = a.manage(task_function::query_task, w.task.tag);
  managed& set = a.manage(task_function::query_task_set);
  s.run();
  EXPECT_EQ(one.request.response, task_response::function_succeeded);
  EXPECT_EQ(set.request.response, task_response::function_succeeded);
  managed& later = a.manage(task_function::query_task, w.task.tag);
  managed& aca = a.manage(task_function::clear_aca);
  s.run();
  EXPECT_EQ(later.request.response, task_response::function_complete);
  EXPECT_EQ(aca.request.response, task_response::not_supported);
}

TEST(task_set, abort_task_set_spares_other_nexuses) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  initiator& b = s.add();
  exchange& mine = a.send(write10(0, 1), filled(512, 1));
  exchange& waits = a.send(write10(0, 1), filled(512, 1), 0, task_attribute::ordered);
  exchange& theirs = b.send(write10(1, 1), filled(512, 1));
  managed& m = a.manage(task_function::abort_task_set);
  s.run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(mine.silent && waits.silent);
  EXPECT_TRUE(theirs.good());
}

TEST(task_set, clear_task_set_tells_the_others) {
  for (unsigned shards : {1u, 2u}) {
    fixture_options how;
    how.shards = shards;
    fixture s(how);
    s.late = true;
    initiator& a = s.add(0);
    initiator& b = s.add(shards - 1);
    exchange& theirs = b.send(write10(1, 1), filled(512, 1));
    exchange& mine = a.send(write10(0, 1), filled(512, 1));
    managed& m = a.manage(task_function::clear_task_set);
    s.run();
    EXPECT_EQ(m.answers, 1);
    EXPECT_EQ(mine.completions, 1);
    if (!theirs.silent) continue;  // it was done before the message came across
    EXPECT_TRUE(s.done(b.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::commands_cleared));
    EXPECT_TRUE(s.done(a.send(test_unit_ready())).good());
  }
}

/// With TAS = 1, tasks that the reset of another nexus ends say so, also when it brings back TAS = 0.
TEST(task_set, a_reset_by_another_nexus_gives_task_aborted_when_asked_for) {
  for (const bool saved : {false, true}) {
    fixture_options how;
    how.shards = 2;
    fixture s(how);
    initiator& a = s.add(0);
    initiator& b = s.add(1);
    octets page = s.done(a.send({0x1a, 8, 0x0a, 0, 252, 0}, {}, 252)).in;
    page[0] = page[2] = 0;
    page[4] &= 0x3f;
    page[4 + 5] |= 0x40;  // TAS
    const octets select{0x15, static_cast<std::uint8_t>(saved ? 0x11 : 0x10), 0,
                        0,    static_cast<std::uint8_t>(page.size()),         0};
    ASSERT_TRUE(s.done(a.send(select, page)).good());
    EXPECT_FALSE(s.done(b.send(test_unit_ready())).good());
    a.stalled = b.stalled = true;
    exchange& own = a.send(write10(0, 1), filled(512, 1));
    exchange& others = b.send(write10(1, 1), filled(512, 1));
    s.run();
    EXPECT_EQ(own.completions + others.completions, 0);
    managed& m = a.manage(task_function::logical_unit_reset);
    s.run();
    EXPECT_EQ(m.answers, 1);
    EXPECT_TRUE(others.ended_with(status::task_aborted)) << saved;
    EXPECT_TRUE(own.silent);
    EXPECT_EQ(s.coordinator->snapshot()->mode.task_aborted_status, saved);
  }
}

/// What arrives at another core after an ORDERED task has arrived waits for it, also while that task itself waits.
TEST(task_set, a_simple_task_does_not_overtake_an_ordered_one_that_waits_on_another_core) {
  fixture_options how;
  how.shards = 2;
  fixture s(how);
  s.late = true;
  initiator& a = s.add(0);
  initiator& b = s.add(1);
  octets both = filled(1024, 0);
  s.stalled.on = true;
  exchange& locks = b.send(compare_and_write16(0, 1), both);
  s.run();
  exchange& older = a.send(write10(0, 1), filled(512, 1));  // waits for the blocks
  exchange& ordered = a.send(write10(9, 1), filled(512, 1), 0, task_attribute::ordered);
  s.run();
  s.stalled.on = false;
  exchange& simple = b.send(write10(9, 1), filled(512, 2));
  exchange& head = b.send(test_unit_ready(), {}, 0, task_attribute::head_of_queue);
  s.run();
  EXPECT_EQ(locks.completions + older.completions + ordered.completions + simple.completions, 0);
  EXPECT_TRUE(head.good());
  s.end_stall();
  s.run();
  EXPECT_TRUE(locks.good() && older.good() && ordered.good() && simple.good());
  EXPECT_LT(locks.completed_at, older.completed_at);
  EXPECT_LT(older.completed_at, ordered.completed_at);
  EXPECT_LT(ordered.completed_at, simple.completed_at);
  EXPECT_EQ(s.done(a.send(read10(9, 1), {}, 512)).in, filled(512, 2));
}

/// The range lock of an ORDERED task waits for its host's simple task, which an ORDERED task of another host has
/// overtaken in the order of range locks, though not in that of arrival.
TEST(task_set, a_range_lock_that_is_held_lets_go_what_it_waits_for) {
  fixture_options how;
  how.shards = 2;
  fixture s(how);
  s.late = true;
  initiator &elsewhere = s.add(1), &late = s.add(0), &host = s.add(0);
  const auto ordered = [](initiator& by, std::uint32_t lba, std::size_t immediate) -> exchange& {
    return by.send(write10(lba, 1), filled(512, 1), 0, task_attribute::ordered, immediate);
  };
  s.stalled.on = true;
  exchange& first = ordered(elsewhere, 0, 512);
  s.run();
  late.stalled = true;
  exchange& owes = ordered(late, 1, 0);
  s.run();
  exchange& simple = host.send(read10(5, 1), {}, 512);
  exchange& waits = ordered(host, 2, 512);
  s.run();
  late.release();
  s.run();
  EXPECT_EQ(first.completions + owes.completions + simple.completions + waits.completions, 0);
  s.end_stall();
  s.run();
  EXPECT_TRUE(first.good() && simple.good() && waits.good() && owes.good());
  EXPECT_LT(simple.completed_at, waits.completed_at);
}

/// ORDERED tasks, locks and data that come late, on several cores: everything ends, each host's order is kept.
TEST(task_set, ordered_tasks_and_locks_of_several_cores_always_end) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    fixture_options how;
    how.seed = seed;
    how.delays = true;
    how.shards = 3;
    fixture s(how);
    s.late = seed % 2 == 0;
    std::vector<initiator*> hosts;
    for (unsigned i = 0; i < 5; ++i) hosts.push_back(&s.add(i % 3));
    for (int i = 0; i < 60; ++i) {
      initiator& host = *hosts[s.later.random() % hosts.size()];
      const auto lba = static_cast<std::uint32_t>(s.later.random() % 4);
      const auto attribute = static_cast<task_attribute>(s.later.random() % 3);
      const std::size_t immediate = s.later.random() % 2 * 512;
      switch (s.later.random() % 6) {
        case 0:
          host.send(compare_and_write16(lba, 1), filled(1024, 0), 0, attribute, immediate);
          break;
        case 1:
          host.send(cdb16(0x8b, lba, 2), filled(1024, 0), 0, attribute, immediate);
          break;
        case 2:
          host.send(cdb16(0x8e, lba, 2), filled(1024, 0), 0, attribute, immediate);
          break;
        case 3:
          host.send(write10(lba, 3), filled(1536, 0), 0, attribute, immediate);
          break;
        default:
          host.send(read10(lba, 2), {}, 1024, attribute);
      }
      for (std::uint64_t n = s.later.random() % 20; n > 0 && !s.later.empty(); --n) s.later.step();
    }
    s.run();
    for (const initiator* host : hosts) {
      std::uint64_t last = 0;
      for (const exchange& e : host->exchanges) {
        ASSERT_TRUE(e.good()) << seed;
        if (e.task.attribute != task_attribute::ordered) continue;
        EXPECT_GT(e.completed_at, last) << seed;
        last = e.completed_at;
      }
    }
  }
}

TEST(task_set, logical_unit_reset) {
  fixture_options how;
  how.shards = 2;
  fixture s(how);
  s.late = true;
  initiator& a = s.add(0);
  initiator& b = s.add(1);
  EXPECT_TRUE(s.done(b.send({0x16, 0, 0, 0, 0, 0})).good());  // RESERVE(6)
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).ended_with(status::reservation_conflict));
  managed& m = a.manage(task_function::logical_unit_reset);
  s.run();
  EXPECT_EQ(m.answers, 1);
  for (initiator* i : {&a, &b}) {
    EXPECT_TRUE(s.done(i->send(read10(0, 1), {}, 512)).sensed(sense_key::unit_attention, asc::bus_device_reset));
    EXPECT_TRUE(s.done(i->send(read10(0, 1), {}, 512)).good());
  }
}

TEST(task_set, i_t_nexus_reset_releases_what_the_nexus_had) {
  fixture s;
  initiator& a = s.add();
  initiator& b = s.add();
  EXPECT_TRUE(s.done(a.send({0x16, 0, 0, 0, 0, 0})).good());
  EXPECT_TRUE(s.done(b.send(read10(0, 1), {}, 512)).ended_with(status::reservation_conflict));
  managed& m = a.manage(task_function::i_t_nexus_reset);
  s.run();
  EXPECT_EQ(m.answers, 1);
  EXPECT_TRUE(s.done(b.send(read10(0, 1), {}, 512)).good());
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::i_t_nexus_loss));
}

TEST(task_set, reserve_ends_with_the_nexus) {
  fixture_options how;
  how.shards = 2;
  fixture s(how);
  initiator& a = s.add(0);
  initiator& b = s.add(1);
  EXPECT_TRUE(s.done(a.send({0x16, 0, 0, 0, 0, 0})).good());
  EXPECT_TRUE(s.done(b.send({0x16, 0, 0, 0, 0, 0})).ended_with(status::reservation_conflict));
  EXPECT_TRUE(s.done(b.send({0x17, 0, 0, 0, 0, 0})).good());  // not its own: nothing happens
  EXPECT_TRUE(s.done(b.send(write10(0, 1), filled(512, 1))).ended_with(status::reservation_conflict));
  EXPECT_TRUE(s.done(b.send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good());
  s.remove(a);
  EXPECT_TRUE(s.done(b.send(write10(0, 1), filled(512, 1))).good());
}

TEST(task_set, tasks_of_a_lost_nexus_end_silently) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  initiator& b = s.add();
  std::vector<exchange*> sent;
  for (int i = 0; i < 4; ++i) sent.push_back(&a.send(write10(0, 1), filled(512, 1), 0, task_attribute::ordered));
  for (int i = 0; i < 9; ++i) s.later.step();
  bool gone = false;
  s.shards[0]->detach(a.identity->id, port::loss_reason::connection_lost, [&] { gone = true; });
  s.run();
  EXPECT_TRUE(gone);
  for (exchange* e : sent) EXPECT_EQ(e->completions, 1);
  EXPECT_TRUE(sent.back()->silent);
  EXPECT_TRUE(s.done(b.send(write10(0, 1), filled(512, 1))).good());
  s.initiators.remove_if([&](const initiator& i) { return &i == &a; });
}

TEST(task_set, tasks_of_a_unit_that_is_unmapped_are_done_and_answered) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  initiator& b = s.add();
  std::vector<exchange*> sent;
  for (int i = 0; i < 4; ++i) sent.push_back(&a.send(write10(0, 1), filled(512, 1), 0, task_attribute::ordered, 512));
  for (int i = 0; i < 9; ++i) s.later.step();
  bool gone = false;
  s.shards[0]->detach(a.identity->id, port::loss_reason::unit_removed, [&] { gone = true; });
  EXPECT_FALSE(gone);
  s.run();
  EXPECT_TRUE(gone);
  for (exchange* e : sent) {
    EXPECT_EQ(e->completions, 1);
    EXPECT_TRUE(e->good());
    EXPECT_FALSE(e->silent);
  }
  EXPECT_TRUE(s.done(b.send(write10(0, 1), filled(512, 1))).good());
  s.initiators.remove_if([&](const initiator& i) { return &i == &a; });
}

TEST(task_set, a_nexus_that_leaves_is_gone_with_the_last_task_that_a_reset_of_another_one_aborts) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    fixture_options how;
    how.seed = seed;
    how.delays = true;
    fixture s(how);
    s.late = true;
    std::vector<initiator*> leave;
    for (int i = 0; i < 3; ++i) leave.push_back(&s.add());
    initiator& stays = s.add();
    exchange& slow = stays.send(write10(0, 1), filled(512, 1));
    for (initiator* each : leave) each->send(read10(0, 1), {}, 512, task_attribute::ordered);
    int gone = 0;
    for (const initiator* each : leave)
      s.shards[0]->detach(each->identity->id, port::loss_reason::unit_removed, [&] { ++gone; });
    managed& reset = stays.manage(task_function::logical_unit_reset);
    s.run();
    EXPECT_EQ(reset.answers, 1);
    EXPECT_EQ(slow.completions, 1);
    EXPECT_EQ(gone, 3);
    for (const initiator* each : leave) {
      EXPECT_EQ(each->exchanges.front().completions, 1);
      s.initiators.remove_if([&](const initiator& one) { return &one == each; });
    }
  }
}

TEST(task_set, counters) {
  fixture s;
  initiator& a = s.add();
  s.done(a.send(write10(0, 2), filled(1024, 1)));
  s.done(a.send(read10(0, 1), {}, 512));
  s.done(a.send(read10(9000, 1), {}, 512));
  const observe::unit_counters& c = s.shards[0]->counters();
  EXPECT_EQ(c.of(observe::command_class::write).octets, 1024u);
  EXPECT_EQ(c.of(observe::command_class::read).octets, 512u);
  EXPECT_EQ(c.of(observe::command_class::read).latency.count(), 2u);
  EXPECT_EQ(c.of(observe::command_class::read).failed, 1u);
}

/// What a host asks to learn what a disk has, and what it is told of others' doings, is no error.
TEST(task_set, unit_attentions_and_what_is_not_supported_are_counted_apart_from_errors) {
  fixture s;
  initiator& a = s.add(0, {}, true);
  const observe::unit_counters& c = s.shards[0]->counters();
  EXPECT_TRUE(s.done(a.send(read10(0, 1), {}, 512)).sensed(scsi::sense_key::unit_attention, asc::power_on_occurred) ||
              c.of(observe::command_class::read).attentions > 0);
  const auto before = c.of(observe::command_class::read);
  EXPECT_EQ(before.attentions, 1u);
  EXPECT_EQ(before.failed, 0u);
  octets no_such_page(6);
  no_such_page[0] = 0x12;  // INQUIRY
  no_such_page[1] = 1;     // EVPD
  no_such_page[2] = 0xb7;
  no_such_page[4] = 255;
  for (const octets& probing : {no_such_page, cdb10(0x4d, 0, 64), cdb10(0xc1, 0, 0)})
    EXPECT_TRUE(s.done(a.send(probing, {}, 255)).ended_with(scsi::status::check_condition));
  EXPECT_EQ(c.of(observe::command_class::other).unsupported, 3u);
  EXPECT_EQ(c.of(observe::command_class::other).failed, 0u);
  EXPECT_TRUE(s.done(a.send(read10(9000, 1), {}, 512)).ended_with(scsi::status::check_condition));
  EXPECT_EQ(c.of(observe::command_class::read).failed, 1u) << "beyond the end";
  EXPECT_EQ(c.of(observe::command_class::read).unsupported, 0u);
}

}  // namespace
}  // namespace sluice::unit
