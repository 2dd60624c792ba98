#pragma once
#include "fabrics/rdma/simulated.hpp"

namespace sluice::rdma {

/// What lies between a simulated connection and its peer. Kept by both, and by messages under way.
struct sim_link : std::enable_shared_from_this<sim_link> {
  enum class state : std::uint8_t { asking, accepted, over };
  struct entry {
    rdma::request what;
    rdma::work* of = nullptr;  // of the last one of its chain
    bool arrived = false, done = false;
    bool held = false;  // a read, whose answer is lost
  };
  struct receive {
    rdma::work* of;
    iovec into;
  };

  explicit sim_link(simulated_network& in) : network(in) {}

  // What the sides do.
  void post(rdma::work& w, std::span<const rdma::request> chain);
  void post_receive(rdma::work& w, const iovec& into);
  void arrive_from_peer(std::vector<std::uint8_t> octets);
  /// Ends it: what was posted comes back flushed, the peer hears of it, and the target does when `why` says something.
  void end(const std::string& why);
  void let_go(std::uint32_t key);
  bool waits_for(std::uint32_t key) const;

  /// Runs in a step of the target's loop, if it still is there, after what the network takes; each direction in order.
  void tell_target(std::function<void(simulated_connection&)> what);
  void tell_peer(std::function<void(peer&)> what);
  std::uint64_t latency() { return network.world_.draw(network.options_.latency_ns); }

  simulated_network& network;
  simulated_connection* target = nullptr;
  peer* initiator = nullptr;
  state now = state::asking;
  std::deque<std::shared_ptr<entry>> sends;
  std::deque<receive> receives;
  std::deque<std::vector<std::uint8_t>> unready;  // messages that wait for a receive
  std::uint64_t last_to_target = 0, last_to_peer = 0;
  std::uint64_t last_send = 0, last_message = 0;

 private:
  void arrive_at_peer(const std::shared_ptr<entry>& e);
  void finish(const std::shared_ptr<entry>& e);
  void complete();
  void deliver();
};

class simulated_connection final : public connection {
 public:
  simulated_connection(std::shared_ptr<sim_link> link, class simulated_host& on, std::string peer, std::string local,
                       std::vector<std::uint8_t> asked);
  ~simulated_connection() override;

  std::string peer() const override { return peer_; }
  std::string local() const override { return local_; }
  const_bytes private_data() const override { return asked_; }
  queue_depths limits() const override;
  unsigned max_parts(request::kind what) const override { return what == request::kind::read ? 2 : 4; }
  bool can_invalidate() const override { return true; }
  result<void> move_to(host& other) override;
  result<void> open(const queue_depths& depths, handler& told) override;
  void receive(work& w, const iovec& into) noexcept override;
  result<void> accept(const_bytes private_data) override;
  void reject(const_bytes private_data) noexcept override;
  void send(work& w, std::span<const request> chain) noexcept override;
  std::uint32_t send_room() const noexcept override;
  void close() noexcept override;

 private:
  friend struct sim_link;
  void check_local(const iovec& part) const;

  const std::shared_ptr<sim_link> link_;
  class simulated_host* host_;
  const std::string peer_, local_;
  const std::vector<std::uint8_t> asked_;
  queue_depths depths_;
  handler* handler_ = nullptr;
  bool closing_ = false, lost_ = false, answered_ = false;
  std::size_t ending_ = 0;  // chains and receives whose end is on its way
};

class simulated_listener final : public listener {
 public:
  simulated_listener(class simulated_host& on, std::string where, asked told);
  ~simulated_listener() override;
  std::string local() const override { return where_; }

 private:
  friend class peer;
  class simulated_host& host_;
  const std::string where_;
  const asked told_;
};

class simulated_host final : public host {
 public:
  simulated_host(simulated_network& in, reactor::loop& on) : network(in), loop(on) {}
  result<std::unique_ptr<listener>> listen(const reactor::endpoint& where, listener::asked told) override;
  void close(std::function<void()> ended) override { loop.post(std::move(ended)); }

  simulated_network& network;
  reactor::loop& loop;
};

}  // namespace sluice::rdma
