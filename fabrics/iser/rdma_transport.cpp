#include "fabrics/iser/rdma_transport.hpp"

#include <algorithm>
#include <utility>

#include "actors/observe/log.hpp"
#include "actors/runtime/core.hpp"
#include "config/schema/address.hpp"
#include "fabrics/iscsi/core_connections.hpp"
#include "fabrics/iscsi/iscsi_fabric.hpp"
#include "fabrics/iser/rdma_mover.hpp"

namespace sluice::iser {
namespace {

constexpr std::uint32_t min_window = 8;  // commands

/// Takes the connections of one portal, and hands them to the cores one after the other. On the first core's loop.
class acceptor {
 public:
  acceptor(const rdma::core_sides& sides, iscsi::connection_options options,
           std::vector<std::shared_ptr<iscsi::core_connections>> spread)
      : sides_(sides), options_(std::move(options)), spread_(std::move(spread)) {}

  void take(std::unique_ptr<rdma::connection> link) {
    if (!iscsi::has_place(options_)) return;  // a link that is let go of is rejected
    const std::size_t chosen = next_++ % spread_.size();
    const rdma::core_side& side = *sides_[chosen];
    constexpr std::uint32_t extra = rdma_mover::uncounted_receives + rdma_mover::login_receives;
    const std::uint32_t receives = link->limits().receives;
    iscsi::connection_options options = options_;
    if (receives < extra + min_window) {
      SLUICE_LOG(warning, "iser", "connection refused: the device has too few receives", {"peer", link->peer()},
                 {"receives", receives});
      return;
    }
    options.bounds.max_tasks_per_nexus = std::min(options.bounds.max_tasks_per_nexus, receives - extra);
    if (chosen != 0)
      if (const auto moved = link->move_to(*side.host); !moved) {
        SLUICE_LOG(warning, "iser", "connection refused", {"peer", link->peer()}, {"why", moved.error().message});
        return;
      }
    auto facts = iscsi::facts_of(options.portal, link->peer(), sides_.front()->where.core->loop().now_ns());
    auto who =
        std::make_shared<accepted_link>(spread_[chosen]->loop(), std::move(link), options.bounds.max_tasks_per_nexus);
    spread_[chosen]->take(std::move(who), std::move(options), std::move(facts));
  }
  const iscsi::connection_options& options() const { return options_; }

 private:
  const rdma::core_sides& sides_;
  const iscsi::connection_options options_;
  const std::vector<std::shared_ptr<iscsi::core_connections>> spread_;
  std::size_t next_ = 0;
};

class rdma_portal final : public iscsi::portal {
 public:
  rdma_portal(reactor::loop& loop, std::shared_ptr<acceptor> by, std::unique_ptr<rdma::listener> socket,
              reactor::endpoint local)
      : loop_(loop), acceptor_(std::move(by)), socket_(std::move(socket)), local_(std::move(local)) {}
  const reactor::endpoint& local() const override { return local_; }
  void close(std::function<void()> released, std::function<void()> ended) override {
    std::shared_ptr<rdma::listener> socket = std::move(socket_);
    loop_.post([by = std::move(acceptor_), socket = std::move(socket), released = std::move(released),
                ended = std::move(ended)]() mutable {
      socket.reset();
      released();
      by->options().shared->book->close_portal(by->options().portal, port::loss_reason::shutdown, std::move(ended));
    });
  }

 private:
  reactor::loop& loop_;
  std::shared_ptr<acceptor> acceptor_;
  std::unique_ptr<rdma::listener> socket_;
  const reactor::endpoint local_;
};

class rdma_transport final : public iscsi::transport {
 public:
  rdma_transport(const std::vector<port::core_endpoint>& cores, rdma::host_maker make)
      : sides_(rdma::sides_of(cores)), make_(std::move(make)) {}
  ~rdma_transport() override { rdma::close_hosts(sides_); }

  /// Adapters have checksums of their own, and messages are of 8 KiB.
  iscsi::offer ours() const override {
    iscsi::offer made;
    made.rdma = true;
    made.header_digest = made.data_digest = false;
    made.max_recv_data_segment_length = iscsi::default_max_recv_data_segment_length;
    made.first_burst_length = 64 * kib;
    return made;
  }

  result<std::unique_ptr<iscsi::portal>> listen(const reactor::endpoint& where, iscsi::connection_options options,
                                                std::vector<std::shared_ptr<iscsi::core_connections>> spread) override {
    if (auto started = rdma::start_hosts(sides_, make_); !started) return tl::unexpected(started.error());
    const auto by = std::make_shared<acceptor>(sides_, std::move(options), std::move(spread));
    runtime::core& first = *sides_.front()->where.core;
    result<std::unique_ptr<iscsi::portal>> made;
    first.call([&] {
      auto socket = sides_.front()->host->listen(
          where, [by](std::unique_ptr<rdma::connection> asked) { by->take(std::move(asked)); });
      if (!socket) {
        made = tl::unexpected(socket.error());
        return;
      }
      const auto bound = config::parse_listen_address((*socket)->local());
      const reactor::endpoint local = bound ? reactor::endpoint{bound->host, bound->port} : where;
      made = std::make_unique<rdma_portal>(first.loop(), by, std::move(*socket), local);
    });
    return made;
  }

 private:
  const rdma::core_sides sides_;
  const rdma::host_maker make_;
};

}  // namespace

std::unique_ptr<iscsi::transport> by_rdma(const std::vector<port::core_endpoint>& cores, rdma::host_maker make) {
  return std::make_unique<rdma_transport>(cores, std::move(make));
}

port::fabric make_fabric(rdma::host_maker make) {
  return {iscsi::rdma_rules("iser"), iscsi::read_access,
          [make = std::move(make)](const port::limits& bounds, const std::vector<port::core_endpoint>& cores) {
            return std::make_unique<iscsi::iscsi_fabric>(bounds, cores, by_rdma(cores, make));
          }};
}

}  // namespace sluice::iser
