#include <gtest/gtest.h>

#include "fabrics/iscsi/connection_book.hpp"
#include "fabrics/iscsi/guess_guard.hpp"
#include "fabrics/iscsi/test_fixture.hpp"

namespace sluice::iscsi {
namespace {

constexpr std::uint64_t ms = 1'000'000, second = 1000 * ms;

struct hall {
  explicit hall(connection_limits limits) : book(limits) {}
  std::uint64_t arrive(const std::string& address) {
    const auto number = std::make_shared<std::uint64_t>(0);
    auto facts = std::make_shared<connection_facts>();
    facts->portal = portal;
    facts->address = address;
    facts->peer = address + ":50000";
    *number = book.arrive(std::move(facts), [this, number](port::loss_reason) {
      const bool again = std::find(closed.begin(), closed.end(), *number) != closed.end();
      (again ? closed_for_good : closed).push_back(*number);
    });
    return *number;
  }
  connection_book book;
  std::uint32_t portal = 1;
  std::vector<std::uint64_t> closed, closed_for_good;
};

TEST(connection_book, a_flood_from_one_address_gives_way_to_itself) {
  hall of({.sessions = 100, .per_address = 50, .strangers = 40});
  const auto honest = of.arrive("10.0.0.1");
  std::vector<std::uint64_t> flood;
  for (int i = 0; i < 200; ++i) flood.push_back(of.arrive("10.0.0.2"));
  ASSERT_EQ(of.closed.size(), 190u) << "ten of one address are enough";
  EXPECT_TRUE(std::equal(of.closed.begin(), of.closed.end(), flood.begin())) << "the oldest first, each once";
  EXPECT_TRUE(of.book.log_in(honest));
}

TEST(connection_book, with_too_many_strangers_the_address_with_the_most_gives_way) {
  hall of({.sessions = 100, .per_address = 50, .strangers = 40});
  for (int address = 0; address < 16; ++address)
    for (int i = 0; i < 2; ++i) of.arrive("10.0.1." + std::to_string(address));
  std::vector<std::uint64_t> many;
  for (int i = 0; i < 8; ++i) many.push_back(of.arrive("[fd00::1]"));
  EXPECT_TRUE(of.closed.empty());
  of.arrive("10.0.2.1");
  EXPECT_EQ(of.closed, std::vector<std::uint64_t>{many.front()});
}

TEST(connection_book, sessions_have_a_limit_in_all_and_for_an_address) {
  hall of({.sessions = 5, .per_address = 3, .strangers = 40});
  std::vector<std::uint64_t> in;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(of.book.log_in(in.emplace_back(of.arrive("10.0.0.1"))));
  const auto fourth = of.arrive("10.0.0.1");
  EXPECT_FALSE(of.book.log_in(fourth));
  EXPECT_TRUE(of.book.log_in(of.arrive("10.0.0.2")));
  EXPECT_TRUE(of.book.log_in(of.arrive("10.0.0.3")));
  EXPECT_FALSE(of.book.log_in(of.arrive("10.0.0.4"))) << "five in all";
  of.book.leave(in.front());
  EXPECT_TRUE(of.book.log_in(fourth));
  EXPECT_EQ(of.book.sessions(), 5u);
}

TEST(connection_book, who_is_asked_for_a_secret_stays_while_others_of_its_address_are_not) {
  hall of({.sessions = 100, .per_address = 50, .strangers = 40});
  const auto honest = of.arrive("10.0.0.1");
  of.book.proves(honest);
  for (int i = 0; i < 200; ++i) of.arrive("10.0.0.1");
  EXPECT_EQ(std::count(of.closed.begin(), of.closed.end(), honest), 0);
  EXPECT_EQ(of.closed.size(), 191u);
  EXPECT_TRUE(of.book.log_in(honest));
}

TEST(connection_book, of_those_that_prove_themselves_the_oldest_goes_when_there_is_nobody_else) {
  hall of({.sessions = 100, .per_address = 50, .strangers = 40});
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 11; ++i) of.book.proves(all.emplace_back(of.arrive("10.0.0.1")));
  EXPECT_EQ(of.closed, std::vector<std::uint64_t>{all.front()});
}

TEST(connection_book, who_lingers_takes_no_place_and_the_oldest_go_for_good) {
  hall of({.sessions = 100, .per_address = 50, .strangers = 40});
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 10; ++i) all.push_back(of.arrive("10.0.0.1"));
  of.book.lingers(all[3]);
  of.arrive("10.0.0.1");
  EXPECT_TRUE(of.closed.empty()) << "a place came free";
  EXPECT_FALSE(of.book.log_in(all[3]));
  EXPECT_FALSE(of.book.kick(all[3]));
  EXPECT_EQ(of.book.look(100).oldest.size(), 10u);
  for (int i = 0; i < 39; ++i) of.arrive("10.0.0.1");
  EXPECT_EQ(of.closed.size(), 39u);
  EXPECT_TRUE(of.closed_for_good.empty());
  of.book.leave(all[3]);  // it has lingered for long enough
  of.book.leave(all[0]);
  for (int i = 0; i < 2; ++i) of.arrive("10.0.0.1");
  EXPECT_EQ(of.closed.size(), 41u);
  EXPECT_TRUE(of.closed_for_good.empty());
  of.arrive("10.0.0.1");
  EXPECT_EQ(of.closed_for_good, std::vector{all[1]});
}

TEST(connection_book, a_portal_has_ended_when_its_last_connection_has_left) {
  hall of({});
  const auto here = of.arrive("10.0.0.1"), session = of.arrive("10.0.0.1");
  EXPECT_TRUE(of.book.log_in(session));
  of.portal = 2;
  const auto elsewhere = of.arrive("10.0.0.1");
  bool ended = false;
  of.book.close_portal(1, port::loss_reason::shutdown, [&] { ended = true; });
  EXPECT_EQ(of.closed, (std::vector{here, session}));
  of.book.leave(here);
  EXPECT_FALSE(ended);
  of.book.leave(session);
  EXPECT_TRUE(ended);
  bool empty = false;
  of.book.close_portal(3, port::loss_reason::shutdown, [&] { empty = true; });
  EXPECT_TRUE(empty) << "at once";
  of.book.leave(elsewhere);
}

TEST(connection_book, shows_strangers_and_lets_them_be_kicked) {
  hall of({});
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 6; ++i) all.push_back(of.arrive(i % 2 ? "10.0.0.1" : "[fd00::1]"));
  EXPECT_TRUE(of.book.log_in(all[1]));
  const auto seen = of.book.look(3);
  ASSERT_EQ(seen.oldest.size(), 3u);
  EXPECT_EQ(seen.oldest[0].number, all[0]);
  EXPECT_EQ(seen.oldest[1].number, all[2]) << "sessions are shown elsewhere";
  EXPECT_EQ(seen.by_address, (std::map<std::string, std::uint32_t>{{"10.0.0.1", 2}, {"[fd00::1]", 3}}));
  EXPECT_TRUE(of.book.kick(all[2]));
  EXPECT_FALSE(of.book.kick(all[1])) << "a session";
  EXPECT_FALSE(of.book.kick(99));
  EXPECT_EQ(of.closed, std::vector{all[2]});
  EXPECT_EQ(of.book.kick_address("10.0.0.1"), 2u);
  EXPECT_EQ(of.closed, (std::vector{all[2], all[3], all[5]}));
}

TEST(guess_guard, each_failure_of_an_address_doubles_the_wait) {
  guess_guard guard;
  std::uint64_t expected = guess_guard::first_delay_ns;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(guard.delay_ns("10.0.0.1", "iqn." + std::to_string(i), false, second), expected) << i;
    expected = std::min(2 * expected, guess_guard::longest_delay_ns);
  }
  EXPECT_EQ(guard.failures(), 20u);
}

TEST(guess_guard, a_right_answer_waits_as_a_wrong_one_would_where_its_name_was_guessed_at) {
  guess_guard guard;
  for (int i = 0; i < 20; ++i) guard.delay_ns("10.0.0.1", "iqn.x", false, second);
  EXPECT_EQ(guard.delay_ns("10.0.0.1", "iqn.x", true, second), guess_guard::longest_delay_ns)
      << "silence would tell that it was wrong";
  EXPECT_EQ(guard.delay_ns("10.0.0.1", "iqn.another", true, second), 0u)
      << "guesses under other names keep no host of the address out";
  EXPECT_EQ(guard.delay_ns("10.0.0.1", "iqn.another", false, second), guess_guard::longest_delay_ns);
}

TEST(guess_guard, who_knows_a_name_cannot_keep_its_host_out) {
  guess_guard guard;
  for (int i = 0; i < 20; ++i) guard.delay_ns("10.0.0." + std::to_string(i), "iqn.host", false, second);
  EXPECT_EQ(guard.delay_ns("10.0.1.1", "iqn.host", true, second), 0u);
  EXPECT_EQ(guard.delay_ns("10.0.1.1", "iqn.host", false, second), guess_guard::longest_delay_ns);
}

TEST(guess_guard, forgets_and_stays_small) {
  guess_guard guard;
  guard.delay_ns("10.0.0.1", "iqn.host", false, second);
  guard.delay_ns("10.0.0.1", "iqn.host", false, second);
  EXPECT_EQ(guard.delay_ns("10.0.0.1", "iqn.host", false, 2 * second + guess_guard::memory_ns),
            guess_guard::first_delay_ns);
  // Names are free: a flood of them makes room for itself, and the address is counted all the same.
  for (std::size_t i = 0; i < 3 * guess_guard::max_entries; ++i)
    guard.delay_ns("10.0.0.2", "iqn." + std::to_string(i), false, 70 * second);
  EXPECT_EQ(guard.delay_ns("10.0.0.2", "iqn.another", false, 70 * second), guess_guard::longest_delay_ns);
}

std::shared_ptr<const port::credentials> secret_of_host() {
  return std::make_shared<const chap_credentials>("host", "a secret of the host");
}

/// Whose ports have this offer.
std::function<void(connection_options&)> with(const offer& ours) {
  return [ours](connection_options& o) { o.shared = fixture::make_shared_state(ours); };
}

/// The answer to a CHAP response of the stand's initiator, and how long it took.
struct guessed {
  explicit guessed(fixture::fixture& of, bool right) {
    of.gateway.access.credentials = secret_of_host();
    const std::string name = fixture::initiator_name, target = fixture::target_name;
    of.say_login({"InitiatorName=" + name, "TargetName=" + target, "AuthMethod=CHAP"}, 0, -1);
    const auto challenge = of.say_login({"CHAP_A=7"}, 0, -1);
    const auto pairs = parse_text(challenge->data);
    std::uint8_t identifier = 0;
    std::vector<std::uint8_t> octets;
    for (const text_pair& pair : *pairs) {
      if (pair.key == "CHAP_I") identifier = static_cast<std::uint8_t>(*parse_number(pair.value));
      if (pair.key == "CHAP_C") octets = *parse_binary(pair.value, 1024);
    }
    const char* secret = right ? "a secret of the host" : "a secret of another";
    const auto response = chap_response(chap_algorithm::sha256, identifier, secret, octets);
    const std::uint64_t asked_ns = of.world.now_ns();
    const auto answer = of.say_login({"CHAP_N=host", "CHAP_R=" + to_hex(response)}, 0, 1);
    waited_ns = of.world.now_ns() - asked_ns;
    if (answer) status = answer->as<login_response>().status;
  }
  std::uint64_t waited_ns = 0;
  login_status status = login_status::target_error;
};

TEST(connection_book, who_finds_no_room_is_told_so) {
  connection_limits none;
  none.sessions = 0;
  fixture::fixture s(1, [&](connection_options& o) { o.shared->book = std::make_shared<connection_book>(none); });
  const auto answer = s.say_login(
      {std::string("InitiatorName=") + fixture::initiator_name, std::string("TargetName=") + fixture::target_name}, 1,
      3);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->as<login_response>().status, login_status::out_of_resources);
  EXPECT_TRUE(s.initiator.closed());
}

TEST(connection_book, counts_a_session_from_its_login_to_its_end) {
  auto book = std::make_shared<connection_book>(connection_limits{});
  {
    fixture::fixture s(1, [&](connection_options& o) { o.shared->book = book; });
    EXPECT_EQ(book->sessions(), 0u);
    s.log_in();
    EXPECT_EQ(book->sessions(), 1u);
  }
  EXPECT_EQ(book->sessions(), 0u);
}

TEST(guess_guard, the_answer_to_a_guess_waits_and_a_login_by_the_secret_does_not) {
  for (unsigned before : {0u, 1u, 3u, 30u}) {
    fixture::fixture s;
    for (unsigned i = 0; i < before; ++i)
      s.options.shared->guesses->delay_ns("10.0.0.9", fixture::initiator_name, false, s.world.now_ns());
    const guessed wrong(s, false);
    EXPECT_EQ(wrong.status, login_status::authentication_failure);
    const std::uint64_t expected =
        std::min(guess_guard::first_delay_ns << std::min(before, 10u), guess_guard::longest_delay_ns);
    EXPECT_GE(wrong.waited_ns, expected) << before;
    EXPECT_LT(wrong.waited_ns, expected + 50 * ms) << before;
    EXPECT_EQ(s.options.shared->guesses->failures(), before + 1);
    EXPECT_TRUE(s.initiator.closed());
  }
  fixture::fixture s;
  for (int i = 0; i < 30; ++i)
    s.options.shared->guesses->delay_ns("10.0.0.9", fixture::initiator_name, false, s.world.now_ns());
  const guessed right(s, true);
  EXPECT_EQ(right.status, login_status::success);
  EXPECT_LT(right.waited_ns, 50 * ms);
}

TEST(login_policy, weak_algorithms_can_be_switched_off) {
  fixture::fixture s(1, with({.weakest_chap = chap_algorithm::sha256}));
  s.gateway.access.credentials = secret_of_host();
  const std::string name = fixture::initiator_name, target = fixture::target_name;
  s.say_login({"InitiatorName=" + name, "TargetName=" + target, "AuthMethod=CHAP"}, 0, -1);
  const auto answer = s.say_login({"CHAP_A=5,6,7"}, 0, -1);
  ASSERT_TRUE(answer);
  EXPECT_NE(std::string(answer->data.begin(), answer->data.end()).find("CHAP_A=7"), std::string::npos);
  fixture::fixture only_md5(1, with({.weakest_chap = chap_algorithm::sha1}));
  only_md5.gateway.access.credentials = secret_of_host();
  only_md5.say_login({"InitiatorName=" + name, "TargetName=" + target, "AuthMethod=CHAP"}, 0, -1);
  const auto refused = only_md5.say_login({"CHAP_A=5"}, 0, -1);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->as<login_response>().status, login_status::authentication_failure);
}

TEST(login_policy, discovery_can_be_made_to_authenticate) {
  const auto demanding = [](connection_options& o) {
    served_port made;
    made.id = {"iscsi", fixture::target_name, 1};
    made.discovery_chap = true;
    made.portals = {o.portal};
    o.shared->board.publish(std::make_shared<const portal_table>(
        std::map<portal_id, reactor::endpoint>{{o.portal, {"0.0.0.0", 3260}}},
        std::vector<served_port_ptr>{std::make_shared<const served_port>(std::move(made))}));
  };
  const std::string name = std::string("InitiatorName=") + fixture::initiator_name;
  const auto asked = [&](bool known, std::vector<std::string> keys, int stage, int next) {
    fixture::fixture s(1, demanding);
    if (known) s.gateway.access.credentials = secret_of_host();
    keys.insert(keys.begin(), {name, "SessionType=Discovery"});
    const auto answer = s.say_login(keys, stage, next);
    return answer ? answer->as<login_response>().status : login_status::target_error;
  };
  for (bool known : {false, true}) {
    EXPECT_EQ(asked(known, {}, 1, 3), login_status::authentication_failure);
    EXPECT_EQ(asked(known, {"AuthMethod=None"}, 0, 1), login_status::authentication_failure);
  }
  EXPECT_EQ(asked(true, {"AuthMethod=CHAP,None"}, 0, -1), login_status::success);
  EXPECT_EQ(asked(false, {"AuthMethod=CHAP,None"}, 0, -1), login_status::authentication_failure);
}

TEST(login_policy, digests_can_be_demanded) {
  const auto demanding = with({.header_digest_required = true, .data_digest_required = true});
  const std::vector<std::string> names = {std::string("InitiatorName=") + fixture::initiator_name,
                                          std::string("TargetName=") + fixture::target_name};
  const auto status_with = [&](std::vector<std::string> keys) {
    fixture::fixture s(1, demanding);
    keys.insert(keys.begin(), names.begin(), names.end());
    const auto answer = s.say_login(keys, 1, 3);
    return answer ? answer->as<login_response>().status : login_status::target_error;
  };
  EXPECT_EQ(status_with({}), login_status::initiator_error);
  EXPECT_EQ(status_with({"HeaderDigest=CRC32C", "DataDigest=None"}), login_status::initiator_error);
  EXPECT_EQ(status_with({"HeaderDigest=None,CRC32C", "DataDigest=None,CRC32C"}), login_status::success)
      << "what both can is chosen";
}

}  // namespace
}  // namespace sluice::iscsi
