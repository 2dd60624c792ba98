#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <thread>

#include "fabrics/iscsi/test_fixture.hpp"

/// The same connection over a real loop and the kernel's TCP.
namespace sluice::iscsi::fixture {
namespace {

/// A target on its own thread, for one connection.
class live_target final : public port::task_endpoint, public reactor::operation {
 public:
  explicit live_target(reactor::backend kind) {
    reactor::loop_options how;
    how.kind = kind;
    auto made = reactor::make_loop(how);
    if (!made) return;
    loop_ = std::move(*made);
    gateway = std::make_unique<core>(*loop_);
    const auto listener = loop_->listen({"127.0.0.1", 0}, 4);
    listener_ = listener.value();
    portal = loop_->local_endpoint(listener_).value();
    options_.portal = test_portal;
    options_.shared = make_shared_state();
    options_.turns = std::make_shared<turn_queue>(*loop_);
    options_.listings = std::make_shared<listing_cache>();
    loop_->post([this] { loop_->accept(*this, listener_); });
    thread_ = std::thread([this] { loop_->run(); });
  }
  ~live_target() {
    if (thread_.joinable()) thread_.join();
    if (loop_) loop_->close(listener_);
  }
  bool usable() const { return loop_ != nullptr; }
  void on_complete(std::int64_t result) noexcept override {
    const auto ended = [this] {
      connection_.reset();
      loop_->stop();
    };
    accepted_socket peer(*loop_, static_cast<reactor::handle>(result));
    connection_ = std::make_unique<connection>(
        *loop_, peer, *gateway, *this, options_, [](port::loss_reason) {}, ended);
    start(*connection_, *loop_, static_cast<reactor::handle>(result), options_);
  }
  void post(port::task& t, port::task_event event) noexcept override {
    loop_->post([this, &t, event] { connection_->on_task(t, event); });
  }
  void post(port::task_management& request) noexcept override {
    loop_->post([this, &request] { connection_->on_manage(request); });
  }
  std::unique_ptr<core> gateway;
  reactor::endpoint portal;

 private:
  std::unique_ptr<reactor::loop> loop_;
  reactor::handle listener_ = reactor::no_handle;
  connection_options options_;
  std::unique_ptr<connection> connection_;
  std::thread thread_;
};

/// A blocking socket that gives up after ten seconds.
class plain_initiator {
 public:
  explicit plain_initiator(const reactor::endpoint& to) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(to.port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  }
  ~plain_initiator() { ::close(fd_); }
  template <class P>
  void send(const P& request, const octets& data = {}) {
    const bhs at = encode(request, static_cast<std::uint32_t>(data.size()));
    EXPECT_EQ(::send(fd_, at.data(), at.size(), MSG_NOSIGNAL), static_cast<ssize_t>(at.size()));
    octets padded_data = data;
    padded_data.resize(padded(static_cast<std::uint32_t>(data.size())));
    for (std::size_t sent = 0; sent < padded_data.size();) {
      const ssize_t now = ::send(fd_, padded_data.data() + sent, padded_data.size() - sent, MSG_NOSIGNAL);
      ASSERT_GT(now, 0);
      sent += static_cast<std::size_t>(now);
    }
  }
  pdu next() {
    pdu p{};
    if (!receive({p.basic_header.data(), bhs_bytes})) return p;
    const std::uint32_t size = decode_header(p.basic_header).data_bytes;
    p.data.resize(padded(size));
    receive(p.data);
    p.data.resize(size);
    return p;
  }

 private:
  bool receive(bytes into) {
    if (into.empty()) return true;
    const ssize_t got = ::recv(fd_, into.data(), into.size(), MSG_WAITALL);
    EXPECT_EQ(got, static_cast<ssize_t>(into.size()));
    return got == static_cast<ssize_t>(into.size());
  }
  int fd_;
};

struct real_loops : ::testing::TestWithParam<reactor::backend> {};
INSTANTIATE_TEST_SUITE_P(backends, real_loops, ::testing::Values(reactor::backend::epoll, reactor::backend::uring));

TEST_P(real_loops, carry_writes_and_reads) {
  live_target target(GetParam());
  if (!target.usable()) GTEST_SKIP() << "this host has no such loop";
  plain_initiator initiator(target.portal);
  const std::string text = std::string("InitiatorName=") + initiator_name + '\0' + "TargetName=" + target_name + '\0' +
                           "MaxRecvDataSegmentLength=262144" + '\0';
  login_request in;
  in.transit = true;
  in.current_stage = 1;
  in.next_stage = 3;
  in.cmd_sn = 1;
  initiator.send(in, octets(text.begin(), text.end()));
  ASSERT_EQ(initiator.next().as<login_response>().status, login_status::success);

  octets data(4 * mib);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 13 + (i >> 10));
  scsi_command c;
  c.write = true;
  c.initiator_task_tag = 1;
  c.cmd_sn = 1;
  c.cdb[0] = 0x2a;
  wire::store16(c.cdb, 7, 8192);
  c.expected_data_transfer_length = 4 * mib;
  initiator.send(c);
  pdu p = initiator.next();
  for (; p.code() == opcode::r2t; p = initiator.next()) {
    const auto ask = p.as<ready_to_transfer>();
    data_out out;
    out.initiator_task_tag = 1;
    out.target_transfer_tag = ask.target_transfer_tag;
    for (std::uint32_t sent = 0; sent < ask.desired_length; sent += 131072) {
      out.buffer_offset = ask.buffer_offset + sent;
      out.final = sent + 131072 >= ask.desired_length;
      const auto from = data.begin() + out.buffer_offset;
      initiator.send(out, octets(from, from + std::min(131072u, ask.desired_length - sent)));
      ++out.data_sn;
    }
  }
  ASSERT_EQ(p.code(), opcode::scsi_response);
  ASSERT_EQ(p.as<scsi_response>().status, 0);

  c.write = false;
  c.read = true;
  c.cdb[0] = 0x28;
  c.cmd_sn = 2;
  initiator.send(c);
  octets back;
  for (;;) {
    p = initiator.next();
    ASSERT_EQ(p.code(), opcode::data_in);
    back.insert(back.end(), p.data.begin(), p.data.end());
    if (p.as<data_in>().has_status) break;
  }
  EXPECT_EQ(back, data);
}

}  // namespace
}  // namespace sluice::iscsi::fixture
