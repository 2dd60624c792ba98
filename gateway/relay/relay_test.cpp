#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <random>

#include "actors/reactor/simulated.hpp"
#include "gateway/relay/core_relay.hpp"
#include "gateway/relay/test_unit.hpp"

// Two gateways in a simulated network: the second relays, the first owns.
namespace sluice::relay {
namespace {

using access::relayed;
using data = std::vector<std::uint8_t>;

constexpr gateway_id owner_id = 1, other_id = 2;
const reactor::endpoint owner_address{"127.0.0.1", 3290};

class known final : public neighbours {
 public:
  explicit known(gateway_id own) : own_(own) { owners_secret.octets.fill(7); }
  gateway_id own() const override { return own_; }
  relay::secret own_secret() const override { return owners_secret; }
  std::optional<peer> find(gateway_id gateway) const override {
    if (gateway != owner_id || !is_there) return std::nullopt;
    return peer{owner_address, owners_secret};
  }
  relay::secret owners_secret;
  bool is_there = true;

 private:
  const gateway_id own_;
};

/// One command, as the shard that relays it goes on with it.
class asker final : public access::relayed_command {
 public:
  asker(access::owner_link& link, std::shared_ptr<const port::i_t_nexus> nexus, std::uint32_t lba, std::uint16_t blocks,
        data sent)
      : out(std::move(sent)), link_(link) {
    data cdb(10);
    cdb[0] = out.empty() ? 0x28 : 0x2a;
    wire::store32(cdb, 2, lba);
    wire::store16(cdb, 7, blocks);
    wanted_ = out.empty() ? blocks * test_block : 0;
    subject.nexus = std::move(nexus);
    subject.set_cdb(cdb);
    subject.expected_data_out = out.size();
    subject.expected_data_in = wanted_;
    unit = "disk";
    owner = owner_id;
    task = &subject;
    make_room();
    const std::size_t at_once = std::min<std::size_t>(out.size(), 8192);
    if (at_once != 0) data_out = {{out.data(), at_once}};
    link_.submit(*this);
  }
  void on_answer() noexcept override {
    ++answers;
    if (came == relayed::wants_data) {
      SLUICE_CHECK(wanted_offset + wanted_length <= out.size());
      data_out = {{out.data() + wanted_offset, wanted_length}};
      return ends_soon ? link_.end(*this) : link_.go_on(*this);
    }
    in.insert(in.end(), room_.begin(), room_.begin() + size_in());
    if (came == relayed::has_data) {
      make_room();
      return ends_soon ? link_.end(*this) : link_.go_on(*this);
    }
    SLUICE_CHECK(!is_over);
    is_over = true;
  }
  void end() {
    ends_soon = true;
    link_.end(*this);
  }
  bool good() const {
    return is_over && came == relayed::ended && silenced == port::silence::none && outcome.status == scsi::status::good;
  }

  port::task subject;
  data out, in;
  unsigned answers = 0;
  bool is_over = false, ends_soon = false;

 private:
  std::ptrdiff_t size_in() const {
    const bool brings = came == relayed::has_data || came == relayed::ended;
    return brings ? static_cast<std::ptrdiff_t>(octets) : 0;
  }
  void make_room() {
    room_.resize(std::min<std::size_t>(wanted_ - in.size(), max_payload));
    room = room_;
  }
  access::owner_link& link_;
  std::size_t wanted_ = 0;
  data room_;
};

class relay_world {
 public:
  explicit relay_world(std::uint64_t seed = 1, reactor::sim_options how = {}) : world(seed, how) {
    owner.emplace(*owners_loop, owners_view, arrivals_);
    other.emplace(*others_loop, others_view, others_arrivals_);
    unit = std::make_unique<test_unit>(*owners_loop);
    publish(true);
    listener_ = *owners_loop->listen(owner_address, 8);
    accept();
    nexus_ = make_nexus(1);
  }
  ~relay_world() {
    unit->release();
    run(ns_per_s * 20);
    publish(false);
    world.options().reset = 0;
    run(ns_per_s * 5);
    bool one = false, two = false;
    other->stop([&] { one = true; });
    run();
    owner->stop([&] { two = true; });
    stops_ = true;
    owners_loop->cancel(accepted_);
    run();
    EXPECT_TRUE(one && two);
    EXPECT_TRUE(unit->nexuses.empty());
    other.reset();
    owner.reset();
    EXPECT_EQ(unit->handle.use_count(), 1);
  }

  void publish(bool is_there) {
    access::target_entry target;
    target.name = "main";
    if (is_there) target.luns = {{0, unit->handle}};
    owner->follow(access::make_directory({target}));
  }
  static std::shared_ptr<const port::i_t_nexus> make_nexus(std::uint64_t number) {
    auto made = std::make_shared<port::i_t_nexus>();
    made->id = global_id(other_id, number);
    made->initiator.name = "iqn.2026-11.org.example:host" + std::to_string(number);
    made->target_name = "main";
    made->relative_target_port = 2;
    return made;
  }
  asker& write(std::uint32_t lba, std::uint16_t blocks, std::uint8_t seed) {
    data out(blocks * test_block);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i / 512 * 31 + i + seed);
    return askers.emplace_back(*other, nexus_, lba, blocks, std::move(out));
  }
  asker& read(std::uint32_t lba, std::uint16_t blocks) {
    return askers.emplace_back(*other, nexus_, lba, blocks, data{});
  }
  asker& done(asker& a, std::uint64_t limit_ns = 20 * ns_per_s) {
    world.run_until([&] { return a.is_over; }, world.now_ns() + limit_ns);
    EXPECT_TRUE(a.is_over);
    return a;
  }
  void run(std::uint64_t for_ns = ns_per_s) { world.run_for(for_ns); }
  data on_disk(std::uint32_t lba, std::uint16_t blocks) const {
    const auto begin = unit->disk.begin() + static_cast<std::ptrdiff_t>(lba * test_block);
    return {begin, begin + static_cast<std::ptrdiff_t>(blocks * test_block)};
  }

  reactor::sim_world world;
  std::unique_ptr<reactor::loop> owners_loop = world.make_loop(0), others_loop = world.make_loop(1);
  known owners_view{owner_id}, others_view{other_id};
  std::unique_ptr<test_unit> unit;
  std::optional<core_relay> owner, other;
  std::list<asker> askers;
  std::vector<reactor::handle> connections;

 private:
  void accept() { owners_loop->accept(accepted_, listener_); }
  void on_accepted(std::int64_t result) noexcept {
    if (stops_) return owners_loop->close(listener_);
    if (result >= 0) {
      connections.push_back(static_cast<reactor::handle>(result));
      owner->take(connections.back(), owners_view.own_secret());
    }
    accept();
  }

  arrivals arrivals_, others_arrivals_;
  std::shared_ptr<const port::i_t_nexus> nexus_;
  reactor::handle listener_ = reactor::no_handle;
  bool stops_ = false;
  reactor::member_operation<relay_world, &relay_world::on_accepted> accepted_{*this};
};

TEST(relay, data_of_any_length_go_both_ways) {
  relay_world w;
  std::uint32_t lba = 0;
  for (const std::uint16_t blocks : {1, 8, 17, 300, 2048, 5000}) {
    const asker& wrote = w.done(w.write(lba, blocks, 3));
    EXPECT_TRUE(wrote.good()) << blocks;
    EXPECT_EQ(wrote.length_out, blocks * test_block);
    EXPECT_EQ(w.on_disk(lba, blocks), wrote.out) << blocks;
    const asker& back = w.done(w.read(lba, blocks));
    EXPECT_TRUE(back.good()) << blocks;
    EXPECT_EQ(back.in, wrote.out) << blocks;
    lba += blocks;
  }
}

TEST(relay, many_commands_are_under_way_at_once) {
  relay_world w;
  std::vector<asker*> all;
  for (std::uint32_t i = 0; i < 100; ++i)
    all.push_back(&w.write(i * 100, i % 3 == 0 ? 100 : 1, static_cast<std::uint8_t>(i)));
  for (asker* each : all) EXPECT_TRUE(w.done(*each).good());
  for (std::uint32_t i = 0; i < 100; ++i) EXPECT_EQ(w.on_disk(i * 100, i % 3 == 0 ? 100 : 1), all[i]->out) << i;
}

TEST(relay, the_owners_outcome_is_told_as_it_is) {
  relay_world w;
  const asker& beyond = w.done(w.read(test_blocks, 1));
  EXPECT_EQ(beyond.came, relayed::ended);
  EXPECT_EQ(beyond.outcome.status, scsi::status::check_condition);
  EXPECT_EQ(beyond.outcome.sense.code, scsi::asc::lba_out_of_range);
}

TEST(relay, the_owner_knows_whose_commands_they_are) {
  relay_world w;
  w.unit->holds = true;
  w.read(0, 1);
  w.run();
  ASSERT_EQ(w.unit->nexuses.size(), 1u);
  const port::i_t_nexus& there = *w.unit->nexuses.begin()->second;
  EXPECT_EQ(gateway_of(there.id), other_id);
  EXPECT_EQ(there.initiator.name, "iqn.2026-11.org.example:host1");
  EXPECT_EQ(there.relative_target_port, 2);
  EXPECT_TRUE(there.relayed);
  w.unit->release();
  w.run();
  w.other->forget("disk", there.id);
  w.run();
  EXPECT_TRUE(w.unit->nexuses.empty());
}

TEST(relay, who_does_not_own_the_unit_does_nothing_and_says_so) {
  relay_world w;
  w.unit->is_owner = false;
  EXPECT_EQ(w.done(w.write(0, 1, 9)).came, relayed::not_here);
  w.unit->is_owner = true;
  w.publish(false);
  EXPECT_EQ(w.done(w.write(0, 1, 9)).came, relayed::not_here) << "the unit is not there";
  EXPECT_EQ(w.unit->writes, 0u);
  w.publish(true);
  EXPECT_TRUE(w.done(w.write(0, 1, 9)).good()) << "it came";
}

TEST(relay, a_command_that_is_to_end_does_so_wherever_it_is) {
  relay_world w;
  w.unit->holds = true;
  asker& at_the_unit = w.write(0, 1, 1);
  w.run(50 * ns_per_ms);
  at_the_unit.end();
  w.done(at_the_unit);
  EXPECT_EQ(at_the_unit.silenced, port::silence::transport_abort);
  EXPECT_EQ(w.unit->aborted, 1u);
  asker& not_sent = w.write(0, 1, 1);
  not_sent.end();
  EXPECT_NE(w.done(not_sent).came, relayed::lost);
  w.unit->release();
  EXPECT_EQ(w.unit->writes, 0u);
}

TEST(relay, an_owner_that_cannot_be_reached_costs_a_second) {
  relay_world w;
  w.others_view.is_there = false;
  EXPECT_EQ(w.done(w.write(0, 1, 1), 3 * ns_per_s).came, relayed::unreachable);
  w.others_view.is_there = true;
  EXPECT_TRUE(w.done(w.write(0, 1, 1)).good());
}

TEST(relay, without_the_secret_nothing_is_done) {
  relay_world w;
  w.others_view.owners_secret.octets.fill(8);
  EXPECT_EQ(w.done(w.write(0, 1, 1), 3 * ns_per_s).came, relayed::unreachable);
  EXPECT_TRUE(w.unit->nexuses.empty());
}

TEST(relay, what_a_broken_link_had_is_over_when_it_is_told) {
  relay_world w;
  w.unit->holds = true;
  asker& held = w.write(0, 1, 1);
  w.run(50 * ns_per_ms);
  ASSERT_EQ(w.unit->held.size(), 1u);
  w.world.reset_connection(w.connections.back());
  EXPECT_EQ(w.done(held).came, relayed::lost);
  EXPECT_TRUE(w.unit->held.empty()) << "the owner has ended it";
  w.unit->release();
  EXPECT_TRUE(w.done(w.write(0, 1, 2)).good());
  EXPECT_EQ(w.unit->writes, 1u);
}

TEST(relay, what_a_silent_link_had_is_told_only_when_it_is_over) {
  relay_world w;
  EXPECT_TRUE(w.done(w.write(0, 1, 1)).good());
  w.unit->holds = true;
  asker& held = w.write(0, 1, 2);
  w.run(50 * ns_per_ms);
  w.world.partition(0, 1, true);
  w.write(8, 1, 2);
  w.run(10 * ns_per_s);
  EXPECT_FALSE(held.is_over) << "the owner may do it yet";
  w.world.partition(0, 1, false);
  EXPECT_EQ(w.done(held).came, relayed::lost);
  w.unit->release();
  w.run();
  EXPECT_EQ(w.on_disk(0, 1), w.askers.front().out);
}

TEST(relay, when_the_unit_has_moved_a_silent_former_owner_is_not_waited_for) {
  relay_world w;
  w.unit->holds = true;
  asker& held = w.write(0, 1, 2);
  w.run(50 * ns_per_ms);
  w.world.partition(0, 1, true);
  const std::uint64_t begun = w.world.now_ns();
  w.other->has_moved("disk", 3);
  EXPECT_EQ(w.done(held).came, relayed::lost);
  EXPECT_LT(w.world.now_ns() - begun, ns_per_s);
  w.world.partition(0, 1, false);
}

TEST(relay, what_is_known_to_be_over_is_not_waited_for) {
  relay_world w;
  w.unit->holds = true;
  asker& held = w.write(0, 1, 2);
  w.run(50 * ns_per_ms);
  w.world.partition(0, 1, true);
  w.other->end(held);
  w.run(100 * ns_per_ms);
  EXPECT_FALSE(held.is_over);
  w.other->is_over(held);
  EXPECT_EQ(w.done(held).came, relayed::lost);
  w.world.partition(0, 1, false);
}

/// Connections break at any point: each command is answered once, and nothing of it is done after that.
TEST(relay, breaking_connections_lose_no_command_and_do_none_late) {
  const char* const more = std::getenv("SLUICE_SEEDS");
  const std::uint64_t seeds = more ? std::strtoull(more, nullptr, 10) : 60;
  for (std::uint64_t seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    relay_world w(seed);
    std::mt19937_64 chance(seed);
    // Each block has one writer at a time; what it may hold is what was written last, or before if that was lost.
    struct cell {
      asker* busy = nullptr;
      data held = data(test_block);
    };
    std::vector<cell> cells(40);
    for (int turn = 0; turn < 400; ++turn) {
      const std::size_t which = chance() % cells.size();
      cell& c = cells[which];
      if (c.busy && c.busy->is_over) {
        const asker& a = *c.busy;
        const data now = w.on_disk(static_cast<std::uint32_t>(which), 1);
        const bool was_not_done = a.came == relayed::not_here || a.came == relayed::unreachable;
        EXPECT_TRUE(a.good() || now == a.out || now == c.held);
        EXPECT_TRUE(!a.good() || now == a.out);
        EXPECT_TRUE(!was_not_done || now == c.held);
        c.held = now;
        c.busy = nullptr;
      } else if (!c.busy) {
        EXPECT_EQ(w.on_disk(static_cast<std::uint32_t>(which), 1), c.held) << "done after it was answered";
        c.busy = &w.write(static_cast<std::uint32_t>(which), 1, static_cast<std::uint8_t>(chance()));
        if (chance() % 8 == 0) w.read(100, static_cast<std::uint16_t>(1 + chance() % 4000));
      } else if (chance() % 10 == 0) {
        c.busy->end();
      }
      if (chance() % 25 == 0 && !w.connections.empty()) w.world.reset_connection(w.connections.back());
      if (chance() % 60 == 0) w.world.partition(0, 1, true);
      if (chance() % 20 == 0) w.world.partition(0, 1, false);
      w.unit->obeys = chance() % 2 == 0;
      w.unit->holds = chance() % 4 != 0;
      if (!w.unit->holds) w.unit->release();
      w.run(chance() % (20 * ns_per_ms));
    }
    w.world.partition(0, 1, false);
    w.unit->release();
    w.run(20 * ns_per_s);
    for (const asker& a : w.askers) EXPECT_TRUE(a.is_over);
  }
}

}  // namespace
}  // namespace sluice::relay
