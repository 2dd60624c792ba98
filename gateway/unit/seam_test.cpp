#include "gateway/scsi/asc.hpp"
#include "gateway/unit/test_fixture.hpp"

// What fabrics may leave open, and what their ports cannot do.
namespace sluice::unit {
namespace {

using port::task_attribute;
using scsi::sense_key;
namespace asc = scsi::asc;

/// A command of a transport that announces no lengths.
exchange& send_unannounced(initiator& by, octets cdb, octets out = {}) {
  exchange& e = by.send(std::move(cdb), std::move(out));
  e.task.expected_data_out = e.task.expected_data_in = port::unknown_length;
  return e;
}

TEST(seam, the_unit_takes_unknown_lengths_from_the_cdb) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  EXPECT_TRUE(s.done(send_unannounced(a, write10(0, 4), filled(2048, 1))).good());
  EXPECT_TRUE(s.done(send_unannounced(a, cdb16(0x8b, 2, 1), filled(512, 2))).good());
  octets both = filled(1024, 1);
  std::fill(both.begin() + 512, both.end(), std::uint8_t{3});
  EXPECT_TRUE(s.done(send_unannounced(a, compare_and_write16(1, 1), both)).good());
  EXPECT_TRUE(s.done(send_unannounced(a, pr_out(0), pr_list(0, 7))).good());
  exchange& ordered = send_unannounced(a, write10(3, 1), filled(512, 4));
  ordered.task.attribute = task_attribute::ordered;
  EXPECT_TRUE(s.done(ordered).good());
  exchange& r = s.done(send_unannounced(a, read10(0, 4)));
  EXPECT_TRUE(r.good());
  octets all = filled(2048, 1);
  std::fill(all.begin() + 512, all.begin() + 1024, std::uint8_t{3});
  std::fill(all.begin() + 1024, all.begin() + 1536, std::uint8_t{3});  // 1 | 2
  std::fill(all.begin() + 1536, all.end(), std::uint8_t{4});
  EXPECT_EQ(r.in, all);
  EXPECT_FALSE(r.task.residual_in().over || r.task.residual_in().under);
  const octets inquiry = s.done(send_unannounced(a, {0x12, 0, 0, 0, 36, 0})).in;
  EXPECT_EQ(inquiry.size(), 36u);
}

TEST(seam, each_direction_has_its_residual) {
  fixture s;
  initiator& a = s.add();
  exchange& w = s.done(a.send(write10(0, 2), filled(512, 1)));
  EXPECT_TRUE(w.task.residual_out().over);
  EXPECT_EQ(w.task.residual_out().octets, 512u);
  EXPECT_FALSE(w.task.residual_in().over || w.task.residual_in().under);
  exchange& r = s.done(a.send(read10(0, 1), {}, 4096));
  EXPECT_TRUE(r.task.residual_in().under);
  EXPECT_EQ(r.task.residual_in().octets, 3584u);
  exchange& other_way = s.done(a.send(write10(0, 1), {}, 512));
  EXPECT_TRUE(other_way.task.residual_out().over && other_way.task.residual_in().under);
}

/// GOOD would say that the blocks are written.
TEST(seam, a_write_that_is_announced_as_a_read_is_refused) {
  fixture s;
  initiator& a = s.add();
  const auto refused = [](const exchange& e) { return e.sensed(sense_key::aborted_command, asc::data_phase_error); };
  EXPECT_TRUE(refused(s.done(a.send(write10(0, 1), {}, 512))));
  EXPECT_TRUE(refused(s.done(a.send(cdb16(0x93, 0, 8), {}, 512))));
  EXPECT_TRUE(refused(s.done(a.send(pr_out(0), {}, 24))));
  // The other way round nothing is lost: there is no room for data, and the residual says how many there were.
  exchange& r = s.done(a.send(read10(0, 1), filled(512, 1)));
  EXPECT_TRUE(r.good());
  EXPECT_EQ(r.task.residual_in().octets, 512u);
  // Nothing is moved by these, whatever was announced.
  EXPECT_TRUE(s.done(a.send(write10(0, 0), {}, 512)).good());
  EXPECT_TRUE(s.done(a.send(read10(0, 0), filled(512, 1))).good());
  EXPECT_TRUE(s.done(a.send(test_unit_ready(), filled(512, 1))).good());
}

TEST(seam, reads_fill_memory_of_the_fabric) {
  fixture s;
  initiator& a = s.add();
  const octets data = patterned(4096 * 512, 3);
  EXPECT_TRUE(s.done(a.send(write10(0, 4096), data)).good());
  for (const std::uint64_t room : {4096u * 512u, 1000u, 512u}) {
    exchange& r = a.send(read10(0, 4096), {}, room);
    octets own(room + 100, 0xcc);
    const std::uint32_t first = static_cast<std::uint32_t>(room / 3);
    r.task.destination = {memory::slice::borrow(own.data(), first),
                          memory::slice::borrow(own.data() + first, static_cast<std::uint32_t>(room) - first)};
    s.done(r);
    EXPECT_EQ(r.in, octets(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(room)));
    const std::uint64_t placed = room == 1000 ? 0 : room;
    EXPECT_TRUE(std::equal(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(placed), data.begin()));
    EXPECT_EQ(octets(own.end() - 100, own.end()), octets(100, 0xcc));
  }
  exchange& told = a.send({0x12, 0, 0, 0, 36, 0}, {}, 36);
  octets own(36);
  told.task.destination = {memory::slice::borrow(own.data(), 36)};
  s.done(told);
  EXPECT_EQ(own, told.in);
}

TEST(seam, a_medium_that_may_write_late_gets_no_borrowed_memory) {
  fixture_options how;
  how.limits.deadline_ns = 8 * ns_per_s;
  fixture s(how);
  s.late = true;
  initiator& a = s.add();
  exchange& lent = a.send(read10(0, 1), {}, 512);
  octets own(512, 0xcc);
  lent.task.destination = {memory::slice::borrow(own.data(), 512)};
  exchange& counted = a.send(read10(1, 1), {}, 512);
  counted.task.destination = {s.loop->buffers().take(512)};
  s.stalled.on = true;
  s.run();
  s.pass(9);
  EXPECT_TRUE(lent.ended_with(scsi::status::busy));
  EXPECT_TRUE(counted.ended_with(scsi::status::busy));
  EXPECT_TRUE(counted.task.destination.empty()) << "kept until the medium is done";
  s.end_stall();
  s.run();
  EXPECT_EQ(own, octets(512, 0xcc));
}

TEST(seam, a_medium_that_may_take_data_late_gets_a_copy_of_what_is_lent) {
  fixture_options how;
  how.limits.deadline_ns = 8 * ns_per_s;
  fixture s(how);
  s.late = true;
  initiator& a = s.add();
  a.lends = true;
  EXPECT_TRUE(s.done(a.send(write10(0, 4096), patterned(4096 * 512, 3))).good()) << "in windows";
  s.stalled.on = true;
  exchange& first = a.send(write10(0, 1), filled(512, 1));
  exchange& at_once = a.send(write10(1, 1), filled(512, 2), 0, task_attribute::simple, 512);
  s.run();
  s.pass(9);
  EXPECT_EQ(first.completions + at_once.completions, 2);
  first.out.assign(512, 0xcc);  // it is the initiator's again
  at_once.out.assign(512, 0xcc);
  s.end_stall();
  s.run();
  a.lends = false;
  exchange& r = s.done(a.send(read10(0, 2), {}, 1024));
  ASSERT_EQ(r.in.size(), 1024u);
  EXPECT_EQ(octets(r.in.begin(), r.in.begin() + 512), filled(512, 1));
  EXPECT_EQ(octets(r.in.begin() + 512, r.in.end()), filled(512, 2));
}

TEST(seam, a_port_without_task_attributes_has_simple_tasks_only) {
  fixture s;
  s.late = true;
  initiator& a = s.add();
  initiator& b = s.add();
  a.identity->caps.task_attributes = false;
  s.stalled.on = true;
  exchange& first = a.send(write10(0, 1), filled(512, 1), 0, task_attribute::simple, 512);
  exchange& ordered = a.send(write10(1, 1), filled(512, 1), 0, task_attribute::ordered, 512);
  exchange& last = b.send(write10(2, 1), filled(512, 1), 0, task_attribute::simple, 512);
  s.run();
  EXPECT_EQ(s.stalled.held.size(), 3u) << "all of them at once";
  s.end_stall();
  s.run();
  EXPECT_TRUE(first.good() && ordered.good() && last.good());
}

TEST(seam, sense_is_cut_to_what_the_port_carries) {
  fixture s;
  initiator& a = s.add();
  a.identity->caps.max_sense_bytes = 18;
  exchange& e = s.done(a.send(read10(9000, 1), {}, 512));
  e.task.descriptor_sense = true;
  EXPECT_EQ(e.task.encode_sense(e.outcome.sense).size, 18);
  a.identity->caps.max_sense_bytes = 252;
  EXPECT_GT(e.task.encode_sense(e.outcome.sense).size, 18);
}

TEST(seam, the_longest_cdb_is_looked_at_as_a_whole) {
  fixture s;
  initiator& a = s.add();
  octets cdb(260);
  cdb[0] = 0x7f;
  EXPECT_TRUE(s.done(a.send(cdb)).sensed(scsi::sense_key::illegal_request, asc::invalid_opcode));
  cdb[0] = 0x28;  // what is behind the tenth octet is nobody's
  cdb[8] = 1;
  EXPECT_EQ(a.exchanges.back().task.whole_cdb().size(), 260u);
  EXPECT_EQ(s.done(a.send(cdb, {}, 512)).in, filled(512, 0));
  cdb[0] = 0x5f;
  cdb[8] = 24;
  EXPECT_TRUE(s.done(a.send(cdb, pr_list(0, 7))).good());
}

}  // namespace
}  // namespace sluice::unit
