#include "gateway/unit/jobs.hpp"
#include "gateway/unit/test_fixture.hpp"

namespace sluice::unit {
namespace {

using scsi::sense_key;
using scsi::status;
namespace asc = scsi::asc;

TEST(unit_read_write, what_was_written_is_read) {
  fixture s;
  initiator& a = s.add();
  const octets data = patterned(8 * 512, 3);
  EXPECT_TRUE(s.done(a.send(write10(16, 8), data, 0, port::task_attribute::simple, data.size())).good());
  exchange& r = s.done(a.send(read10(16, 8), {}, 8 * 512));
  EXPECT_TRUE(r.good());
  EXPECT_EQ(r.in, data);
  EXPECT_EQ(r.task.length_in, 8u * 512);
  EXPECT_EQ(r.events, 0);
}

TEST(unit_read_write, large_transfers_go_in_windows) {
  for (bool late : {false, true}) {
    fixture s;
    s.late = late;
    initiator& a = s.add();
    a.identity->caps.max_get_bytes = 256 * 1024;
    a.identity->caps.may_borrow = false;
    const octets data = patterned(5000 * 512, 9);
    exchange& w = s.done(a.send(cdb16(0x8a, 7, 5000), data, 0, port::task_attribute::simple, 65536));
    EXPECT_TRUE(w.good());
    EXPECT_GE(w.events, 9);
    exchange& r = s.done(a.send(cdb16(0x88, 7, 5000), {}, data.size()));
    EXPECT_TRUE(r.good());
    EXPECT_TRUE(r.in == data);
    EXPECT_EQ(r.events, 2);
  }
}

TEST(unit_read_write, lent_memory_goes_in_windows_too) {
  fixture s;
  initiator& a = s.add();
  const octets data = patterned(5000 * 512, 9);
  EXPECT_TRUE(s.done(a.send(cdb16(0x8a, 7, 5000), data)).good());
  exchange& r = s.done(a.send(cdb16(0x88, 7, 5000), {}, data.size() - 100));
  EXPECT_TRUE(r.good());
  EXPECT_EQ(r.in, octets(data.begin(), data.end() - 100));
  EXPECT_EQ(r.events, 2);
}

TEST(unit_read_write, the_initiator_has_less_room_than_it_reads) {
  for (bool borrow : {false, true}) {
    fixture s;
    initiator& a = s.add();
    a.identity->caps.may_borrow = borrow;
    const octets data = patterned(4 * 512, 1);
    s.done(a.send(write10(0, 4), data));
    exchange& r = s.done(a.send(read10(0, 4), {}, 700));
    EXPECT_TRUE(r.good());
    EXPECT_EQ(r.task.length_in, 4u * 512);
    EXPECT_EQ(r.in, octets(data.begin(), data.begin() + 700));
    EXPECT_TRUE(s.done(a.send(read10(0, 4))).good());
  }
}

TEST(unit_read_write, the_initiator_sends_less_or_more_than_it_writes) {
  fixture s;
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(write10(0, 2), filled(512, 0xaa))).good());
  EXPECT_TRUE(s.done(a.send(write10(4, 1), filled(1024, 0xbb))).good());
  exchange& r = s.done(a.send(read10(0, 6), {}, 6 * 512));
  EXPECT_EQ(octets(r.in.begin(), r.in.begin() + 512), filled(512, 0xaa));
  EXPECT_EQ(octets(r.in.begin() + 512, r.in.begin() + 4 * 512), filled(3 * 512, 0));
  EXPECT_EQ(octets(r.in.begin() + 4 * 512, r.in.begin() + 5 * 512), filled(512, 0xbb));
  EXPECT_EQ(octets(r.in.begin() + 5 * 512, r.in.end()), filled(512, 0));
}

TEST(unit_read_write, data_that_end_within_a_block_are_refused) {
  fixture s;
  initiator& a = s.add();
  const octets write_and_verify = cdb10(0x2e, 0, 2), compare = cdb10(0x2f, 0, 2, 2), or_write = cdb16(0x8b, 0, 2);
  for (const octets& cdb : {write10(0, 2), write_and_verify, compare, or_write}) {
    exchange& e = s.done(a.send(cdb, filled(512 + 100, 0xaa)));
    EXPECT_TRUE(e.sensed(sense_key::illegal_request, asc::invalid_field_in_command_iu));
    EXPECT_EQ(e.task.residual_out().octets, 412u);
    EXPECT_TRUE(e.task.residual_out().over);
  }
  EXPECT_EQ(s.done(a.send(read10(0, 2), {}, 1024)).in, filled(1024, 0));
}

TEST(unit_read_write, beyond_the_last_block) {
  fixture s;
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(read10(8191, 2), {}, 1024)).sensed(sense_key::illegal_request, asc::lba_out_of_range));
  EXPECT_TRUE(
      s.done(a.send(write10(8192, 1), filled(512, 1))).sensed(sense_key::illegal_request, asc::lba_out_of_range));
  EXPECT_TRUE(s.done(a.send(read10(8191, 1), {}, 512)).good());
}

TEST(unit_read_write, failures_of_the_medium_have_their_sense) {
  fixture s;
  initiator& a = s.add();
  s.fails = [](const store::request&) { return store::status::medium_error; };
  exchange& r = s.done(a.send(read10(5, 2), {}, 1024));
  EXPECT_TRUE(r.sensed(sense_key::medium_error, asc::unrecovered_read_error));
  EXPECT_EQ(r.outcome.sense.information, 5u);
  EXPECT_TRUE(r.in.empty());
  EXPECT_TRUE(s.done(a.send(write10(5, 1), filled(512, 1))).sensed(sense_key::medium_error, asc::write_error));
  s.fails = [](const store::request&) { return store::status::no_space; };
  EXPECT_TRUE(
      s.done(a.send(write10(5, 1), filled(512, 1))).sensed(sense_key::data_protect, asc::space_allocation_failed));
}

TEST(unit_read_write, a_transfer_that_fails_ends_silently) {
  fixture s;
  initiator& a = s.add();
  exchange& w = a.send(write10(0, 1), filled(512, 1));
  w.loses_data = true;
  s.drain(w);
  EXPECT_TRUE(w.silent);
  EXPECT_EQ(s.done(a.send(read10(0, 1), {}, 512)).in, filled(512, 0));
}

TEST(unit_read_write, durable_when_fua_or_without_write_cache) {
  fixture s;
  initiator& a = s.add();
  std::vector<bool> durable;
  s.fails = [&](const store::request& r) {
    durable.push_back(r.fua);
    return store::status::good;
  };
  s.done(a.send(write10(0, 1), filled(512, 1)));
  s.done(a.send(write10(0, 1, true), filled(512, 1)));
  EXPECT_EQ(durable, (std::vector<bool>{false, true}));
}

TEST(unit_read_write, a_full_task_set) {
  fixture_options how;
  how.limits.max_tasks_per_nexus = 2;
  how.limits.max_tasks = 3;
  fixture s(how);
  s.late = true;
  initiator& a = s.add();
  initiator& b = s.add();
  initiator& c = s.add();
  a.identity->caps.may_borrow = false;
  std::vector<exchange*> sent;
  for (int i = 0; i < 3; ++i) sent.push_back(&a.send(read10(0, 1), {}, 512));
  for (int i = 0; i < 2; ++i) sent.push_back(&b.send(read10(0, 1), {}, 512));
  sent.push_back(&c.send(read10(0, 1), {}, 512));
  s.run();
  EXPECT_TRUE(sent[0]->good() && sent[1]->good() && sent[3]->good());
  EXPECT_TRUE(sent[2]->ended_with(status::task_set_full));
  EXPECT_TRUE(sent[4]->ended_with(status::task_set_full));
  EXPECT_TRUE(sent[5]->ended_with(status::busy)) << "none of its own could end first";
  EXPECT_EQ(s.shards[0]->counters().task_set_full, 3u);
}

struct ended_request final : store::request {
  void done(store::status) noexcept override {}
};

TEST(unit_read_write, every_status_of_the_medium_has_its_outcome) {
  struct row {
    store::status from;
    store::verb what;
    status to;
    sense_key key;
    scsi::additional_sense code;
  };
  using store::verb;
  const row table[] = {
      {store::status::good, verb::read, status::good, {}, 0},
      {store::status::miscompare, verb::compare_and_write, status::check_condition, sense_key::miscompare,
       asc::miscompare_during_verify},
      {store::status::medium_error, verb::read, status::check_condition, sense_key::medium_error,
       asc::unrecovered_read_error},
      {store::status::medium_error, verb::map, status::check_condition, sense_key::medium_error,
       asc::unrecovered_read_error},
      {store::status::medium_error, verb::write, status::check_condition, sense_key::medium_error, asc::write_error},
      {store::status::medium_error, verb::flush, status::check_condition, sense_key::medium_error, asc::write_error},
      {store::status::no_space, verb::write, status::check_condition, sense_key::data_protect,
       asc::space_allocation_failed},
      {store::status::write_protected, verb::write, status::check_condition, sense_key::data_protect,
       asc::write_protected},
      {store::status::gone, verb::read, status::check_condition, sense_key::hardware_error, asc::logical_unit_failure},
      {store::status::timeout, verb::read, status::check_condition, sense_key::aborted_command,
       asc::logical_unit_timeout},
      {store::status::aborted, verb::read, status::busy, {}, 0},
  };
  for (const row& r : table) {
    ended_request request;
    request.what = r.what;
    request.offset_bytes = 4096;
    request.length_bytes = 4096;
    request.failed_offset = 5120;
    const scsi::outcome o = outcome_of(r.from, request, 512);
    EXPECT_EQ(o.status, r.to);
    EXPECT_EQ(o.sense.key, r.key);
    EXPECT_EQ(o.sense.code, r.code);
    const bool has_place = r.from == store::status::medium_error && r.what != verb::flush;
    EXPECT_EQ(o.sense.information, has_place ? 10u : 0u);
  }
}

}  // namespace
}  // namespace sluice::unit
