#include "fabrics/iscsi/portal.hpp"

#include "actors/observe/log.hpp"
#include "actors/runtime/core.hpp"
#include "fabrics/iscsi/core_connections.hpp"
#include "fabrics/iscsi/pdu_stream.hpp"

namespace sluice::iscsi {

namespace {

constexpr int backlog = 1024;

/// Accepts one connection after the other, each when it is a stranger's turn: the others stay in the backlog. On the
/// first core's loop; keeps itself until the socket is closed.
class acceptor final : public turn_queue::entry, public std::enable_shared_from_this<acceptor> {
 public:
  acceptor(reactor::loop& loop, reactor::handle listener, connection_options options,
           std::vector<std::shared_ptr<core_connections>> spread)
      : loop_(loop), listener_(listener), options_(std::move(options)), spread_(std::move(spread)) {}

  void start() {
    itself_ = shared_from_this();
    turns().set_purpose(*this, turn_queue::purpose::accepting);
    accept();
  }

  void stop(std::function<void()> released, std::function<void()> ended) {
    released_ = std::move(released);
    ended_ = std::move(ended);
    stopping_ = true;
    loop_.disarm(retry_);
    turns().depart(*this);
    if (accepted_ != reactor::no_handle) loop_.close(std::exchange(accepted_, reactor::no_handle));
    if (accept_.in_flight())
      loop_.cancel(accept_);
    else
      release();
  }

  void take_turn() noexcept override {
    begin(std::exchange(accepted_, reactor::no_handle));
    accept();
  }
  void make_way() noexcept override {}
  std::uint64_t holds() const noexcept override { return 0; }

 private:
  turn_queue& turns() { return *spread_.front()->turns(); }

  void accept() noexcept { loop_.accept(accept_, listener_); }

  void on_accepted(std::int64_t result) noexcept {
    if (stopping_) {
      if (result >= 0) loop_.close(static_cast<reactor::handle>(result));
      return release();
    }
    if (result >= 0) {
      accepted_ = static_cast<reactor::handle>(result);
      return turns().enter(*this);
    }
    // No descriptors, most likely: the ones in use must end first.
    SLUICE_LOG(warning, "iscsi", "cannot accept a connection", {"errno", -result});
    loop_.arm(retry_, 100 * ns_per_ms);
  }

  void begin(reactor::handle socket) {
    const auto peer = loop_.peer_endpoint(socket);
    if (!has_place(options_) || !peer) return loop_.close(socket);  // without a peer it has gone already
    core_connections& core = *spread_[next_++ % spread_.size()];
    core.take(std::make_shared<accepted_socket>(core.loop(), socket), options_,
              facts_of(options_.portal, peer->to_string(), loop_.now_ns()));
  }

  /// The address is free when the socket is closed, and that may be when nothing of it is in flight.
  void release() {
    loop_.close(listener_);
    const std::shared_ptr<acceptor> alive = std::move(itself_);
    released_();
    options_.shared->book->close_portal(options_.portal, port::loss_reason::shutdown, std::move(ended_));
  }

  reactor::loop& loop_;
  const reactor::handle listener_;
  const connection_options options_;
  const std::vector<std::shared_ptr<core_connections>> spread_;
  reactor::handle accepted_ = reactor::no_handle;  // waits for its turn
  std::size_t next_ = 0;
  bool stopping_ = false;
  std::function<void()> released_, ended_;
  std::shared_ptr<acceptor> itself_;
  reactor::member_operation<acceptor, &acceptor::on_accepted> accept_{*this};
  reactor::member_timer<acceptor, &acceptor::accept> retry_{*this};
};

class listening_portal final : public portal {
 public:
  listening_portal(reactor::loop& loop, std::shared_ptr<acceptor> of, reactor::endpoint local)
      : loop_(loop), acceptor_(std::move(of)), local_(std::move(local)) {}
  const reactor::endpoint& local() const override { return local_; }
  void close(std::function<void()> released, std::function<void()> ended) override {
    loop_.post([of = std::move(acceptor_), released = std::move(released), ended = std::move(ended)] {
      of->stop(released, ended);
    });
  }

 private:
  reactor::loop& loop_;
  std::shared_ptr<acceptor> acceptor_;
  reactor::endpoint local_;
};

class tcp_transport final : public transport {
 public:
  explicit tcp_transport(runtime::core& first) : first_(first) {}
  result<std::unique_ptr<portal>> listen(const reactor::endpoint& where, connection_options options,
                                         std::vector<std::shared_ptr<core_connections>> spread) override {
    reactor::loop& loop = first_.loop();
    result<std::unique_ptr<portal>> made;
    first_.call([&] {
      const auto socket = loop.listen(where, backlog);
      if (!socket) {
        made = tl::unexpected(socket.error());
        return;
      }
      reactor::endpoint local = where;
      if (auto bound = loop.local_endpoint(*socket)) local = std::move(*bound);
      auto accepts = std::make_shared<acceptor>(loop, *socket, std::move(options), std::move(spread));
      accepts->start();
      made = std::make_unique<listening_portal>(loop, std::move(accepts), std::move(local));
    });
    return made;
  }

 private:
  runtime::core& first_;
};

}  // namespace

std::unique_ptr<transport> tcp(runtime::core& first) {
  return std::make_unique<tcp_transport>(first);
}

std::shared_ptr<connection_facts> facts_of(portal_id portal, const std::string& peer, std::uint64_t now_ns) {
  auto facts = std::make_shared<connection_facts>();
  facts->portal = portal;
  facts->peer = peer;
  facts->address = peer.substr(0, peer.rfind(':'));
  facts->since_ns = now_ns;
  return facts;
}

bool has_place(const connection_options& options) {
  if (!options.shared->book->is_full()) return true;
  options.shared->refused.count(refusals::no_place);
  SLUICE_LOG(warning, "iscsi", "connection refused: the gateway has its maximum",
             {"max_connections", options.bounds.max_connections});
  return false;
}

}  // namespace sluice::iscsi
