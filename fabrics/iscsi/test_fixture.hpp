#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/reactor/simulated.hpp"
#include "fabrics/iscsi/connection.hpp"
#include "fabrics/iscsi/pdu_stream.hpp"

/// What connection tests stand on: a simulated world, a core that stores what it is sent, and an initiator that says
/// exactly what it is told to.
namespace sluice::iscsi::fixture {

using octets = std::vector<std::uint8_t>;
inline constexpr const char* target_name = "iqn.2026-11.io.sluice:main";
inline constexpr const char* initiator_name = "iqn.1994-05.com.example:host";

/// The octet that every test medium holds at `offset` before it is written.
inline std::uint8_t pattern(std::uint64_t offset) {
  return static_cast<std::uint8_t>(offset * 31 + (offset >> 9));
}

class core;

/// An I_T nexus over one medium of 16 MiB. READ(10) and WRITE(10) move octets (block size 512); 0x00 is GOOD without
/// data, 0x03 answers CHECK CONDITION, 0xfe never answers until it is aborted.
class memory_nexus final : public port::nexus, public port::task_endpoint {
 public:
  memory_nexus(core& owner, const port::login& who);
  const std::shared_ptr<const port::i_t_nexus>& identity() const noexcept override { return identity_; }
  void submit(port::task& t) noexcept override;
  void manage(port::task_management& request) noexcept override;
  void reset(port::transport_reset, std::function<void()>) noexcept override { ADD_FAILURE() << "TCP has no resets"; }
  void close(port::loss_reason reason, std::function<void()> closed) noexcept override;
  void post(port::task& t, port::task_event event) noexcept override;
  void post(port::task_management&) noexcept override {}
  /// Ends every task as somebody else's doing: with `outcome`, or silently. What the fabric has is taken back.
  void end_all(std::optional<scsi::outcome> outcome);

 private:
  struct progress {
    std::uint64_t offset = 0, length = 0, done = 0;
    bool with_fabric = false;
    bool aborted = false;  // taken back
    std::optional<scsi::outcome> ends_with;
  };
  void start(port::task& t);
  void read_more(port::task& t);
  void write_more(port::task& t);
  void complete(port::task& t, bool silent = false);
  void abort(port::task& t);
  void maybe_closed();
  struct managing {
    port::task_management* request;
    std::set<port::task*> left;  // tasks that it ended, and that are not gone yet
  };
  void gone(port::task& t);
  void answer_managed();
  std::vector<managing> managing_;
  core& core_;
  std::shared_ptr<const port::i_t_nexus> identity_;
  std::map<port::task*, progress> tasks_;
  std::function<void()> closed_;
};

class core final : public port::gateway {
 public:
  explicit core(reactor::loop& on) : loop(on), medium(16 * mib) {
    for (std::size_t i = 0; i < medium.size(); ++i) medium[i] = pattern(i);
  }
  std::optional<port::access> check(const port::port_id& port, const std::string& initiator) override;
  std::uint64_t access_epoch() const noexcept override { return epoch; }
  void open(const port::login& who, port::channel_events events,
            std::function<void(result<std::unique_ptr<port::nexus>>)> opened) override;
  void join(std::uint64_t, const port::login&, port::channel_events,
            std::function<void(result<std::unique_ptr<port::nexus>>)>) override {
    FAIL() << "a session has one connection";
  }

  reactor::loop& loop;
  octets medium;
  std::vector<std::function<void()>> held;
  std::uint32_t get_bytes = 1 << 20, put_bytes = 1 << 20;  // what the unit moves at a time
  bool borrow = true;
  port::access access{true, {}};
  std::uint64_t epoch = 1;
  unsigned checks = 0;
  std::optional<errc> open_fails;
  port::channel_events events;
  std::vector<octets> cdbs;  // of all tasks, as submitted
  std::vector<port::task_function> managed;
  std::vector<port::loss_reason> closed;
  unsigned live_nexuses = 0;
  bool holds_logins = false;  // open() waits, as for a session that does not end
  void let_in();
  memory_nexus* nexus = nullptr;  // the latest
};

struct pdu {
  bhs basic_header;
  octets data;
  opcode code() const { return decode_header(basic_header).code; }
  template <class P>
  P as() const {
    return decode<P>(basic_header);
  }
};

/// Speaks over its own loop of the world.
class raw_initiator {
 public:
  raw_initiator(reactor::sim_world& world, reactor::loop& loop) : world_(world), loop_(loop) {}
  void send(octets wire);
  template <class P>
  void send(const P& request, const octets& data = {}, const octets& ahs = {}) {
    send(frame(encode(request, static_cast<std::uint32_t>(data.size()), static_cast<std::uint32_t>(ahs.size())), data,
               ahs));
  }
  octets frame(const bhs& basic_header, const octets& data, const octets& ahs = {}) const;
  /// The next PDU; fails the test when none comes within a minute of the world.
  std::optional<pdu> next(std::uint64_t at_most_ns = 60 * ns_per_s);
  /// Runs the world until the target closed the connection.
  bool closed();
  /// Hangs up.
  void hang_up();
  /// Goes on with the socket of another one, in place of its own, which the target has closed.
  void adopt(raw_initiator& other);

  bool header_digest = false, data_digest = false;
  reactor::handle handle = reactor::no_handle;
  void receive();

 private:
  void on_received(std::int64_t result) noexcept;
  void on_writable(std::int64_t result) noexcept;
  void write_out();
  bool take_one();
  reactor::sim_world& world_;
  reactor::loop& loop_;
  octets buffer_ = octets(65536), inbox_, outbox_;
  std::deque<pdu> arrived_;
  bool ended_ = false;
  reactor::member_operation<raw_initiator, &raw_initiator::on_received> receive_{*this};
  reactor::member_operation<raw_initiator, &raw_initiator::on_writable> writable_{*this};
};

/// One connection between the two.
class fixture final : public port::task_endpoint {
 public:
  explicit fixture(std::uint64_t seed = 1, std::function<void(connection_options&)> adjust = {},
                   std::uint64_t buffer_bytes = 64 * mib);
  ~fixture();

  /// Logs in with `keys` in one operational step; fails the test unless that succeeds.
  login_response log_in(const std::vector<std::string>& keys = {}, bool discovery = false);
  /// Sends one login request and returns its answer.
  std::optional<pdu> say_login(const std::vector<std::string>& keys, int current, int next);

  scsi_command read_10(std::uint32_t block, std::uint16_t blocks);
  scsi_command write_10(std::uint32_t block, std::uint16_t blocks);
  scsi_command bare(std::uint8_t operation);
  /// Data-In until the status, all data in order; checks DataSN, offsets, sizes and the order of StatSN.
  struct completion {
    octets data;
    std::uint8_t status = 0xff;
    octets sense;
    bool overflow = false, underflow = false;
    std::uint32_t residual = 0;
    unsigned data_pdus = 0;
    bool collapsed = false;
    std::uint32_t max_cmd_sn = 0;
  };
  completion finish(std::uint32_t tag);
  /// Runs the world until nothing is left of the connection.
  bool gone();

  void post(port::task& t, port::task_event event) noexcept override;
  void post(port::task_management& request) noexcept override;

  /// One more connected pair of sockets.
  struct sockets {
    reactor::handle target, initiator;
  };
  sockets connect_sockets();
  /// Sends one login request over a socket, and returns its answer.
  std::optional<pdu> say_login(raw_initiator& over, login_request request, const std::vector<std::string>& keys);
  login_request login_step(int current, int next) const;

  reactor::sim_world world;
  std::unique_ptr<reactor::loop> target_loop, initiator_loop;
  core gateway;
  connection_options options;
  std::unique_ptr<connection> target;
  raw_initiator initiator;
  std::uint32_t cmd_sn = 100, exp_stat_sn = 0, next_tag = 1;

 private:
  void connect();
};

inline constexpr portal_id test_portal = 1;
/// What connections of a stand share: the target, at test_portal and beside it at [::1]:3261; 200 more targets there.
std::shared_ptr<shared_state> make_shared_state(const offer& ours = {},
                                                const std::function<void(served_port&)>& adjust = {});

/// Starts a connection as a portal does.
void start(connection& of, reactor::loop& loop, reactor::handle handle, const connection_options& options);

/// Octets [offset, offset + size) of a medium that was never written.
octets untouched(std::uint64_t offset, std::size_t size);

inline octets block_of(std::uint8_t with, std::size_t size = 4096) {
  return octets(size, with);
}

/// The Data-Out PDU that pays all that an R2T asks for.
data_out answer_to(const ready_to_transfer& ask);
/// The session goes on.
void expect_alive(fixture& s);

/// Octets that tell where they belong.
inline octets noise(std::size_t size, std::uint8_t salt = 0) {
  octets out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8) + salt);
  return out;
}

inline octets medium_at(fixture& s, std::uint64_t offset, std::size_t size) {
  const auto begin = s.gateway.medium.begin() + static_cast<std::ptrdiff_t>(offset);
  return {begin, begin + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace sluice::iscsi::fixture
