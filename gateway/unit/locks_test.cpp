#include "gateway/scsi/asc.hpp"
#include "gateway/unit/test_fixture.hpp"

// Commands that keep others from their blocks do so while they have what they need, and no longer.
namespace sluice::unit {
namespace {

using port::task_attribute;
using scsi::sense_key;

octets write_and_verify16(std::uint64_t lba, std::uint32_t blocks) {
  return cdb16(0x8e, lba, blocks);
}
octets or_write16(std::uint64_t lba, std::uint32_t blocks) {
  return cdb16(0x8b, lba, blocks);
}
octets two_halves(std::size_t size, std::uint8_t compared, std::uint8_t written) {
  octets both = filled(size, compared);
  both.insert(both.end(), size, written);
  return both;
}

constexpr std::uint32_t window = 2048;  // blocks of 512

class locks : public ::testing::TestWithParam<unsigned> {
 protected:
  locks() {
    how_.shards = 2;
    how_.block_size = 512;
  }
  void make(std::uint64_t seed = 1, bool delays = false) {
    how_.seed = seed;
    how_.delays = delays;
    s_ = std::make_unique<fixture>(how_);
    s_->late = true;
    slow_ = &s_->add(0);
    other_ = &s_->add(GetParam());
  }
  /// Until the first window has been asked for and brought, and the initiator owes the next.
  exchange& owing(octets cdb, octets data) {
    exchange& e = slow_->send(std::move(cdb), std::move(data), 0, task_attribute::simple, 512 * window);
    slow_->stalled = true;
    s_->run();
    EXPECT_EQ(e.completions, 0);
    EXPECT_TRUE(slow_->owes());
    return e;
  }
  void others_go_on() {
    EXPECT_TRUE(s_->done(other_->send(write10(1, 1), filled(512, 0))).good());
    EXPECT_TRUE(s_->done(other_->send(compare_and_write16(1, 1), two_halves(512, 0, 9))).good());
    EXPECT_TRUE(s_->done(other_->send(or_write16(window - 1, 2), filled(1024, 1))).good());
    EXPECT_TRUE(s_->done(other_->send(write_and_verify16(0, 3), filled(1536, 1))).good());
    EXPECT_TRUE(s_->done(other_->send(write10(5, 1), filled(512, 5), 0, task_attribute::ordered)).good());
    EXPECT_TRUE(s_->done(other_->send(read10(5, 1), {}, 512, task_attribute::head_of_queue)).good());
  }

  fixture_options how_;
  std::unique_ptr<fixture> s_;
  initiator *slow_ = nullptr, *other_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(cores, locks, ::testing::Values(0u, 1u));

TEST_P(locks, nobody_waits_for_data_beyond_the_first_window) {
  for (const octets& cdb : {write_and_verify16(0, 2 * window), or_write16(0, 2 * window)}) {
    make();
    exchange& e = owing(cdb, filled(2 * window * 512, 0x10));
    others_go_on();
    slow_->release();
    s_->run();
    EXPECT_TRUE(e.good());
    others_go_on();  // it left no lock behind
  }
}

TEST_P(locks, a_long_compare_and_write_has_all_its_data_before_its_lock) {
  how_.block_size = 4096;
  make();
  exchange& e = owing(compare_and_write16(0, 255), two_halves(255 * 4096, 0, 7));
  EXPECT_TRUE(s_->done(other_->send(write10(1, 1), filled(4096, 0))).good());
  EXPECT_TRUE(s_->done(other_->send(write10(5, 1), filled(4096, 0), 0, task_attribute::ordered)).good());
  slow_->release();
  s_->run();
  EXPECT_TRUE(e.good());
  EXPECT_EQ(s_->done(other_->send(read10(254, 1), {}, 4096)).in, filled(4096, 7));
}

TEST_P(locks, an_ordered_task_of_the_same_host_waits_for_all_windows) {
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    make(seed, true);
    initiator& same = *slow_;
    exchange& long_one = same.send(GetParam() ? or_write16(0, 3 * window) : write_and_verify16(0, 3 * window),
                                   filled(3 * window * 512, 0x10));
    exchange& ordered = same.send(write10(window, 1), filled(512, 9), 0, task_attribute::ordered);
    exchange& another = other_->send(or_write16(0, 3 * window), filled(3 * window * 512, 0x10));
    exchange& orders_too = other_->send(test_unit_ready(), {}, 0, task_attribute::ordered);
    s_->run();
    ASSERT_TRUE(long_one.good() && ordered.good() && another.good() && orders_too.good()) << seed;
    EXPECT_LT(long_one.completed_at, ordered.completed_at);
    EXPECT_LT(another.completed_at, orders_too.completed_at);
  }
}

TEST_P(locks, an_abort_leaves_no_lock_behind) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    make(seed, true);
    exchange& e = slow_->send(or_write16(0, 3 * window), filled(3 * window * 512, 1));
    for (std::uint64_t steps = seed; steps > 0 && !s_->later.empty(); --steps) s_->later.step();
    managed& m = slow_->manage(port::task_function::abort_task, e.task.tag);
    s_->run();
    EXPECT_EQ(m.answers, 1);
    EXPECT_EQ(e.completions, 1);
    others_go_on();
  }
}

/// A lent read of a RAM unit shows a block from before or from after, never both: the medium's own memory is looked at
/// after the unit has answered.
TEST_P(locks, a_lent_read_is_not_torn_by_what_changes_its_blocks_in_one_step) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    make(seed, seed % 2 == 1);
    s_->late = false;
    initiator& reads = *other_;
    reads.looks_twice = true;
    s_->done(slow_->send(write10(0, 1), filled(512, 1)));
    exchange& r = reads.send(read10(0, 1), {}, 512);
    exchange& changes = seed % 3 == 0 ? slow_->send(or_write16(0, 1), filled(512, 6), 0, task_attribute::simple, 512)
                                      : slow_->send(compare_and_write16(0, 1), two_halves(512, 1, 7));
    s_->run();
    ASSERT_TRUE(r.good() && changes.good());
    EXPECT_EQ(r.in, filled(512, r.in.at(0))) << seed;
  }
}

}  // namespace
}  // namespace sluice::unit
