#include <cstdlib>

#include "gateway/unit/random_command.hpp"
#include "gateway/unit/test_fixture.hpp"

// Random commands of every row of the opcode table, one after the other through a whole unit, held against a naive
// disk:
// ./dev commands COUNT. Faults that are planted between the two show that it sees them.
namespace sluice::unit {
namespace {

using scsi::sense_key;
using scsi::status;

constexpr std::uint32_t block = 512;
constexpr std::uint64_t capacity = 64;

enum class plant : std::uint8_t { none, other_block, fewer_blocks, other_byte, medium_flips, dropped };

class random_commands {
 public:
  random_commands(std::uint64_t seed, plant what) : chance_(seed), plant_(what), s_(small()), disk_(capacity * block) {
    for (unsigned i = 0; i < 3; ++i) hosts_.push_back(&s_.add(i % 2));
  }

  /// What was wrong first; empty: nothing.
  std::string run(unsigned count) {
    for (unsigned i = 0; i < count && wrong_.empty(); ++i) {
      if (i % 16 == 15) begin_anew();
      one();
      if (!wrong_.empty()) wrong_ = "command " + std::to_string(i) + ", " + row_->name + ": " + wrong_;
    }
    if (wrong_.empty() && on_medium() != disk_) wrong_ = "the medium holds something else in the end";
    return wrong_;
  }

 private:
  static fixture_options small() {
    fixture_options how;
    how.shards = 2;
    how.blocks = capacity;
    return how;
  }
  unsigned dice(unsigned sides) { return static_cast<unsigned>(chance_() % sides); }
  bool planted(plant what) { return plant_ == what && dice(8) == 0; }
  void complain(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }

  /// Nothing keeps the hosts from the unit any more.
  void begin_anew() {
    s_.coordinator->clear_reservations();
    hosts_[0]->manage(port::task_function::logical_unit_reset);
    s_.run();
    for (initiator* host : hosts_) {
      s_.drain(host->send(test_unit_ready()));
      host->exchanges.clear();
      host->managements.clear();
    }
  }

  void one() {
    const auto rows = scsi::opcode_table();
    row_ = &rows[dice(static_cast<unsigned>(rows.size()))];
    const auto lba = static_cast<std::uint8_t>(dice(capacity + 2));
    c_ = make_random_command(chance_, *row_, lba, static_cast<std::uint8_t>(dice(6)), block);
    make_data();
    octets cdb = c_.cdb, out = out_;
    if (planted(plant::other_block) && places_block()) cdb[c_.lba_end() - 1] ^= 1;
    if (planted(plant::fewer_blocks) && places_block() && c_.blocks > 1) --cdb[c_.count_end() - 1];
    if (planted(plant::other_byte) && !out.empty()) out[dice(static_cast<unsigned>(out.size()))] ^= 0x40;
    if (planted(plant::medium_flips)) flip_on_medium();
    initiator& host = *hosts_[dice(static_cast<unsigned>(hosts_.size()))];
    if (!(planted(plant::dropped) && row_->writes_medium)) s_.drain(host.send(cdb, out, room_));
    const exchange nothing{};
    check(host.exchanges.empty() ? nothing : host.exchanges.back());
    host.exchanges.clear();
  }

  // -- making one ------------------------------------------------------------------------------------------------

  bool places_block() const { return c_.names_blocks(); }

  void make_data() {
    out_.clear();
    room_ = 0;
    const std::uint64_t offered = dice(12) == 0 ? dice(2048) : c_.wanted_bytes;
    if (row_->direction == scsi::data_direction::in) room_ = std::min<std::uint64_t>(offered, 65536);
    if (row_->direction != scsi::data_direction::out) return;
    out_ = filled(std::min<std::uint64_t>(offered, 65536), static_cast<std::uint8_t>(dice(4)));
    if (dice(2) == 0 && !out_.empty()) out_[dice(static_cast<unsigned>(out_.size()))] ^= 1;
    if (row_->what == scsi::command::unmap && out_.size() == 24 && dice(4) != 0) {
      std::fill(out_.begin(), out_.end(), std::uint8_t{0});
      out_[1] = 22;
      out_[3] = 16;
      out_[15] = static_cast<std::uint8_t>(dice(capacity));
      out_[19] = static_cast<std::uint8_t>(dice(8));
    }
    // What is there already, so that comparisons find no difference now and then.
    const bool compares = row_->what == scsi::command::compare_and_write || row_->what == scsi::command::verify;
    if (compares && dice(3) != 0)
      for (std::uint64_t i = 0; i < std::min<std::uint64_t>(out_.size(), c_.blocks * block); ++i)
        if (c_.lba * block + i < disk_.size()) out_[i] = disk_[c_.lba * block + i];
  }

  // -- holding the answer against the disk -----------------------------------------------------------------------

  void check(const exchange& e) {
    const bool good = e.outcome.status == status::good || e.outcome.status == status::condition_met;
    if (e.silent) return complain("it ended without status");
    if (e.in.size() > room_) return complain("more data than there is room");
    if (e.outcome.status == status::check_condition && e.outcome.sense.key == sense_key::no_sense)
      return complain("CHECK CONDITION without a reason");
    if (c_.forbidden && good) return complain("a reserved bit passed");
    if (c_.forbidden) return;
    if (good && places_block() && c_.lba + c_.blocks > capacity && c_.blocks > 0)
      return complain("it went beyond the end");
    if (e.outcome.status == status::check_condition && e.outcome.sense.key == sense_key::miscompare)
      return check_miscompare(e);
    if (good) apply(e);
  }

  octets at_disk(std::uint64_t bytes_wanted) const {
    const auto from = disk_.begin() + static_cast<std::ptrdiff_t>(c_.lba * block);
    return {from, from + static_cast<std::ptrdiff_t>(bytes_wanted)};
  }
  std::uint64_t usable() const { return std::min<std::uint64_t>(c_.blocks * block, out_.size()) / block * block; }

  void apply(const exchange& e) {
    switch (row_->what) {
      case scsi::command::read:
        if (e.in != at_disk(std::min<std::uint64_t>(c_.blocks * block, room_))) complain("it read something else");
        return;
      case scsi::command::write:
      case scsi::command::write_and_verify:
        std::copy_n(out_.begin(), usable(), disk_.begin() + static_cast<std::ptrdiff_t>(c_.lba * block));
        return;
      case scsi::command::or_write:
        for (std::uint64_t i = 0; i < usable(); ++i) disk_[c_.lba * block + i] |= out_[i];
        return;
      case scsi::command::compare_and_write:
        if (difference()) complain("it found no difference");
        std::copy_n(out_.begin() + c_.blocks * block, c_.blocks * block,
                    disk_.begin() + static_cast<std::ptrdiff_t>(c_.lba * block));
        return;
      case scsi::command::verify:
        if (c_.decoded.byte_check != 0 && difference()) complain("it found no difference");
        return;
      case scsi::command::write_same:
        return fill();
      case scsi::command::unmap:
        if (out_.size() == 24 && out_[3] == 16)
          std::fill_n(disk_.begin() + out_[15] * block, std::size_t{out_[19]} * block, std::uint8_t{0});
        return;
      default:
        return;
    }
  }
  /// No blocks: up to the last one.
  void fill() {
    const std::uint64_t count = c_.blocks == 0 ? capacity - c_.lba : c_.blocks;
    for (std::uint64_t i = 0; i < count * block; ++i)
      disk_[c_.lba * block + i] = c_.decoded.ndob ? std::uint8_t{0} : out_.at(i % block);
  }
  /// Where the data-out first differ from the blocks, as the command compares them.
  std::optional<std::uint64_t> difference() const {
    const bool each = c_.decoded.byte_check == 3;
    const std::uint64_t length = row_->what == scsi::command::compare_and_write || each ? c_.blocks * block : usable();
    if (each && out_.size() < block) return std::nullopt;
    for (std::uint64_t i = 0; i < length; ++i)
      if (out_[each ? i % block : i] != disk_[c_.lba * block + i]) return each ? i % block : i;
    return std::nullopt;
  }
  void check_miscompare(const exchange& e) {
    const auto where = difference();
    if (!where || !e.outcome.sense.has_information || e.outcome.sense.information != *where)
      complain("it found a difference where there is none");
  }

  octets on_medium() {
    struct one_read final : store::request {
      void done(store::status) noexcept override {}
    } r;
    octets all(disk_.size());
    const iovec part{all.data(), all.size()};
    r.what = store::verb::read;
    r.length_bytes = all.size();
    r.parts = &part;
    r.part_count = 1;
    store::status outcome;
    EXPECT_TRUE(s_.medium->attach(*s_.loop)->try_now(r, outcome));
    return all;
  }
  void flip_on_medium() {
    octets now = on_medium();
    now[dice(static_cast<unsigned>(now.size()))] ^= 4;
    struct one_write final : store::request {
      void done(store::status) noexcept override {}
    } w;
    const iovec part{now.data(), now.size()};
    w.what = store::verb::write;
    w.length_bytes = now.size();
    w.parts = &part;
    w.part_count = 1;
    store::status outcome;
    EXPECT_TRUE(s_.medium->attach(*s_.loop)->try_now(w, outcome));
  }

  std::mt19937_64 chance_;
  const plant plant_;
  fixture s_;
  std::vector<initiator*> hosts_;
  octets disk_;
  std::string wrong_;

  const scsi::opcode_row* row_ = nullptr;
  random_command c_;
  octets out_;
  std::uint64_t room_ = 0;
};

unsigned count_wanted() {
  const char* said = std::getenv("SLUICE_COMMANDS");
  return said ? static_cast<unsigned>(std::strtoul(said, nullptr, 10)) : 6000;
}

TEST(random_commands, do_what_a_naive_disk_does) {
  constexpr unsigned at_a_time = 3000;
  for (unsigned done = 0; done < count_wanted(); done += at_a_time) {
    const std::uint64_t seed = 1 + done / at_a_time;
    ASSERT_EQ(random_commands(seed, plant::none).run(at_a_time), "") << "seed " << seed;
  }
}

TEST(random_commands, faults_that_are_planted_are_seen) {
  for (const plant each :
       {plant::other_block, plant::fewer_blocks, plant::other_byte, plant::medium_flips, plant::dropped})
    EXPECT_NE(random_commands(7, each).run(1000), "") << static_cast<int>(each);
}

}  // namespace
}  // namespace sluice::unit
