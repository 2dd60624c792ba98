#include "fabrics/iscsi/login.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace sluice::iscsi {
namespace {

using namespace std::string_literals;

constexpr const char* port_name = "iqn.2026-11.io.sluice:main";
constexpr const char* host = "iqn.1994-05.com.example:host";

struct dialogue {
  explicit dialogue(std::optional<port::access> access = port::access{true, nullptr}, const offer& ours = {})
      : machine({}, world(std::move(access), ours)) {}

  static login_world world(std::optional<port::access> access, const offer& ours = {}) {
    const auto port = std::make_shared<served_port>();
    port->id = {"iscsi", port_name, 1};
    port->ours = ours;
    return {[port](const std::string& name) { return name == port_name ? port : nullptr; },
            [access](const port::port_id& asked, const std::string&) {
              EXPECT_EQ(asked.name, port_name);
              return access;
            },
            [](const std::string&) { return nullptr; }, [](bytes out) { std::fill(out.begin(), out.end(), 0x5a); },
            [](std::uint16_t tsih) { return tsih == 7; }};
  }

  login_step say(const std::vector<std::string>& keys, int current, int next = -1, bool more = false) {
    request.current_stage = static_cast<std::uint8_t>(current);
    request.transit = next >= 0;
    request.next_stage = next >= 0 ? static_cast<std::uint8_t>(next) : 0;
    request.continues = more;
    std::string text;
    for (const std::string& key : keys) text += key + '\0';
    return machine.take(request, as_bytes(text));
  }

  login_request request;
  login_machine machine;
};

std::vector<std::string> names(std::vector<std::string> more = {}) {
  std::vector<std::string> all{"InitiatorName="s + host, "TargetName="s + port_name, "SessionType=Normal"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

bool has(const login_step& step, const std::string& pair) {
  return step.data.find(pair + '\0') != std::string::npos;
}

TEST(login, goes_straight_through_the_operational_stage) {
  dialogue d;
  d.request.exp_stat_sn = 40;
  d.request.cmd_sn = 9;
  const login_step s =
      d.say(names({"HeaderDigest=CRC32C,None", "DataDigest=None", "InitialR2T=No", "ImmediateData=Yes",
                   "MaxRecvDataSegmentLength=65536", "MaxBurstLength=16776192", "FirstBurstLength=16776192",
                   "MaxOutstandingR2T=16", "ErrorRecoveryLevel=2", "X-com.example.thing=1", "IFMarker=Yes",
                   "OFMarkInt=1~2", "DefaultTime2Wait=0", "MaxConnections=8"}),
            1, 3);
  ASSERT_EQ(s.verdict, login_verdict::done);
  EXPECT_TRUE(s.response.transit);
  EXPECT_EQ(s.response.next_stage, 3);
  EXPECT_EQ(s.response.sn.stat_sn, 40u);
  EXPECT_EQ(s.response.sn.exp_cmd_sn, 9u);
  for (const char* pair :
       {"TargetPortalGroupTag=1", "HeaderDigest=CRC32C", "DataDigest=None", "InitialR2T=No", "ImmediateData=Yes",
        "MaxRecvDataSegmentLength=262144", "MaxBurstLength=1048576", "FirstBurstLength=262144", "MaxOutstandingR2T=8",
        "ErrorRecoveryLevel=0", "X-com.example.thing=NotUnderstood", "IFMarker=No", "OFMarkInt=Reject",
        "DefaultTime2Wait=2", "MaxConnections=1"})
    EXPECT_TRUE(has(s, pair)) << pair;
  const session_parameters& p = d.machine.parameters();
  EXPECT_TRUE(p.header_digest && !p.data_digest && !p.initial_r2t && p.immediate_data);
  EXPECT_EQ(p.max_recv_initiator, 65536u);
  EXPECT_EQ(p.max_recv_target, 262144u);
}

TEST(login, walks_through_both_stages) {
  dialogue d;
  login_step s = d.say(names({"AuthMethod=CHAP,None"}), 0, 1);
  ASSERT_EQ(s.verdict, login_verdict::more);
  EXPECT_TRUE(s.response.transit);
  EXPECT_TRUE(has(s, "AuthMethod=None"));
  s = d.say({"HeaderDigest=None"}, 1, 3);
  EXPECT_EQ(s.verdict, login_verdict::done);
  EXPECT_EQ(s.response.sn.stat_sn, 1u);
}

TEST(login, takes_names_that_are_said_again_and_no_others) {
  for (const bool same : {true, false}) {
    dialogue d;
    login_step s = d.say(names({"AuthMethod=CHAP,None"}), 0, 1);
    ASSERT_EQ(s.verdict, login_verdict::more);
    s = d.say({"InitiatorName="s + host, "TargetName="s + (same ? port_name : "iqn.2026-11.io.sluice:other"),
               "SessionType=Normal"},
              1, 3);
    EXPECT_EQ(s.verdict, same ? login_verdict::done : login_verdict::failed);
  }
}

TEST(login, gathers_text_over_continuations) {
  dialogue d;
  login_step s = d.say({"InitiatorName="s + host}, 1, -1, true);
  ASSERT_EQ(s.verdict, login_verdict::more);
  EXPECT_TRUE(s.data.empty());
  s = d.say({"TargetName="s + port_name}, 1, 3);
  EXPECT_EQ(s.verdict, login_verdict::done);
}

TEST(login, splits_an_answer_that_passes_8192_bytes) {
  dialogue d;
  std::vector<std::string> keys = names();
  for (int i = 0; i < 250; ++i)
    keys.push_back("X-com.example.a-rather-long-private-key-name." + std::to_string(i) + "=1");
  ASSERT_EQ(d.say({keys.begin(), keys.begin() + 120}, 1, -1, true).verdict, login_verdict::more);
  login_step s = d.say({keys.begin() + 120, keys.end()}, 1, 3);
  std::string all;
  while (s.response.continues) {
    ASSERT_EQ(s.verdict, login_verdict::more);
    EXPECT_FALSE(s.response.transit);
    EXPECT_EQ(s.data.size(), 8192u);
    all += s.data;
    s = d.say({}, 1, 3);
  }
  all += s.data;
  EXPECT_EQ(s.verdict, login_verdict::done);
  EXPECT_GT(all.size(), 8192u);
}

struct refusal {
  const char* what;
  std::vector<std::string> keys;
  int current, next;
  login_status status;
};

TEST(login, refuses_with_the_exact_status) {
  const std::string initiator = "InitiatorName="s + host, target = "TargetName="s + port_name;
  const refusal table[] = {
      {"no initiator", {target}, 1, 3, login_status::missing_parameter},
      {"no target", {initiator}, 1, 3, login_status::missing_parameter},
      {"unknown target", {initiator, "TargetName=iqn.2026-11.io.sluice:other"}, 1, 3, login_status::not_found},
      {"session type", {initiator, target, "SessionType=Other"}, 1, 3, login_status::session_type_not_supported},
      {"another name", names({"InitiatorName=iqn.2026-11.org.example:another"}), 1, 3, login_status::initiator_error},
      {"duplicate key", names({"InitialR2T=No", "InitialR2T=No"}), 1, 3, login_status::initiator_error},
      {"operational key in the security stage", names({"InitialR2T=No"}), 0, 1, login_status::initiator_error},
      {"security key in the operational stage", names({"AuthMethod=None"}), 1, 3, login_status::initiator_error},
      {"malformed name", {"InitiatorName=host", target}, 1, 3, login_status::initiator_error},
      {"next stage 2", names(), 1, 2, login_status::initiator_error},
      {"backwards", names(), 1, 0, login_status::initiator_error},
      {"current stage 3", names(), 3, -1, login_status::initiator_error},
      {"only methods we lack", names({"AuthMethod=KRB5,SRP"}), 0, 1, login_status::authentication_failure},
      {"CHAP keys without CHAP", names({"CHAP_A=5"}), 0, -1, login_status::initiator_error},
  };
  for (const refusal& r : table) {
    dialogue d;
    const login_step s = d.say(r.keys, r.current, r.next);
    EXPECT_EQ(s.verdict, login_verdict::failed) << r.what;
    EXPECT_EQ(s.response.status, r.status) << r.what;
  }
}

TEST(login, refuses_versions_and_session_handles) {
  dialogue version;
  version.request.version_min = 1;
  EXPECT_EQ(version.say(names(), 1, 3).response.status, login_status::unsupported_version);
  dialogue unknown;
  unknown.request.tsih = 6;
  EXPECT_EQ(unknown.say(names(), 1, 3).response.status, login_status::session_does_not_exist);
  dialogue second;
  second.request.tsih = 7;
  EXPECT_EQ(second.say(names(), 1, 3).response.status, login_status::too_many_connections);
  dialogue both;
  both.request.version_max = 3;
  EXPECT_EQ(both.say(names(), 1, 3, true).response.status, login_status::initiator_error);
  dialogue coming(std::nullopt);
  EXPECT_EQ(coming.say(names(), 1, 3).response.status, login_status::service_unavailable);
  dialogue forbidden(port::access{false, {}});
  const login_step refused = forbidden.say(names(), 1, 3);
  EXPECT_EQ(refused.response.status, login_status::not_found) << "as a target that is not there";
  EXPECT_EQ(refused.cause, login_status::authorization_failure) << "the log says more";
}

TEST(login, refuses_a_change_of_identity_midway) {
  for (int field = 0; field < 4; ++field) {
    dialogue d;
    ASSERT_EQ(d.say(names(), 1).verdict, login_verdict::more);
    if (field == 0) d.request.isid = 1;
    if (field == 1) d.request.tsih = 1;
    if (field == 2) d.request.cid = 1;
    if (field == 3) d.request.initiator_task_tag = 1;
    EXPECT_EQ(d.say({}, 1, 3).response.status, login_status::initiator_error) << field;
  }
}

TEST(login, loses_patience) {
  dialogue d;
  login_step s = d.say(names(), 1);
  for (int i = 0; i < 100 && s.verdict == login_verdict::more; ++i) s = d.say({}, 1);
  EXPECT_EQ(s.response.status, login_status::initiator_error);
}

TEST(login, answers_wrong_values_with_reject_and_keeps_the_default) {
  dialogue d;
  const login_step s =
      d.say(names({"MaxBurstLength=1", "ImmediateData=Maybe", "HeaderDigest=MD5", "MaxOutstandingR2T=0x"}), 1, 3);
  ASSERT_EQ(s.verdict, login_verdict::done);
  for (const char* pair :
       {"MaxBurstLength=Reject", "ImmediateData=Reject", "HeaderDigest=Reject", "MaxOutstandingR2T=Reject"})
    EXPECT_TRUE(has(s, pair)) << pair;
  EXPECT_EQ(d.machine.parameters().max_burst_length, 262144u);
}

TEST(login, opens_a_discovery_session_without_a_target) {
  dialogue d;
  const login_step s = d.say({"InitiatorName="s + host, "SessionType=Discovery"}, 1, 3);
  EXPECT_EQ(s.verdict, login_verdict::done);
  EXPECT_FALSE(has(s, "TargetPortalGroupTag=1"));
  EXPECT_TRUE(d.machine.parameters().discovery);
}

TEST(login, compares_names_apart_from_their_case) {
  dialogue d;
  const login_step s =
      d.say({"InitiatorName=IQN.1994-05.com.Example:Host_1", "TargetName=iqn.2026-11.io.sluice:MAIN"}, 1, 3);
  EXPECT_EQ(s.verdict, login_verdict::done);
  EXPECT_EQ(d.machine.parameters().initiator_name, "iqn.1994-05.com.example:host_1");
}

TEST(login, refuses_names_that_cannot_be_shown) {
  for (const char* name : {"iqn.a:\xc2\x9b", "iqn.a:\xe2\x80\xae", "iqn.a:\xff", "iqn.a:\x1b[1m", "iqn.a b"}) {
    dialogue d;
    EXPECT_EQ(d.say({std::string("InitiatorName=") + name, "TargetName="s + port_name}, 1, 3).response.status,
              login_status::initiator_error)
        << name;
  }
}

TEST(login, tells_a_silent_initiator_what_its_defaults_do_not_say) {
  offer ours;
  ours.immediate_data = false;
  ours.max_burst_length = ours.first_burst_length = 16384;
  dialogue d(port::access{true, nullptr}, ours);
  login_step s = d.say(names({"HeaderDigest=None"}), 1, 3);
  ASSERT_EQ(s.verdict, login_verdict::more);
  EXPECT_FALSE(s.response.transit) << "its answer comes first";
  for (const char* pair : {"ImmediateData=No", "MaxBurstLength=16384", "FirstBurstLength=16384"})
    EXPECT_TRUE(has(s, pair)) << pair;
  s = d.say({"ImmediateData=No", "MaxBurstLength=16384", "FirstBurstLength=8192"}, 1, 3);
  ASSERT_EQ(s.verdict, login_verdict::done);
  EXPECT_TRUE(s.data.empty()) << "an answer is not answered: " << s.data;
  const session_parameters& p = d.machine.parameters();
  EXPECT_FALSE(p.immediate_data);
  EXPECT_EQ(p.max_burst_length, 16384u);
  EXPECT_EQ(p.first_burst_length, 8192u);
}

TEST(login, tells_nothing_more_to_an_initiator_that_asked) {
  offer ours;
  ours.immediate_data = false;
  ours.first_burst_length = ours.max_burst_length = 65536;
  dialogue d(port::access{true, nullptr}, ours);
  const login_step s = d.say(names({"ImmediateData=Yes", "MaxBurstLength=262144", "FirstBurstLength=262144"}), 1, 3);
  ASSERT_EQ(s.verdict, login_verdict::done);
  for (const char* pair : {"ImmediateData=No", "MaxBurstLength=65536", "FirstBurstLength=65536"})
    EXPECT_TRUE(has(s, pair)) << pair;
}

struct chap_case : ::testing::TestWithParam<int> {
  port::access access{
      true, std::make_shared<const chap_credentials>("host1", "a secret of theirs", "gw", "a secret of ours")};
  dialogue d{access};
  const_bytes challenge_of(const login_step& s) {
    const std::size_t at = s.data.find("CHAP_C=") + 7;
    challenge = *parse_binary(std::string_view(s.data).substr(at, s.data.find('\0', at) - at), 64);
    return challenge;
  }
  std::string respond(const login_step& s, const std::string& secret) {
    return to_hex(chap_response(static_cast<chap_algorithm>(GetParam()), 0x5a, secret, challenge_of(s)));
  }
  login_step challenged() {
    EXPECT_TRUE(has(d.say(names({"AuthMethod=None,CHAP"}), 0), "AuthMethod=CHAP"));
    const login_step s = d.say({"CHAP_A=" + std::to_string(GetParam())}, 0);
    EXPECT_TRUE(has(s, "CHAP_A=" + std::to_string(GetParam())));
    EXPECT_TRUE(has(s, "CHAP_I=90"));
    return s;
  }
  std::vector<std::uint8_t> challenge;
};
INSTANTIATE_TEST_SUITE_P(algorithms, chap_case, ::testing::Values(5, 6, 7, 8));

TEST_P(chap_case, lets_the_right_secret_in) {
  const login_step c = challenged();
  const login_step s = d.say({"CHAP_N=host1", "CHAP_R=" + respond(c, "a secret of theirs")}, 0, 1);
  EXPECT_EQ(s.verdict, login_verdict::more);
  EXPECT_TRUE(s.response.transit);
  EXPECT_EQ(d.say({}, 1, 3).verdict, login_verdict::done);
}

TEST_P(chap_case, keeps_the_wrong_secret_and_name_out) {
  const login_step c = challenged();
  EXPECT_EQ(d.say({"CHAP_N=host1", "CHAP_R=" + respond(c, "wrong")}, 0, 1).response.status,
            login_status::authentication_failure);
  d.machine = login_machine({}, dialogue::world(access));
  const login_step again = challenged();
  EXPECT_EQ(d.say({"CHAP_N=host2", "CHAP_R=" + respond(again, "a secret of theirs")}, 0, 1).response.status,
            login_status::authentication_failure);
}

TEST_P(chap_case, proves_itself_when_asked) {
  const login_step c = challenged();
  const login_step s =
      d.say({"CHAP_N=host1", "CHAP_R=" + respond(c, "a secret of theirs"), "CHAP_I=17", "CHAP_C=0x0102030405"}, 0, 1);
  const std::vector<std::uint8_t> sent{1, 2, 3, 4, 5};
  EXPECT_TRUE(has(s, "CHAP_N=gw"));
  EXPECT_TRUE(
      has(s, "CHAP_R=" + to_hex(chap_response(static_cast<chap_algorithm>(GetParam()), 17, "a secret of ours", sent))));
}

TEST_P(chap_case, refuses_reflection) {
  const login_step c = challenged();
  const login_step s = d.say(
      {"CHAP_N=host1", "CHAP_R=" + respond(c, "a secret of theirs"), "CHAP_I=1", "CHAP_C=" + to_hex(challenge)}, 0, 1);
  EXPECT_EQ(s.response.status, login_status::authentication_failure);
}

TEST_P(chap_case, does_not_let_anybody_skip_it) {
  EXPECT_EQ(d.say(names(), 1, 3).response.status, login_status::authentication_failure);
  dialogue none(access);
  EXPECT_EQ(none.say(names({"AuthMethod=None"}), 0, 1).response.status, login_status::authentication_failure);
  dialogue silent(access);
  EXPECT_EQ(silent.say(names(), 0, 3).response.status, login_status::authentication_failure);
  dialogue early(access);
  const login_step s = early.say(names({"AuthMethod=CHAP"}), 0, 3);
  EXPECT_FALSE(s.response.transit);  // asked to leave before proving anything
}

TEST(chap, matches_a_known_md5_vector) {
  // MD5 of "\x01" "secret" "challenge", by coreutils' md5sum.
  EXPECT_EQ(to_hex(chap_response(chap_algorithm::md5, 1, "secret", as_bytes("challenge"))),
            "0x46e47770030e2b4e26a0db72a7efec00");
}

TEST(login, survives_any_sequence_of_requests) {
  rc::check([](const std::vector<std::pair<std::uint8_t, std::string>>& steps) {
    dialogue d;
    for (const auto& [flags, text] : steps) {
      login_request r;
      r.transit = flags & 0x80;
      r.continues = flags & 0x40;
      r.current_stage = flags >> 2 & 3;
      r.next_stage = flags & 3;
      const login_step s = d.machine.take(r, as_bytes(text));
      RC_ASSERT(s.data.size() <= 8192u);
      if (s.verdict != login_verdict::more) break;
    }
  });
}

}  // namespace
}  // namespace sluice::iscsi
