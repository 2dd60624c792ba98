#include <algorithm>
#include <array>
#include <bitset>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "gateway/unit/random_command.hpp"
#include "tests/fabrics/test_loopback.hpp"
#include "tests/sim/medium_model.hpp"

/// Random commands of every row of the opcode table, several at once from two initiators through the whole gateway by
/// loopback: what they do must equal some order of them, block by block. `./dev commands COUNT`.
namespace sluice::fabrics {
namespace {

using scsi::sense_key;
using scsi::status;
using sim::stamp;
using unit::random_command;

constexpr std::uint32_t block = sim::sector_bytes;
constexpr std::uint64_t stamped = 48;  // blocks that carry stamps
constexpr std::uint64_t ored = 4;      // those behind them, to which bits are added by ORWRITE and nothing else
constexpr unsigned longest = 6;
constexpr unsigned depth = 6;  // commands of one initiator at a time
constexpr std::uint16_t disk_lun = 1;

using bits = std::bitset<block * 8>;

enum class plant : std::uint8_t { none, split_compare, split_or };

/// What blocks that only ORWRITE changes may hold.
class or_model {
 public:
  void begin(std::size_t bit, std::uint64_t at) { begun_[at].set(bit); }
  void end(std::size_t bit, std::uint64_t at) { ended_[at].set(bit); }
  const bits& ended(std::uint64_t at) const { return ended_[at]; }
  /// A read that began when `before` was there may have seen this.
  bool may_be(std::uint64_t at, const bits& before, const bits& seen) const {
    return (before & ~seen).none() && (seen & ~begun_[at]).none();
  }

 private:
  std::array<bits, ored> begun_, ended_;
};

class commands_at_once {
 public:
  commands_at_once(std::uint64_t seed, plant what)
      : chance_(seed), plant_(what), site_(), model_(told_, stamped, false) {
    site_.add_lun();
    for (unsigned i = 0; i < 2; ++i) {
      initiators_.push_back(site_.make_initiator(i));
      initiators_.back()->log_in();
      EXPECT_TRUE(site_.until([&] { return initiators_.back()->now() == port::contract::initiator::state::up; }));
    }
  }

  /// What was wrong first; empty: nothing.
  std::string run(unsigned count) {
    for (unsigned sent = 0; (sent < count || !flying_.empty()) && !told_.failed();) {
      if (sent % 64 == 63 && flying_.empty()) {
        begin_anew();
        ++sent;
      }
      const bool more = sent < count && sent % 64 != 63 && flying_.size() < 2 * depth;
      if (more) {
        send();
        ++sent;
        site_.steps(dice(12));
      } else if (!flying_.empty() && !site_.until([this] { return any_done(); })) {
        told_.fail("no answer");
      }
      conclude();
    }
    return told_.verdict();
  }
  unsigned max_at_once() const { return most_; }
  unsigned good() const { return good_; }
  unsigned blocks_compared_and_written() const { return static_cast<unsigned>(replaced_.size()); }

 private:
  struct flight {
    random_command c;
    port::contract::request r;
    std::uint64_t number = 0;
    unsigned by = 0;
    std::vector<stamp> claimed;  // what the blocks are compared with
    std::vector<bits> before;    // of the read: what was there in blocks for ORWRITE
    bool completes_plant = false;
  };

  unsigned dice(unsigned sides) { return static_cast<unsigned>(chance_() % sides); }
  bool any_done() const {
    return std::any_of(flying_.begin(), flying_.end(), [](const auto& each) { return each->r.done; });
  }
  void complain(const flight& f, const std::string& what) {
    told_.fail("command " + std::to_string(f.number) + ", " + f.c.row->name + ", blocks " + std::to_string(f.c.lba) +
               " + " + std::to_string(f.c.blocks) + ": " + what + " (" + f.r.how.describe() + ")");
  }

  /// Nothing keeps the initiators from the unit any more.
  void begin_anew() {
    site_.forget_reservations();
    std::optional<port::task_response> answer;
    initiators_[0]->manage(port::task_function::logical_unit_reset, disk_lun, nullptr,
                           [&](port::task_response r) { answer = r; });
    EXPECT_TRUE(site_.until([&] { return answer.has_value(); }));
    for (const auto& each : initiators_)
      for (unsigned i = 0; i < 3; ++i) {
        port::contract::request r = port::contract::test_unit_ready(disk_lun);
        each->submit(r);
        EXPECT_TRUE(site_.until([&] { return r.done; }));
      }
  }

  // -- making one ----------------------------------------------------------------------------------------------------

  const scsi::opcode_row& any_row() {
    const auto rows = scsi::opcode_table();
    const bool compares = dice(6) == 0;
    for (;;) {
      const scsi::opcode_row& row = rows[dice(static_cast<unsigned>(rows.size()))];
      if (compares && row.what != scsi::command::compare_and_write) continue;
      // Most of them move blocks: others find no overlap.
      if (random_command::has_blocks(row.what) || row.what == scsi::command::unmap || dice(4) == 0) return row;
    }
  }

  void send() {
    auto f = std::make_unique<flight>();
    const scsi::opcode_row& row = any_row();
    const bool ors = row.what == scsi::command::or_write || (row.what == scsi::command::read && dice(4) == 0);
    const std::uint64_t from = ors ? stamped : 0, to = ors ? stamped + ored : stamped;
    // A crowd at the front overlaps; elsewhere most are alone.
    const bool compares = row.what == scsi::command::compare_and_write;
    const auto blocks = static_cast<std::uint8_t>(1 + (compares ? dice(2) : dice(ors ? ored : longest)));
    const auto room = static_cast<unsigned>(to - from - blocks + 1);
    const auto lba = static_cast<std::uint8_t>(from + dice(dice(2) == 0 ? std::min(room, 4u) : room));
    f->c = unit::make_random_command(chance_, row, lba, blocks, block);
    f->number = ++numbers_;
    f->by = dice(2);
    f->r.lun = disk_lun;
    f->r.cdb = f->c.cdb;
    f->r.attribute = dice(8) == 0 ? port::task_attribute::ordered : port::task_attribute::simple;
    if (row.direction == scsi::data_direction::in) f->r.room = std::min<std::uint64_t>(f->c.wanted_bytes, 65536);
    if (row.direction == scsi::data_direction::out) make_data(*f);
    begin(*f);
    split(*f);
    initiators_[f->by]->submit(f->r);
    flying_.push_back(std::move(f));
    most_ = std::max(most_, static_cast<unsigned>(flying_.size()));
  }

  bytes sector(flight& f, std::uint64_t number) { return bytes(f.r.data_out).subspan(number * block, block); }

  void make_data(flight& f) {
    f.r.data_out.resize(std::min<std::uint64_t>(f.c.wanted_bytes, 65536));
    const std::uint64_t sectors = f.r.data_out.size() / block;
    switch (f.c.row->what) {
      case scsi::command::compare_and_write:
      case scsi::command::verify:
        return make_comparison(f);
      case scsi::command::write:
      case scsi::command::write_and_verify:
        for (std::uint64_t i = 0; i < sectors; ++i) sim::fill(sector(f, i), own_stamp(f, i));
        return;
      case scsi::command::write_same:
        if (sectors > 0) sim::fill(sector(f, 0), sim::make_stamp(f.number, sim::any_sector));
        return;
      case scsi::command::or_write:
        for (std::uint64_t i = 0; i < sectors; ++i) sector(f, i)[bit_of(f) / 8] = mask_of(f);
        return;
      case scsi::command::unmap:
        if (f.r.data_out.size() == 24) make_unmap(f);
        return;
      default:
        for (std::uint8_t& each : f.r.data_out) each = static_cast<std::uint8_t>(dice(2) * dice(256));
    }
  }
  void make_unmap(flight& f) {
    f.c.lba = dice(stamped - longest);
    f.c.blocks = 1 + dice(longest);
    f.r.data_out[1] = 22;
    f.r.data_out[3] = 16;
    f.r.data_out[15] = static_cast<std::uint8_t>(f.c.lba);
    f.r.data_out[19] = static_cast<std::uint8_t>(f.c.blocks);
  }
  /// With what was read last, which is there still now and then.
  void make_comparison(flight& f) {
    const std::uint64_t sectors = f.r.data_out.size() / block;
    const bool writes = f.c.row->what == scsi::command::compare_and_write;
    const std::uint64_t compared = writes ? sectors / 2 : sectors;
    for (std::uint64_t i = 0; i < compared; ++i) {
      f.claimed.push_back(known_[f.c.lba + i]);
      sim::fill(sector(f, i), f.claimed.back());
    }
    for (std::uint64_t i = compared; i < sectors; ++i) sim::fill(sector(f, i), own_stamp(f, i - compared));
    if (f.c.decoded.byte_check == 3) f.claimed.assign(f.c.blocks, f.claimed.empty() ? sim::zeroes : f.claimed[0]);
  }
  static stamp own_stamp(const flight& f, std::uint64_t index) {
    return sim::make_stamp(f.number, static_cast<std::uint32_t>(f.c.lba + index));
  }
  static std::size_t bit_of(const flight& f) { return f.number % (block * 8); }
  static std::uint8_t mask_of(const flight& f) { return static_cast<std::uint8_t>(1u << bit_of(f) % 8); }

  // -- what it may do ------------------------------------------------------------------------------------------------

  static bool is_stamped(const flight& f) { return f.c.lba + f.c.blocks <= stamped && f.c.blocks > 0; }
  static bool writes_stamps(const flight& f) {
    switch (f.c.row->what) {
      case scsi::command::write:
      case scsi::command::write_and_verify:
      case scsi::command::write_same:
      case scsi::command::compare_and_write:
      case scsi::command::unmap:
        return is_stamped(f);
      default:
        return false;
    }
  }
  static bool looks_at_stamps(const flight& f) {
    const scsi::command what = f.c.row->what;
    return is_stamped(f) && (what == scsi::command::read || what == scsi::command::compare_and_write ||
                             (what == scsi::command::verify && f.c.decoded.byte_check != 0));
  }
  sim::range where(const flight& f) const { return {f.c.lba, f.c.blocks}; }

  void begin(flight& f) {
    using pattern = sim::medium_model::pattern;
    const scsi::command what = f.c.row->what;
    if (looks_at_stamps(f)) model_.begin_read(f.number, where(f));
    if (writes_stamps(f)) {
      const bool zeroes = what == scsi::command::unmap || (what == scsi::command::write_same && f.c.decoded.ndob);
      model_.begin_write(f.number, where(f),
                         zeroes                              ? pattern::zero
                         : what == scsi::command::write_same ? pattern::same
                                                             : pattern::own);
    }
    if (is_stamped(f)) return;
    for (std::uint64_t i = f.c.lba; i < f.c.lba + f.c.blocks; ++i) {
      if (what == scsi::command::or_write) ors_.begin(bit_of(f), i - stamped);
      if (what == scsi::command::read) f.before.push_back(ors_.ended(i - stamped));
    }
  }

  /// Planted: what has to be one step is done in two.
  void split(flight& f) {
    const scsi::command what = f.c.row->what;
    const bool splits = (plant_ == plant::split_compare && what == scsi::command::compare_and_write) ||
                        (plant_ == plant::split_or && what == scsi::command::or_write);
    if (!splits || f.c.forbidden || f.r.data_out.empty() || dice(2) == 0) return;
    const auto blocks = static_cast<std::uint16_t>(f.c.blocks);
    port::contract::request first = port::contract::read_10(static_cast<std::uint32_t>(f.c.lba), blocks);
    first.lun = disk_lun;
    initiators_[f.by]->submit(first);
    EXPECT_TRUE(site_.until([&] { return first.done; }));
    if (!first.how.good()) return;
    octets written = first.how.data;
    if (what == scsi::command::compare_and_write) {
      if (!std::equal(written.begin(), written.end(), f.r.data_out.begin())) return;
      std::copy(f.r.data_out.begin() + static_cast<std::ptrdiff_t>(written.size()), f.r.data_out.end(),
                written.begin());
    } else {
      for (std::size_t i = 0; i < written.size(); ++i) written[i] |= f.r.data_out[i];
    }
    f.r.cdb = port::contract::block_cdb(0x2a, static_cast<std::uint32_t>(f.c.lba), blocks);
    f.r.data_out = std::move(written);
  }

  // -- what it did ---------------------------------------------------------------------------------------------------

  void conclude() {
    for (std::size_t i = 0; i < flying_.size() && !told_.failed();) {
      if (!flying_[i]->r.done) {
        ++i;
        continue;
      }
      const std::unique_ptr<flight> f = std::move(flying_[i]);
      flying_.erase(flying_.begin() + static_cast<std::ptrdiff_t>(i));
      judge_answer(*f);
    }
  }

  void judge_answer(flight& f) {
    const port::contract::response& how = f.r.how;
    if (f.r.completions != 1) return complain(f, "it ends more than once");
    if (!how.answered) return undecided(f);
    if (how.data.size() > f.r.room) return complain(f, "more data than there is room");
    if (how.status == status::task_aborted) return undecided(f);
    const bool good = how.status == status::good || how.status == status::condition_met;
    if (good && f.c.forbidden) return complain(f, "a reserved bit passed");
    if (good) ++good_;
    if (good) return done(f);
    if (how.checked(sense_key::miscompare)) check_miscompare(f);
    refused(f);
  }
  void undecided(const flight& f) {
    if (looks_at_stamps(f)) model_.forget_read(f.number);
    if (writes_stamps(f)) model_.undecided(f.number);
  }
  void refused(const flight& f) {
    if (looks_at_stamps(f)) model_.forget_read(f.number);
    if (writes_stamps(f)) model_.refused(f.number);
  }
  void check_miscompare(const flight& f) {
    if (!looks_at_stamps(f) || !model_.possibly_other(f.number, f.claimed))
      complain(f, "it finds a difference where there is none");
  }

  void done(flight& f) {
    const scsi::command what = f.c.row->what;
    if (what == scsi::command::read) return is_stamped(f) ? check_stamps(f) : check_bits(f);
    if (looks_at_stamps(f)) {
      if (!model_.possible(f.number, f.claimed)) return complain(f, "it finds no difference where there is one");
      model_.forget_read(f.number);
    }
    if (what == scsi::command::compare_and_write) check_replaced(f);
    if (writes_stamps(f)) model_.end_write(f.number, true);
    if (what != scsi::command::or_write) return;
    for (std::uint64_t i = f.c.lba; i < f.c.lba + f.c.blocks; ++i) ors_.end(bit_of(f), i - stamped);
  }
  /// A block gets each stamp once, so only one COMPARE AND WRITE can have found it there and put another in its place.
  void check_replaced(const flight& f) {
    for (std::uint64_t i = 0; i < f.claimed.size(); ++i)
      if (f.claimed[i] != sim::zeroes && !replaced_.insert({f.c.lba + i, f.claimed[i]}).second)
        complain(f, "it replaces what another one has replaced, in block " + std::to_string(f.c.lba + i));
  }
  void check_stamps(flight& f) {
    if (f.r.how.data.size() != f.c.blocks * block) return complain(f, "data of a wrong length");
    std::vector<stamp> seen;
    for (std::uint64_t i = 0; i < f.c.blocks; ++i) {
      const auto found = sim::read_stamp(const_bytes(f.r.how.data).subspan(i * block, block));
      if (!found) return complain(f, "block " + std::to_string(f.c.lba + i) + " is of no one piece");
      seen.push_back(*found);
      known_[f.c.lba + i] = *found;
    }
    model_.end_read(f.number, seen, false);
  }
  void check_bits(const flight& f) {
    if (f.r.how.data.size() != f.c.blocks * block) return complain(f, "data of a wrong length");
    for (std::uint64_t i = 0; i < f.c.blocks; ++i) {
      bits seen;
      for (std::size_t bit = 0; bit < seen.size(); ++bit)
        seen[bit] = (f.r.how.data[i * block + bit / 8] >> bit % 8 & 1) != 0;
      if (!ors_.may_be(f.c.lba + i - stamped, f.before[i], seen))
        return complain(f, "bits are lost, or were never set");
    }
  }

  using octets = port::contract::octets;

  std::mt19937_64 chance_;
  const plant plant_;
  loopback_site site_;
  sim::judge told_;
  sim::medium_model model_;
  or_model ors_;
  std::vector<std::unique_ptr<flight>> flying_;  // outlive the initiators, which end what is under way
  std::vector<std::unique_ptr<port::contract::initiator>> initiators_;
  std::map<std::uint64_t, stamp> known_;  // blocks as last read
  std::set<std::pair<std::uint64_t, stamp>> replaced_;
  std::uint64_t numbers_ = 0;
  unsigned most_ = 0, good_ = 0;
};

unsigned count_wanted() {
  const char* said = std::getenv("SLUICE_COMMANDS");
  return said ? static_cast<unsigned>(std::strtoul(said, nullptr, 10)) : 3000;
}

TEST(commands_at_once, do_what_some_order_of_them_would) {
  constexpr unsigned at_a_time = 3000;  // fewer than a block has bits
  unsigned good = 0, replaced = 0, sent = 0;
  for (unsigned done = 0; done < count_wanted(); done += at_a_time) {
    const std::uint64_t seed = 1 + done / at_a_time;
    commands_at_once run(seed, plant::none);
    ASSERT_EQ(run.run(at_a_time), "") << "seed " << seed;
    EXPECT_EQ(run.max_at_once(), 2 * depth);
    sent += at_a_time;
    good += run.good();
    replaced += run.blocks_compared_and_written();
  }
  EXPECT_GT(good, sent / 3) << "most are refused";
  EXPECT_GT(replaced, sent / 300) << "too few comparisons find what they look for";
}

TEST(commands_at_once, steps_that_are_split_in_two_are_seen) {
  for (const plant each : {plant::split_compare, plant::split_or})
    EXPECT_NE(commands_at_once(7, each).run(4000), "") << static_cast<int>(each);
}

}  // namespace
}  // namespace sluice::fabrics
