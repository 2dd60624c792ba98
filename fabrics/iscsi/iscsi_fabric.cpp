#include "fabrics/iscsi/iscsi_fabric.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "actors/runtime/core.hpp"
#include "config/toml/load.hpp"
#include "fabrics/iscsi/connection_actor.hpp"
#include "fabrics/iscsi/operator_view.hpp"
#include "fabrics/iscsi/probe.hpp"
#include "fabrics/iscsi/register.hpp"

namespace sluice::iscsi {

namespace {

port::port_descriptor describe(const port::port_id& id) {
  char tag[16];
  std::snprintf(tag, sizeof tag, ",t,0x%04x", id.group);  // [RFC7143 4.2.7.1]
  return {id, scsi::protocol::iscsi, id.name + tag, id.name, true};
}

/// Runs `done` once, when what it returns has been called `count` times, from any threads.
std::function<void()> after(std::size_t count, std::function<void()> done) {
  return [left = std::make_shared<std::atomic<std::size_t>>(count), done = std::move(done)] {
    if (--*left == 0) done();
  };
}

}  // namespace

/// A target port: what the board says of it, and its share of the portals.
class iscsi_port final : public port::target_port {
 public:
  iscsi_port(iscsi_fabric& fabric, served_port served, iscsi_fabric::places listens)
      : fabric_(fabric), descriptor_(describe(served.id)) {
    put_in_force(std::move(served), std::move(listens));
  }

  const port::port_descriptor& descriptor() const override { return descriptor_; }

  std::vector<std::string> addresses() const override {
    std::vector<std::string> out;
    for (const auto& each : listens_) out.push_back(fabric_.portals_.at(each.portal).socket->local().to_string());
    return out;
  }

  result<std::unique_ptr<port::port_change>> prepare(const config::port_config& wanted) override;

  std::size_t disturbs(const config::port_config& wanted) const override {
    std::size_t sessions = 0;
    for (const auto& each : leaving(wanted.settings.list("listen")))
      sessions += served_->sessions->count_at(each.portal);
    return sessions;
  }

  void stop(std::function<void()> stopped) override {
    fabric_.ports_.erase(this);
    fabric_.publish();
    const auto part = after(2, std::move(stopped));
    served_->sessions->stop(port::loss_reason::shutdown, part);
    fabric_.give_back(listens_, part);
    listens_.clear();
  }

 private:
  class change;

  /// Where it listens and is not to any more.
  iscsi_fabric::places leaving(std::vector<std::string> wanted) const {
    iscsi_fabric::places out;
    for (const auto& each : listens_) {
      const auto stays = std::find(wanted.begin(), wanted.end(), each.where);
      if (stays == wanted.end())
        out.push_back(each);
      else
        wanted.erase(stays);
    }
    return out;
  }

  void put_in_force(served_port served, iscsi_fabric::places listens) {
    for (const auto& each : listens) served.portals.push_back(each.portal);
    listens_ = std::move(listens);
    served_ = std::make_shared<const served_port>(std::move(served));
    fabric_.ports_[this] = served_;
    fabric_.publish();
  }

  iscsi_fabric& fabric_;
  const port::port_descriptor descriptor_;
  iscsi_fabric::places listens_;
  served_port_ptr served_;
};

/// Portals that the port does not have yet are open already, and serve others at most.
class iscsi_port::change final : public port::port_change {
 public:
  change(iscsi_port& owner, served_port served, iscsi_fabric::places listens)
      : owner_(owner), served_(std::move(served)), listens_(std::move(listens)) {}
  ~change() override {
    owner_.fabric_.give_back(listens_, [] {});  // none, once it is in force
  }
  void commit() override {
    std::vector<std::string> wanted;
    for (const auto& each : listens_) wanted.push_back(each.where);
    const iscsi_fabric::places gone = owner_.leaving(wanted), before = owner_.listens_;
    served_.sessions = owner_.served_->sessions;
    owner_.put_in_force(std::move(served_), std::exchange(listens_, {}));
    for (const auto& each : gone) owner_.served_->sessions->close_at(each.portal, port::loss_reason::port_removed);
    owner_.fabric_.give_back(before, [] {});
  }

 private:
  iscsi_port& owner_;
  served_port served_;
  iscsi_fabric::places listens_;
};

result<std::unique_ptr<port::port_change>> iscsi_port::prepare(const config::port_config& wanted) {
  auto listens = fabric_.take(wanted.settings.list("listen"), listens_);
  if (!listens) return tl::unexpected(listens.error());
  return std::make_unique<change>(*this, read_port(wanted, fabric_.transport_->ours()), std::move(*listens));
}

iscsi_fabric::iscsi_fabric(const port::limits& bounds, std::vector<port::core_endpoint> cores,
                           std::unique_ptr<transport> by)
    : bounds_(bounds), cores_(std::move(cores)), transport_(std::move(by)) {
  shared_->book = std::make_shared<connection_book>(connection_limits::of(bounds));
  for (const port::core_endpoint& each : cores_)
    connections_.push_back(
        std::make_shared<core_connections>(each.core->loop(), *each.gateway, connection_actors(*each.core)));
}

std::shared_ptr<port::strangers> iscsi_fabric::strangers() {
  return std::make_shared<operator_view>(shared_);
}

iscsi_fabric::~iscsi_fabric() {
  SLUICE_CHECK(ports_.empty() && portals_.empty());
}

result<std::unique_ptr<port::target_port>> iscsi_fabric::open(const config::port_config& wanted) {
  auto listens = take(wanted.settings.list("listen"), {});
  if (!listens) return tl::unexpected(listens.error());
  return std::make_unique<iscsi_port>(*this, read_port(wanted, transport_->ours()), std::move(*listens));
}

result<iscsi_fabric::places> iscsi_fabric::take(const std::vector<std::string>& listen, const places& kept) {
  places taken, rest = kept;
  for (const std::string& where : listen) {
    const auto mine = std::find_if(rest.begin(), rest.end(), [&](const place& each) { return each.where == where; });
    if (mine != rest.end()) {
      ++portals_.at(mine->portal).users;
      taken.push_back(*mine);
      rest.erase(mine);
      continue;
    }
    const auto portal = take_one(where);
    if (!portal) {
      give_back(taken, [] {});
      return tl::unexpected(portal.error());
    }
    taken.push_back({where, *portal});
  }
  return taken;
}

result<portal_id> iscsi_fabric::take_one(const std::string& where) {
  // With port 0 each asks for an address of its own.
  if (!where.ends_with(":0"))
    for (auto& [id, each] : portals_)
      if (each.where == where) {
        ++each.users;
        return id;
      }
  const auto address = config::parse_listen_address(where);
  if (!address) return fail(errc::invalid_argument, where + " is no address to listen on");
  connection_options options;
  options.bounds = bounds_;
  options.portal = ++last_portal_;
  options.shared = shared_;
  options.ours = transport_->ours();
  auto opened = transport_->listen({address->host, address->port}, std::move(options), connections_);
  if (!opened) return tl::unexpected(opened.error());
  portals_[last_portal_] = {where, std::move(*opened), 1};
  return last_portal_;
}

/// Waits until the addresses are free, which takes a turn of the loop: whoever wants one of them next gets it.
void iscsi_fabric::give_back(const places& all, const std::function<void()>& ended) {
  std::vector<shared_portal> closing;
  for (const place& each : all) {
    shared_portal& shared = portals_.at(each.portal);
    if (--shared.users > 0) continue;
    closing.push_back(std::move(shared));
    portals_.erase(each.portal);
  }
  if (closing.empty()) return ended();
  const auto one_ended = after(closing.size(), ended);
  cores_.front().core->call_async([&](const std::function<void()>& finished) {
    const auto one_released = after(closing.size(), finished);
    for (shared_portal& each : closing) each.socket->close(one_released, one_ended);
  });
}

void iscsi_fabric::publish() {
  std::map<portal_id, reactor::endpoint> portals;
  for (const auto& [id, each] : portals_) portals.emplace(id, each.socket->local());
  std::vector<served_port_ptr> ports;
  for (const auto& [port, served] : ports_) ports.push_back(served);
  shared_->board.publish(std::make_shared<const portal_table>(std::move(portals), std::move(ports)));
}

result<std::shared_ptr<const port::credentials>> read_access(const config::settings& access) {
  const std::string* user = access.text("chap.user");
  if (!user) return std::shared_ptr<const port::credentials>();
  auto secret = config::read_secret(*access.text("chap.secret_file"));
  if (!secret) return tl::unexpected(secret.error());
  const std::string* mutual_user = access.text("chap.mutual_user");
  if (!mutual_user) return std::make_shared<const chap_credentials>(*user, *secret);
  auto mutual = config::read_secret(*access.text("chap.mutual_secret_file"));
  if (!mutual) return tl::unexpected(mutual.error());
  return std::make_shared<const chap_credentials>(*user, *secret, *mutual_user, *mutual);
}

void register_fabric(port::registry& fabrics) {
  fabrics.add({rules(), read_access,
               [](const port::limits& bounds, const std::vector<port::core_endpoint>& cores) {
                 return std::make_unique<iscsi_fabric>(bounds, cores, tcp(*cores.front().core));
               },
               probe});
}

}  // namespace sluice::iscsi
