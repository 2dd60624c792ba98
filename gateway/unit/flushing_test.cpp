#include "gateway/scsi/asc.hpp"
#include "gateway/unit/test_fixture.hpp"

// Writes in a volatile cache, flushes, and who hears when one fails.
namespace sluice::unit {
namespace {

using scsi::sense_key;
namespace asc = scsi::asc;

const octets synchronize = cdb10(0x35, 0, 0);
const octets synchronize_immed = cdb10(0x35, 0, 0, 2);

class flushing : public ::testing::Test {
 protected:
  void make(unsigned shards, std::uint64_t deadline_ns = 0) {
    fixture_options how;
    how.shards = shards;
    how.limits.deadline_ns = deadline_ns;
    s_ = std::make_unique<fixture>(how);
    s_->fails = [this](const store::request& r) {
      done_.push_back(r.what);
      const bool fails =
          (r.what == store::verb::flush && flush_fails_) || (r.what == store::verb::write && write_fails_);
      return fails ? store::status::medium_error : store::status::good;
    };
  }
  void write(initiator& by, std::uint32_t lba, bool fua = false) {
    EXPECT_TRUE(s_->done(by.send(write10(lba, 1, fua), filled(512, 1))).good());
  }
  /// What the next command says.
  bool hears_deferred(initiator& who) {
    exchange& e = s_->done(who.send(test_unit_ready()));
    if (e.good()) return false;
    EXPECT_TRUE(e.sensed(sense_key::medium_error, asc::write_error));
    EXPECT_TRUE(e.outcome.sense.deferred);
    return true;
  }
  /// What MODE SELECT is to set.
  octets caching_page(initiator& by, bool on) {
    octets page = s_->done(by.send({0x1a, 8, 0x08, 0, 252, 0}, {}, 252)).in;
    page[0] = page[2] = 0;
    page[4] &= 0x3f;
    page[6] = static_cast<std::uint8_t>((page[6] & ~4) | (on ? 4 : 0));
    return page;
  }
  void set_write_cache(initiator& by, bool on, bool saved = false) {
    const octets page = caching_page(by, on);
    const octets select{0x15, static_cast<std::uint8_t>(saved ? 0x11 : 0x10), 0,
                        0,    static_cast<std::uint8_t>(page.size()),         0};
    by.send(select, page);
    s_->run();
  }
  long flushes() const { return std::count(done_.begin(), done_.end(), store::verb::flush); }

  std::unique_ptr<fixture> s_;
  bool flush_fails_ = false, write_fails_ = false;
  std::vector<store::verb> done_;
};

TEST_F(flushing, a_failure_is_told_once_to_every_nexus_that_has_written_since_the_last_good_one) {
  make(3);
  initiator &asks = s_->add(0), &wrote = s_->add(0), &elsewhere = s_->add(1), &durable = s_->add(1),
            &reads = s_->add(2), &before = s_->add(2);
  write(before, 9);
  EXPECT_TRUE(s_->done(asks.send(synchronize)).good());
  write(asks, 0);
  write(wrote, 1);
  write(elsewhere, 2);
  write(durable, 3, true);
  EXPECT_TRUE(s_->done(reads.send(read10(0, 1), {}, 512)).good());
  flush_fails_ = true;
  exchange& told = s_->done(asks.send(synchronize));
  EXPECT_TRUE(told.sensed(sense_key::medium_error, asc::write_error));
  EXPECT_FALSE(told.outcome.sense.deferred);
  flush_fails_ = false;
  EXPECT_FALSE(hears_deferred(asks)) << "its own command has told it";
  for (initiator* each : {&wrote, &elsewhere}) {
    EXPECT_TRUE(hears_deferred(*each));
    EXPECT_FALSE(hears_deferred(*each));
  }
  for (initiator* each : {&durable, &reads, &before}) EXPECT_FALSE(hears_deferred(*each));
}

TEST_F(flushing, one_that_waits_for_its_turn_takes_nothing_from_those_that_are_over_by_then) {
  make(1);
  initiator &wrote = s_->add(), &selects = s_->add(), &orders = s_->add(), &asks = s_->add();
  write(wrote, 1);
  const octets page = caching_page(selects, false);
  selects.stalled = true;
  exchange& select = selects.send({0x15, 0x10, 0, 0, static_cast<std::uint8_t>(page.size()), 0}, page);
  s_->run();
  s_->stalled.on = true;
  exchange& ordered = orders.send(write10(9, 1), filled(512, 1), 0, port::task_attribute::ordered, 512);
  s_->run();
  selects.release();
  s_->run();  // its flush waits for the end of the ORDERED task
  exchange& good = asks.send(synchronize, {}, 0, port::task_attribute::head_of_queue);
  s_->run();
  ASSERT_EQ(s_->stalled.held.size(), 2u);
  s_->stalled.held.back()();
  s_->stalled.held.pop_back();
  s_->run();
  EXPECT_TRUE(good.good());
  flush_fails_ = true;
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(ordered.good());
  EXPECT_TRUE(select.sensed(sense_key::medium_error, asc::write_error));
  EXPECT_FALSE(hears_deferred(wrote));
}

TEST_F(flushing, with_immed_a_failure_is_a_deferred_error_for_who_asked_too) {
  make(2);
  initiator &asks = s_->add(0), &wrote = s_->add(1);
  write(wrote, 1);
  flush_fails_ = true;
  EXPECT_TRUE(s_->done(asks.send(synchronize_immed)).good());
  flush_fails_ = false;
  EXPECT_TRUE(hears_deferred(asks));
  EXPECT_TRUE(hears_deferred(wrote));
  EXPECT_FALSE(hears_deferred(asks));
  EXPECT_FALSE(hears_deferred(wrote));
}

TEST_F(flushing, a_good_flush_does_not_hide_that_an_earlier_one_failed) {
  make(2);
  initiator &a = s_->add(0), &b = s_->add(1);
  write(a, 0);
  write(b, 1);
  flush_fails_ = true;
  s_->drain(a.send(synchronize));
  flush_fails_ = false;
  // What b wrote may be lost, and the medium says so no more.
  EXPECT_TRUE(s_->done(a.send(synchronize)).good());
  exchange& told = s_->done(b.send(synchronize));
  EXPECT_TRUE(told.sensed(sense_key::medium_error, asc::write_error));
  EXPECT_TRUE(s_->done(b.send(synchronize)).good());
}

TEST_F(flushing, inquiry_leaves_a_deferred_error_and_request_sense_conveys_it) {
  make(1);
  initiator &a = s_->add(), &b = s_->add();
  write(b, 1);
  flush_fails_ = true;
  s_->drain(a.send(synchronize));
  EXPECT_TRUE(s_->done(b.send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good());
  exchange& e = s_->done(b.send({0x03, 0, 0, 0, 252, 0}, {}, 252));
  ASSERT_TRUE(e.good());
  EXPECT_EQ(e.in.at(0), 0x71);
  EXPECT_EQ(scsi::decode_sense(e.in).code, asc::write_error);
  EXPECT_FALSE(hears_deferred(b));
}

TEST_F(flushing, a_reset_does_not_undo_a_deferred_error) {
  make(2);
  initiator &a = s_->add(0), &b = s_->add(1);
  write(b, 1);
  flush_fails_ = true;
  s_->drain(a.send(synchronize));
  flush_fails_ = false;
  a.manage(port::task_function::logical_unit_reset);
  s_->run();
  EXPECT_TRUE(s_->done(b.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::bus_device_reset));
  EXPECT_TRUE(hears_deferred(b));
}

TEST_F(flushing, a_flush_that_is_aborted_takes_with_it_no_failure_that_its_nexus_has_not_heard_of) {
  for (const bool fails_itself : {false, true}) {
    make(1);
    initiator &a = s_->add(), &b = s_->add();
    write(b, 1);
    s_->stalled.on = true;
    exchange& aborted = b.send(synchronize);
    s_->run();
    s_->stalled.on = false;
    flush_fails_ = true;
    if (!fails_itself) s_->drain(a.send(synchronize));
    flush_fails_ = fails_itself;
    b.manage(port::task_function::abort_task, aborted.task.tag);
    s_->end_stall();
    s_->run();
    flush_fails_ = false;
    EXPECT_TRUE(aborted.silent);
    EXPECT_TRUE(hears_deferred(b));
    EXPECT_FALSE(hears_deferred(b));
  }
}

TEST_F(flushing, one_that_never_comes_to_the_medium_hides_no_failure) {
  make(1, ns_per_s);
  initiator &asks = s_->add(), &selects = s_->add(), &orders = s_->add();
  write(selects, 1);
  const octets page = caching_page(selects, false);
  selects.stalled = true;
  exchange& select = selects.send({0x15, 0x10, 0, 0, static_cast<std::uint8_t>(page.size()), 0}, page);
  s_->run();
  s_->stalled.on = true;
  orders.send(write10(9, 1), filled(512, 1), 0, port::task_attribute::ordered, 512);
  s_->run();
  selects.release();
  s_->run();  // its flush waits for the end of the ORDERED task
  exchange& failed = asks.send(synchronize, {}, 0, port::task_attribute::head_of_queue);
  s_->run();
  ASSERT_EQ(s_->stalled.held.size(), 2u);
  flush_fails_ = true;
  s_->stalled.held.back()();
  s_->stalled.held.pop_back();
  s_->run();
  flush_fails_ = false;
  EXPECT_TRUE(failed.sensed(sense_key::medium_error, asc::write_error));
  s_->pass(10);
  EXPECT_TRUE(select.ended_with(scsi::status::busy));
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(hears_deferred(selects));
  EXPECT_FALSE(hears_deferred(selects));
}

TEST_F(flushing, a_command_with_a_deferred_error_is_not_done) {
  make(1);
  initiator &a = s_->add(), &b = s_->add();
  write(b, 1);
  flush_fails_ = true;
  s_->drain(a.send(synchronize));
  flush_fails_ = false;
  exchange& e = s_->done(b.send(write10(2, 1), filled(512, 7)));
  EXPECT_TRUE(e.outcome.sense.deferred);
  EXPECT_EQ(s_->done(a.send(read10(2, 1), {}, 512)).in, filled(512, 0));
}

TEST_F(flushing, mode_select_that_ends_write_back_flushes_and_is_refused_when_that_fails) {
  make(2);
  initiator &a = s_->add(0), &b = s_->add(1);
  write(b, 1);
  flush_fails_ = true;
  set_write_cache(a, false);
  EXPECT_TRUE(a.exchanges.back().sensed(sense_key::medium_error, asc::write_error));
  EXPECT_TRUE(s_->coordinator->snapshot()->mode.write_cache);
  EXPECT_TRUE(hears_deferred(b));
  flush_fails_ = false;
  done_.clear();
  set_write_cache(a, false);
  EXPECT_TRUE(a.exchanges.back().good());
  EXPECT_GE(flushes(), 1);
  done_.clear();
  set_write_cache(a, true);
  EXPECT_TRUE(a.exchanges.back().good());
  EXPECT_EQ(flushes(), 0) << "nothing is in a cache";
}

TEST_F(flushing, a_reset_that_brings_back_write_through_is_answered_after_a_flush) {
  make(2);
  initiator &a = s_->add(0), &b = s_->add(1);
  set_write_cache(a, false, true);
  set_write_cache(a, true);
  EXPECT_TRUE(s_->done(b.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::mode_parameters_changed));
  write(b, 1);
  done_.clear();
  s_->stalled.on = true;
  managed& reset = a.manage(port::task_function::logical_unit_reset);
  s_->run();
  EXPECT_EQ(reset.answers, 0);
  s_->end_stall();
  s_->run();
  EXPECT_EQ(reset.answers, 1);
  EXPECT_GE(flushes(), 1);
}

TEST_F(flushing, a_reset_does_not_wait_for_ever_for_a_flush) {
  make(1, ns_per_s);
  initiator& a = s_->add();
  set_write_cache(a, false, true);
  set_write_cache(a, true);
  s_->stalled.on = true;
  managed& reset = a.manage(port::task_function::logical_unit_reset);
  s_->run();
  s_->pass(10);
  EXPECT_EQ(reset.answers, 1);
  s_->end_stall();
}

TEST_F(flushing, a_write_that_is_under_way_when_write_back_ends_is_durable_before_its_status) {
  make(2);
  initiator &a = s_->add(0), &b = s_->add(1);
  octets page = s_->done(a.send({0x1a, 8, 0x08, 0, 252, 0}, {}, 252)).in;
  page[0] = page[2] = 0;
  page[4] &= 0x3f;
  page[6] &= 0xfb;
  s_->stalled.on = true;
  exchange& w = b.send(write10(1, 1), filled(512, 1));
  s_->run();
  exchange& select = a.send({0x15, 0x10, 0, 0, static_cast<std::uint8_t>(page.size()), 0}, page);
  s_->run();
  ASSERT_EQ(s_->stalled.held.size(), 2u);  // the write, and the flush without which nothing changes
  const auto first_flush = s_->stalled.held.back();
  s_->stalled.held.pop_back();
  first_flush();
  s_->run();
  EXPECT_FALSE(s_->shards[1]->snapshot().writes_back());
  EXPECT_EQ(select.completions, 0);
  done_.clear();
  const auto write = s_->stalled.held.front();
  s_->stalled.held.erase(s_->stalled.held.begin());
  write();
  s_->run();
  EXPECT_EQ(done_, std::vector{store::verb::write});
  EXPECT_EQ(w.completions, 0) << "it waits for a flush of its own";
  s_->end_stall();
  s_->run();
  EXPECT_TRUE(w.good());
  EXPECT_TRUE(select.good());
}

TEST_F(flushing, a_write_whose_own_flush_is_late_is_not_called_busy_for_it_is_there) {
  make(2, ns_per_s);
  initiator &a = s_->add(0), &b = s_->add(1);
  const octets page = caching_page(a, false);
  s_->stalled.on = true;
  exchange& write = b.send(write10(1, 1), filled(512, 1));
  s_->run();
  a.send({0x15, 0x10, 0, 0, static_cast<std::uint8_t>(page.size()), 0}, page);
  s_->run();
  ASSERT_EQ(s_->stalled.held.size(), 2u);
  const auto first = std::exchange(s_->stalled.held, {});
  first[1]();  // the flush of MODE SELECT
  s_->run();
  first[0]();
  s_->run();
  EXPECT_EQ(write.completions, 0) << "it flushes";
  s_->pass(10);
  EXPECT_TRUE(write.sensed(sense_key::aborted_command, asc::logical_unit_timeout));
  s_->end_stall();
  s_->run();
  s_->drain(b.send(test_unit_ready()));  // mode parameters changed
  EXPECT_EQ(s_->done(b.send(read10(1, 1), {}, 512)).in, filled(512, 1));
}

TEST_F(flushing, reads_with_fua_and_verify_look_at_the_medium) {
  make(1);
  initiator& a = s_->add();
  write(a, 0);
  const auto both = [this](store::verb first, store::verb second) { return done_ == std::vector{first, second}; };
  for (const octets& cdb : {cdb10(0x28, 0, 1, 8), cdb10(0x2f, 0, 1), cdb16(0x8f, 0, 1)}) {
    done_.clear();
    EXPECT_TRUE(s_->done(a.send(cdb, {}, cdb[0] == 0x28 ? 512 : 0)).good());
    EXPECT_TRUE(both(store::verb::flush, store::verb::read));
  }
  flush_fails_ = true;
  EXPECT_TRUE(s_->done(a.send(cdb10(0x28, 0, 1, 8), {}, 512)).sensed(sense_key::medium_error, asc::write_error));
  flush_fails_ = false;
  set_write_cache(a, false);
  done_.clear();
  EXPECT_TRUE(s_->done(a.send(cdb10(0x28, 0, 1, 8), {}, 512)).good());
  EXPECT_EQ(flushes(), 0) << "nothing is in a cache";
}

TEST_F(flushing, what_write_back_left_in_the_cache_is_not_read_as_if_it_were_on_the_medium) {
  make(1);
  initiator &a = s_->add(), &b = s_->add();
  const auto fua_read = [&]() -> exchange& { return s_->done(a.send(cdb10(0x28, 1, 1, 8), {}, 512)); };
  s_->stalled.on = true;
  set_write_cache(a, false);
  exchange& write = b.send(write10(1, 1), filled(512, 1));  // behind the flush of MODE SELECT
  s_->run();
  ASSERT_EQ(s_->stalled.held.size(), 2u);
  s_->stalled.held[1]();
  s_->stalled.held[0]();
  s_->run();
  EXPECT_TRUE(write.good());
  ASSERT_EQ(s_->stalled.held.size(), 3u);  // the shard's own flush, which the end of write-back waits for
  flush_fails_ = true;
  s_->stalled.held[2]();
  s_->run();
  EXPECT_FALSE(s_->coordinator->snapshot()->writes_back());
  s_->stalled = {};
  EXPECT_TRUE(fua_read().sensed(sense_key::medium_error, asc::write_error));
  flush_fails_ = false;
  done_.clear();
  EXPECT_TRUE(fua_read().good());
  EXPECT_EQ(done_, (std::vector{store::verb::flush, store::verb::read}));
  done_.clear();
  EXPECT_TRUE(fua_read().good());
  EXPECT_EQ(done_, std::vector{store::verb::read}) << "nothing is in the cache";
  // What a durable write could not bring to the medium may lie before it as well.
  write_fails_ = true;
  EXPECT_FALSE(s_->done(a.send(write10(1, 1), filled(512, 2))).good());
  write_fails_ = false;
  done_.clear();
  EXPECT_TRUE(fua_read().good());
  EXPECT_EQ(done_, (std::vector{store::verb::flush, store::verb::read}));
}

TEST_F(flushing, a_stopped_unit_has_flushed_what_was_written_while_it_stopped) {
  make(2);
  initiator &a = s_->add(0), &b = s_->add(1);
  write(b, 1);
  done_.clear();
  EXPECT_TRUE(s_->done(a.send({0x1b, 0, 0, 0, 0, 0})).good());
  EXPECT_EQ(flushes(), 3) << "before anything changes, then each core's";
  flush_fails_ = true;
  EXPECT_TRUE(s_->done(a.send({0x1b, 0, 0, 0, 1, 0})).good());
  EXPECT_FALSE(s_->done(a.send({0x1b, 0, 0, 0, 0, 0})).good());
  EXPECT_FALSE(s_->coordinator->snapshot()->stopped);
}

}  // namespace
}  // namespace sluice::unit
