#include <gtest/gtest.h>

#include "fabrics/iscsi/test_fixture.hpp"

/// A login in place of the connection of a session [RFC7143 6.3.4].
namespace sluice::iscsi::fixture {
namespace {

/// A second socket to the target, with a connection of its own until that is handed over.
class newcomer final : public port::task_endpoint {
 public:
  explicit newcomer(fixture& of) : initiator(of.world, *of.initiator_loop), fixture_(of) {
    const fixture::sockets made = of.connect_sockets();
    initiator.handle = made.initiator;
    of.target_loop->post([this, handle = made.target] {
      accepted_socket peer(*fixture_.target_loop, handle);
      connection_ = std::make_unique<connection>(
          *fixture_.target_loop, peer, fixture_.gateway, *this, fixture_.options, [](port::loss_reason) {},
          [this] { connection_.reset(); });
      start(*connection_, *fixture_.target_loop, handle, fixture_.options);
    });
    of.initiator_loop->post([this] { initiator.receive(); });
  }
  ~newcomer() {
    if (initiator.handle != reactor::no_handle) initiator.hang_up();
    const auto over = [this] { return !connection_; };
    EXPECT_TRUE(fixture_.world.run_until(over, fixture_.world.now_ns() + 60 * ns_per_s));
    if (initiator.handle == reactor::no_handle) return;
    EXPECT_TRUE(initiator.closed());
    fixture_.initiator_loop->close(initiator.handle);
  }

  login_response say(std::uint16_t tsih, std::vector<std::string> keys = {},
                     const std::function<void(login_request&)>& adjust = {}) {
    login_request r = fixture_.login_step(1, 3);
    r.tsih = tsih;
    if (adjust) adjust(r);
    const std::string name = std::exchange(name_, initiator_name);
    keys.insert(keys.begin(), {"InitiatorName=" + name, std::string("TargetName=") + target_name});
    const auto answer = fixture_.say_login(initiator, r, keys);
    EXPECT_TRUE(answer && answer->code() == opcode::login_response);
    if (!answer) return {};
    text = std::string(answer->data.begin(), answer->data.end());
    return answer->as<login_response>();
  }
  /// Takes the place of the stand's connection.
  login_response take_over(std::uint16_t tsih, const std::vector<std::string>& keys = {}) {
    const login_response r = say(tsih, keys);
    EXPECT_EQ(r.status, login_status::success);
    EXPECT_EQ(r.tsih, tsih);
    fixture_.initiator.adopt(initiator);
    fixture_.exp_stat_sn = r.sn.stat_sn + 1;
    return r;
  }
  void call_itself(const std::string& name) { name_ = name; }
  bool says(const std::string& pair) const { return text.find(pair + '\0') != std::string::npos; }

  void post(port::task&, port::task_event) noexcept override { ADD_FAILURE() << "a login has no tasks"; }
  void post(port::task_management&) noexcept override { ADD_FAILURE() << "a login has no tasks"; }

  raw_initiator initiator;
  std::string text;

 private:
  fixture& fixture_;
  std::string name_ = initiator_name;
  std::unique_ptr<connection> connection_;
};

void expect_good(fixture& s) {
  const auto c = s.bare(0x00);
  s.initiator.send(c);
  EXPECT_EQ(s.finish(c.initiator_task_tag).status, 0);
}

TEST(reinstatement, a_login_takes_the_place_of_the_connection_and_the_session_goes_on) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    fixture s(seed);
    const std::uint16_t tsih = s.log_in({"ImmediateData=No"}).tsih;
    s.initiator.send(s.bare(0xfe));
    s.initiator.send(s.write_10(0, 8));
    const auto ask = s.initiator.next();
    ASSERT_TRUE(ask && ask->code() == opcode::r2t);
    s.cmd_sn += 3;  // commands that never come
    newcomer n(s);
    const login_response r = n.take_over(tsih, {"ImmediateData=No"});
    EXPECT_EQ(r.sn.exp_cmd_sn, s.cmd_sn) << "what was sent before has ended";
    EXPECT_EQ(r.sn.max_cmd_sn, s.cmd_sn + 31) << "all of the window is free";
    EXPECT_TRUE(s.gateway.closed.empty()) << "the nexus stays";
    EXPECT_EQ(s.gateway.live_nexuses, 1u);
    EXPECT_EQ(s.gateway.managed, (std::vector{port::task_function::abort_task_set}));
    EXPECT_EQ(s.options.shared->book->sessions(), 1u);
    expect_good(s);
    const auto write = s.write_10(0, 8);
    s.initiator.send(write);
    const auto again = s.initiator.next();
    ASSERT_TRUE(again && again->code() == opcode::r2t);
    EXPECT_NE(again->as<ready_to_transfer>().target_transfer_tag, ask->as<ready_to_transfer>().target_transfer_tag);
    data_out all;
    all.final = true;
    all.initiator_task_tag = write.initiator_task_tag;
    all.target_transfer_tag = again->as<ready_to_transfer>().target_transfer_tag;
    s.initiator.send(all, noise(4096));
    EXPECT_EQ(s.finish(write.initiator_task_tag).status, 0);
    EXPECT_EQ(medium_at(s, 0, 4096), noise(4096));
  }
}

TEST(reinstatement, happens_any_number_of_times) {
  fixture s;
  const std::uint16_t tsih = s.log_in().tsih;
  for (int i = 0; i < 5; ++i) {
    newcomer n(s);
    n.take_over(tsih);
    expect_good(s);
  }
  EXPECT_EQ(s.options.shared->book->sessions(), 1u);
}

TEST(reinstatement, in_the_midst_of_data) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    fixture s(seed, [](connection_options& o) { o.send_high_water = 64 * kib; });
    s.gateway.borrow = false;
    const std::uint16_t tsih = s.log_in({"MaxRecvDataSegmentLength=65536"}).tsih;
    s.initiator.send(s.read_10(0, 8192));
    auto write = s.write_10(8192, 128);
    const octets wire = s.initiator.frame(encode(write, 65536), noise(65536));
    s.initiator.send(octets(wire.begin(), wire.begin() + 40000));
    s.world.run_for(seed * 50 * 1000);
    newcomer n(s);
    n.take_over(tsih, {"MaxRecvDataSegmentLength=65536"});
    expect_good(s);
    EXPECT_EQ(medium_at(s, 8192 * 512, 65536), untouched(8192 * 512, 65536));
  }
}

/// The digest of headers belongs to the connection; nearly all else to the session [RFC7143 13].
TEST(reinstatement, what_belongs_to_the_session_stays) {
  fixture s;
  const std::uint16_t tsih = s.log_in({"ImmediateData=No", "MaxBurstLength=65536", "DataDigest=CRC32C"}).tsih;
  s.initiator.header_digest = false;
  newcomer n(s);
  n.take_over(tsih, {"HeaderDigest=CRC32C", "DataDigest=None,CRC32C", "ImmediateData=Yes", "MaxBurstLength=32768",
                     "InitialR2T=Yes", "MaxRecvDataSegmentLength=4096", "MaxConnections=4"});
  for (const char* pair : {"HeaderDigest=CRC32C", "DataDigest=CRC32C", "ImmediateData=Reject", "MaxBurstLength=Reject",
                           "InitialR2T=Yes", "MaxConnections=1"})
    EXPECT_TRUE(n.says(pair)) << pair;
  s.initiator.header_digest = s.initiator.data_digest = true;
  const auto read = s.read_10(0, 16);
  s.initiator.send(read);
  const auto done = s.finish(read.initiator_task_tag);
  EXPECT_EQ(done.data, untouched(0, 8192));
  EXPECT_EQ(done.data_pdus, 2u);
}

TEST(reinstatement, is_for_the_session_of_that_name_and_handle_only) {
  struct other {
    login_status status;
    std::string name;
    std::function<void(login_request&)> adjust;
  };
  const other table[] = {
      {login_status::too_many_connections, initiator_name, [](login_request& r) { r.cid = 6; }},
      {login_status::session_does_not_exist, initiator_name, [](login_request& r) { r.isid = 0x800000000002; }},
      {login_status::session_does_not_exist, initiator_name, [](login_request& r) { ++r.tsih; }},
      {login_status::session_does_not_exist, "iqn.1994-05.com.example:another", {}},
  };
  fixture s;
  const std::uint16_t tsih = s.log_in().tsih;
  for (const other& each : table) {
    newcomer n(s);
    n.call_itself(each.name);
    EXPECT_EQ(n.say(tsih, {}, each.adjust).status, each.status);
    expect_good(s);
  }
}

TEST(reinstatement, of_a_session_that_has_ended_is_refused) {
  fixture s;
  const std::uint16_t tsih = s.log_in().tsih;
  s.initiator.hang_up();
  ASSERT_TRUE(s.gone());
  newcomer n(s);
  EXPECT_EQ(n.say(tsih).status, login_status::session_does_not_exist);
}

}  // namespace
}  // namespace sluice::iscsi::fixture
