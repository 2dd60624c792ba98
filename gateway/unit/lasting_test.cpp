#include "gateway/agreement/codec.hpp"
#include "gateway/unit/test_fixture.hpp"

// What a unit finds in the state directory: state of a former format, and state that is damaged.
namespace sluice::unit {
namespace {

using scsi::sense_key;
using scsi::status;
namespace asc = scsi::asc;

/// Counts what is written to the state store of a stand.
class counted_store final : public state::state_store {
 public:
  explicit counted_store(std::unique_ptr<state_store> store) : below(std::move(store)) {}
  result<std::optional<std::string>> load(std::string_view key) override { return below->load(key); }
  result<void> save(std::string key, std::string value) override {
    return below->save(std::move(key), std::move(value));
  }
  void change(std::vector<state::update> updates, reactor::loop& coordinator, state::durable done) override {
    ++changes;
    if (holds)
      return held.push_back([this, updates, &coordinator, done] { below->change(updates, coordinator, done); });
    if (refuses) return coordinator.post([done, why = *refuses] { done(fail(why, "refused")); });
    below->change(std::move(updates), coordinator, std::move(done));
  }
  std::unique_ptr<state_store> below;
  int changes = 0;
  std::optional<errc> refuses;
  bool holds = false;
  std::vector<std::function<void()>> held;
};

octets mode_select_tas(bool on) {
  octets list(16);
  list[4] = list[5] = 0x0a;
  list[6] = 0x02;
  list[7] = 0x10;
  list[9] = on ? 0x40 : 0;
  return list;
}

class lasting : public ::testing::Test {
 protected:
  lasting() {
    auto counted = std::make_unique<counted_store>(std::move(s.kept));
    counter = counted.get();
    s.kept = std::move(counted);
    s.authority = *state::local_authority::make(*s.kept);
    s.coordinator = s.make_coordinator(true);
    counter->changes = 0;
  }
  int writes_of(exchange& e) {
    const int before = counter->changes;
    EXPECT_TRUE(s.done(e).good());
    return counter->changes - before;
  }

  fixture s;
  counted_store* counter = nullptr;
};

TEST_F(lasting, a_reset_that_waits_ends_with_its_nexus) {
  s.late = true;
  initiator &resets = s.add(), &writes = s.add();
  counter->holds = true;
  exchange& registers = writes.send(pr_out(0), pr_list(0, 0xb, 1));
  s.run();
  ASSERT_EQ(counter->held.size(), 1U);
  resets.manage(port::task_function::logical_unit_reset);
  s.run();
  bool ended = false;
  s.shards[0]->detach(resets.identity->id, port::loss_reason::connection_lost, [&] { ended = true; });
  s.run();
  EXPECT_TRUE(ended);
  s.stalled.on = true;
  exchange& later = writes.send(write10(0, 1), filled(512, 1));
  s.run();
  for (const auto& each : std::exchange(counter->held, {})) each();
  s.run();
  s.end_stall();
  s.run();
  EXPECT_TRUE(registers.good());
  EXPECT_TRUE(later.good()) << "it came after the end of the nexus that asked for a reset";
}

TEST_F(lasting, what_is_written_for_which_command) {
  initiator& a = s.add();
  EXPECT_EQ(writes_of(a.send(pr_out(0), pr_list(0, 0xa))), 0);
  EXPECT_EQ(writes_of(a.send(pr_out(0), pr_list(0xa, 0xb, 1))), 1) << "APTPL";
  EXPECT_EQ(writes_of(a.send(pr_out(1, 5), pr_list(0xb, 0))), 1);
  EXPECT_EQ(writes_of(a.send(pr_out(2, 5), pr_list(0xb, 0))), 1);
  EXPECT_EQ(writes_of(a.send(pr_out(3), pr_list(0xb, 0))), 1) << "nothing is left to last";
  EXPECT_EQ(writes_of(a.send({0x16, 0, 0, 0, 0, 0})), 0);
  EXPECT_EQ(writes_of(a.send({0x17, 0, 0, 0, 0, 0})), 0);
  EXPECT_EQ(writes_of(a.send({0x15, 0x10, 0, 0, 16, 0}, mode_select_tas(true))), 0);
  EXPECT_EQ(writes_of(a.send({0x15, 0x11, 0, 0, 16, 0}, mode_select_tas(true))), 1) << "SP";
  EXPECT_EQ(writes_of(a.send({0x1b, 0, 0, 0, 0, 0})), 0);
  EXPECT_EQ(writes_of(a.send({0x1b, 0, 0, 0, 1, 0})), 0);
  const int before = counter->changes;
  a.manage(port::task_function::logical_unit_reset);
  s.run();
  EXPECT_EQ(counter->changes, before);
}

TEST_F(lasting, what_cannot_be_kept_is_refused_and_no_other_command) {
  initiator& a = s.add();
  for (const errc why : {errc::no_space, errc::io}) {
    counter->refuses = why;
    EXPECT_TRUE(s.done(a.send(pr_out(6), pr_list(0, 0xa, 1)))
                    .sensed(sense_key::illegal_request, asc::insufficient_registration_resources));
    EXPECT_TRUE(s.coordinator->snapshot()->reservations.registrants.empty());
    EXPECT_TRUE(s.done(a.send({0x15, 0x11, 0, 0, 16, 0}, mode_select_tas(true)))
                    .sensed(sense_key::hardware_error, asc::internal_target_failure));
    EXPECT_FALSE(s.coordinator->snapshot()->mode.task_aborted_status);
    EXPECT_TRUE(s.done(a.send(pr_out(6), pr_list(0, 0xa))).good());
    counter->refuses = {};
    EXPECT_TRUE(s.done(a.send(pr_out(6), pr_list(0, 0xb, 1))).good());
    EXPECT_TRUE(s.done(a.send(pr_out(6), pr_list(0, 0))).good());
  }
}

TEST_F(lasting, each_start_has_epochs_of_its_own) {
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(pr_out(0), pr_list(0, 0xa, 1))).good());
  EXPECT_TRUE(s.done(a.send({0x15, 0x10, 0, 0, 16, 0}, mode_select_tas(true))).good());
  const std::uint64_t last = s.coordinator->snapshot()->epoch;
  EXPECT_GT(s.make_coordinator()->snapshot()->epoch, last);
}

TEST_F(lasting, damage_costs_the_unit_until_the_operator_gives_it_up) {
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(pr_out(0), pr_list(0, 0xa, 1))).good());
  std::string stored = **s.kept->load("unit/disk");
  stored[stored.size() / 2] ^= 1;
  ASSERT_TRUE(s.kept->save("unit/disk", stored));
  const auto damaged = s.make_coordinator();
  EXPECT_EQ(damaged->snapshot()->serves, unit_snapshot::service::damaged);
  EXPECT_EQ(damaged->snapshot()->serial, s.coordinator->snapshot()->serial);
  EXPECT_NE(damaged->damage().find("checksum"), std::string::npos) << damaged->damage();
}

TEST_F(lasting, a_damaged_unit_answers_that_somebody_must_see_to_it) {
  initiator& a = s.add();
  EXPECT_TRUE(s.done(a.send(pr_out(0), pr_list(0, 0xa, 1))).good());
  std::string stored = **s.kept->load("unit/disk");
  stored.back() ^= 1;
  ASSERT_TRUE(s.kept->save("unit/disk", stored));
  const std::string serial = s.coordinator->snapshot()->serial;
  s.coordinator = s.make_coordinator();
  s.coordinator->establish_unit_attention(asc::warning);  // brings the shards its snapshot
  s.run();
  for (const octets& cdb : {test_unit_ready(), write10(0, 1)})
    EXPECT_TRUE(s.done(a.send(cdb, filled(cdb.size() == 6 ? 0 : 512, 1)))
                    .sensed(sense_key::not_ready, asc::manual_intervention_required));
  EXPECT_TRUE(s.done(a.send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good()) << "INQUIRY";
  EXPECT_TRUE(
      s.done(a.send(pr_out(0), pr_list(0, 0xb))).sensed(sense_key::not_ready, asc::manual_intervention_required));
  EXPECT_EQ(a.manage(port::task_function::logical_unit_reset).answers, 0);
  s.run();
  EXPECT_EQ(a.managements.back().answers, 1);
  EXPECT_EQ(**s.kept->load("unit/disk"), stored) << "nothing is made anew silently";

  std::optional<result<void>> given_up;
  s.coordinator->clear_reservations([&](const result<void>& outcome) { given_up = outcome; });
  s.run();
  ASSERT_TRUE(given_up && *given_up);
  EXPECT_EQ(s.coordinator->snapshot()->serial, serial);
  EXPECT_TRUE(s.done(a.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::reset_occurred));
  EXPECT_TRUE(s.done(a.send(pr_out(0), pr_list(0, 0xb, 1))).good());
  EXPECT_EQ(s.make_coordinator()->snapshot()->reservations.registrants.size(), 1u);
}

TEST(former_state, is_taken_over_with_one_write) {
  // As a gateway of the former format wrote it: two registrants, of which the second holds Write Exclusive -
  // Registrants Only.
  const auto hex = [](std::string_view text) {
    std::string octets;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
      octets += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
    return octets;
  };
  fixture s;
  ASSERT_TRUE(s.kept->save("identity/old", "00112233445566778899aabbccddeeff"));
  ASSERT_TRUE(s.kept->save("mode/old", hex("0108")));
  ASSERT_TRUE(
      s.kept->save("reservations/old",
                   hex("534c505201050001000200000000000000010001050019000e69716e2e323032362d31312e6f72672e6578616d"
                       "706c653a61307830303030303030303030303100000000000000020002050019000069716e2e323032362d3131"
                       "2e6f72672e6578616d706c653a6220cbe688")));
  auto before = agreement::load_former(*s.kept, "old");
  ASSERT_TRUE(before && *before) << before.error().message;
  EXPECT_EQ((*before)->keys.size(), 3u);
  EXPECT_EQ((*before)->damage, "");
  const auto all = *state::local_authority::make(*s.kept);
  coordinator_options how;
  how.serial = "ffffffffffffffffffffffffffffffff";
  how.before = *before;
  struct nobody final : shard_link {
    void send(to_shard) override {}
  } shard;
  coordinator taken(how, {&shard}, *s.loop, *all->open("unit/old", *s.loop));
  std::optional<result<void>> started;
  taken.start([&](const result<void>& outcome) { started = outcome; });
  s.run();
  ASSERT_TRUE(started && *started);
  EXPECT_EQ(taken.snapshot()->facts.serial, "00112233445566778899aabbccddeeff");
  EXPECT_EQ(taken.snapshot()->facts.naa, 0x3011223344556677u);
  EXPECT_TRUE(taken.snapshot()->mode.task_aborted_status);
  EXPECT_EQ(taken.snapshot()->reservations, (*before)->state.reservations);
  EXPECT_EQ(taken.snapshot()->reservations.registrants.size(), 2u);
  EXPECT_TRUE(taken.snapshot()->reservations.reserved());
  for (const char* key : {"identity/old", "mode/old", "reservations/old"})
    EXPECT_FALSE(s.kept->load(key)->has_value()) << key;
  EXPECT_FALSE(*agreement::load_former(*s.kept, "old"));
}

TEST(former_state, that_is_damaged_is_told) {
  fixture s;
  ASSERT_TRUE(s.kept->save("identity/old", "00112233445566778899aabbccddeeff"));
  ASSERT_TRUE(s.kept->save("reservations/old", "nonsense"));
  const auto before = agreement::load_former(*s.kept, "old");
  ASSERT_TRUE(before && *before);
  EXPECT_FALSE((*before)->damage.empty());
  EXPECT_EQ((*before)->state.serial, "00112233445566778899aabbccddeeff");
  ASSERT_TRUE(s.kept->save("identity/old", "nonsense"));
  const auto nameless = agreement::load_former(*s.kept, "old");
  ASSERT_TRUE(nameless && *nameless);
  EXPECT_FALSE((*nameless)->damage.empty());
  EXPECT_EQ((*nameless)->state.serial, "");
}

/// A unit whose identity cannot be read, of either format.
class nameless : public ::testing::Test {
 protected:
  std::unique_ptr<coordinator> start(coordinator_options how) {
    how.serial = "ffffffffffffffffffffffffffffffff";
    auto before = agreement::load_former(*s.kept, "old");
    EXPECT_TRUE(before) << before.error().message;
    how.before = std::move(*before);
    auto made =
        std::make_unique<coordinator>(how, std::vector<shard_link*>{&shard}, *s.loop, *all->open("unit/old", *s.loop));
    bool started = false;
    made->start([&](const result<void>& outcome) { started = outcome.has_value(); });
    s.run();
    EXPECT_TRUE(started);
    return made;
  }
  struct obeys final : shard_link {
    void send(to_shard) override {}
  } shard;
  fixture s;
  const std::unique_ptr<state::local_authority> all = *state::local_authority::make(*s.kept);
};

TEST_F(nameless, tells_no_name_until_the_operator_gives_it_up) {
  ASSERT_TRUE(s.kept->save("identity/old", "nonsense"));
  const auto unit = start({});
  EXPECT_EQ(unit->snapshot()->serves, unit_snapshot::service::damaged);
  EXPECT_EQ(unit->snapshot()->facts.serial, "");
  EXPECT_EQ(unit->snapshot()->facts.naa, 0u);
  EXPECT_NE(unit->damage().find("NAA"), std::string::npos) << unit->damage();
  unit->clear_reservations({});
  s.run();
  EXPECT_EQ(unit->snapshot()->serves, unit_snapshot::service::on);
  EXPECT_EQ(unit->snapshot()->facts.serial, "ffffffffffffffffffffffffffffffff");
  EXPECT_FALSE(s.kept->load("identity/old")->has_value());
}

TEST_F(nameless, has_the_names_that_are_configured) {
  ASSERT_TRUE(s.kept->save("unit/old", "nonsense"));
  coordinator_options how;
  how.configured_serial = "vm1";
  how.configured_naa = 0x3000000000000001;
  const auto unit = start(how);
  EXPECT_EQ(unit->snapshot()->serves, unit_snapshot::service::damaged);
  EXPECT_EQ(unit->snapshot()->facts.serial, "vm1");
  EXPECT_EQ(unit->snapshot()->facts.naa, 0x3000000000000001u);
  EXPECT_EQ(unit->damage().find("NAA"), std::string::npos) << unit->damage();
}

}  // namespace
}  // namespace sluice::unit
