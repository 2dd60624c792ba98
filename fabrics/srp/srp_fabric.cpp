#include "fabrics/srp/srp_fabric.hpp"

#include <algorithm>
#include <utility>

#include "actors/observe/log.hpp"
#include "fabrics/srp/channel.hpp"

namespace sluice::srp {
namespace {

port::port_descriptor describe(const port::port_id& id) {
  return {id, scsi::protocol::srp, "", "", true};
}

void refuse(rdma::connection& asked, std::uint64_t tag, login_refusal why) {
  SLUICE_LOG(warning, "srp", "login refused", {"peer", asked.peer()}, {"at", asked.local()}, {"why", to_string(why)});
  asked.reject(encode(login_rejection{tag, why}));
}

/// A login, on the loop of the listeners: to the core that it is for.
void admit(const port_board& board, const core_sides& cores, std::unique_ptr<rdma::connection> asked) {
  auto login = decode_login(asked->private_data());
  if (!login) {
    SLUICE_LOG(warning, "srp", "no login", {"peer", asked->peer()}, {"why", login.error().message});
    return asked->reject(encode(login_rejection{0, login_refusal::cannot_establish}));
  }
  const auto port = board.find(login->target, asked->local());
  if (!port) return refuse(*asked, login->tag, login_refusal::cannot_associate);
  const auto seat = port->choose(*login);
  if (!seat) return refuse(*asked, login->tag, login_refusal::no_multiple_channels);
  core_side& core = *cores[seat->core];
  if (seat->core != 0)
    if (const auto moved = asked->move_to(*core.host); !moved) {
      port->give_back(login->initiator, seat->core, seat->nexus);
      return refuse(*asked, login->tag, login_refusal::insufficient_resources);
    }
  const std::uint64_t tag = login->tag;
  rdma::connection& by = *asked;
  const auto made = std::make_shared<channel>(port, std::move(asked), std::move(*login), *seat);
  if (!port->members.join(made)) {
    if (seat->core == 0) refuse(by, tag, login_refusal::cannot_associate);
    port->give_back(made->initiator(), seat->core, seat->nexus);
    core.where.core->loop().post([made] {});  // it ends where it is at home
    return;
  }
  core.where.core->loop().post([made] { made->begin(); });
}

}  // namespace

void port_board::publish(std::vector<entry> all) {
  const std::lock_guard lock(mutex_);
  all_ = std::move(all);
}

std::shared_ptr<port_state> port_board::find(const port_identifier& id, const std::string& address) const {
  const std::lock_guard lock(mutex_);
  const auto host_of = [](const std::string& text) { return text.substr(0, text.rfind(':')); };
  for (const entry& each : all_)
    if (each.port->identifier == id)
      for (const std::string& where : each.addresses) {
        const bool any = host_of(where) == "0.0.0.0" || host_of(where) == "[::]";
        if (where == address || (any && where.substr(where.rfind(':')) == address.substr(address.rfind(':'))))
          return each.port;
      }
  return nullptr;
}

/// A target port: its state, and its share of the listeners.
class srp_port final : public port::target_port {
 public:
  srp_port(srp_fabric& fabric, std::shared_ptr<port_state> state, srp_fabric::places listens)
      : fabric_(fabric), state_(std::move(state)), listens_(std::move(listens)) {
    put_in_force();
  }

  const port::port_descriptor& descriptor() const override { return state_->descriptor; }
  std::vector<std::string> addresses() const override { return fabric_.locals(listens_); }
  result<std::unique_ptr<port::port_change>> prepare(const config::port_config& wanted) override {
    const srp_fabric::places listens = wanted.settings.list("listen");
    if (auto taken = fabric_.take(listens); !taken) return tl::unexpected(taken.error());
    return std::make_unique<change>(*this, listens);
  }
  /// A connection needs no listener once it is there.
  std::size_t disturbs(const config::port_config&) const override { return 0; }
  void stop(std::function<void()> stopped) override {
    fabric_.ports_.erase(this);
    fabric_.publish();
    fabric_.give_back(std::exchange(listens_, {}));
    state_->stop(std::move(stopped));
  }

 private:
  class change final : public port::port_change {
   public:
    change(srp_port& owner, srp_fabric::places listens) : owner_(owner), listens_(std::move(listens)) {}
    ~change() override { owner_.fabric_.give_back(listens_); }  // what it had before, once it is in force
    void commit() override {
      std::swap(listens_, owner_.listens_);
      owner_.put_in_force();
    }

   private:
    srp_port& owner_;
    srp_fabric::places listens_;
  };

  void put_in_force() {
    fabric_.ports_[this] = {fabric_.locals(listens_), state_};
    fabric_.publish();
  }

  srp_fabric& fabric_;
  const std::shared_ptr<port_state> state_;
  srp_fabric::places listens_;
};

srp_fabric::srp_fabric(const port::limits& bounds, const std::vector<port::core_endpoint>& cores, rdma::host_maker make)
    : bounds_(bounds), cores_(rdma::sides_of(cores)), make_host_(std::move(make)) {
  connections_->most = bounds.max_connections;
}

srp_fabric::~srp_fabric() {
  SLUICE_CHECK(ports_.empty() && listeners_.empty());
  rdma::close_hosts(cores_);
}

result<std::unique_ptr<port::target_port>> srp_fabric::open(const config::port_config& wanted) {
  const auto id = parse_identifier(wanted.name);
  if (!id) return tl::unexpected(id.error());
  if (auto started = rdma::start_hosts(cores_, make_host_); !started) return tl::unexpected(started.error());
  const places listens = wanted.settings.list("listen");
  if (auto taken = take(listens); !taken) return tl::unexpected(taken.error());
  auto state = std::make_shared<port_state>(describe({wanted.fabric, wanted.name, wanted.group}), *id, cores_, bounds_,
                                            connections_);
  return std::make_unique<srp_port>(*this, std::move(state), listens);
}

result<void> srp_fabric::take(const places& all) {
  places taken;
  for (const std::string& where : all) {
    if (auto one = take_one(where); !one) {
      give_back(taken);
      return one;
    }
    taken.push_back(where);
  }
  return {};
}

result<void> srp_fabric::take_one(const std::string& where) {
  if (const auto found = listeners_.find(where); found != listeners_.end()) {
    ++found->second.users;
    return {};
  }
  const auto address = config::parse_listen_address(where);
  if (!address) return fail(errc::invalid_argument, where + " is no address to listen on");
  shared_listener made;
  result<void> how;
  cores_.front()->where.core->call([&] {
    auto opened = cores_.front()->host->listen(
        {address->host, address->port},
        [board = board_, this](std::unique_ptr<rdma::connection> asked) { admit(*board, cores_, std::move(asked)); });
    if (!opened) {
      how = tl::unexpected(opened.error());
      return;
    }
    made.socket = std::move(*opened);
    made.local = made.socket->local();
  });
  if (!how) return how;
  made.users = 1;
  listeners_.emplace(where, std::move(made));
  return {};
}

void srp_fabric::give_back(const places& all) {
  for (const std::string& where : all) {
    const auto found = listeners_.find(where);
    if (--found->second.users > 0) continue;
    cores_.front()->where.core->call([&] { found->second.socket.reset(); });
    listeners_.erase(found);
  }
}

std::vector<std::string> srp_fabric::locals(const places& all) const {
  std::vector<std::string> out;
  for (const std::string& where : all) out.push_back(listeners_.at(where).local);
  return out;
}

void srp_fabric::publish() {
  std::vector<port_board::entry> all;
  for (const auto& [port, entry] : ports_) all.push_back(entry);
  board_->publish(std::move(all));
}

port::fabric make_fabric(rdma::host_maker make) {
  return {rules(), nullptr,
          [make = std::move(make)](const port::limits& bounds, const std::vector<port::core_endpoint>& cores) {
            return std::make_unique<srp_fabric>(bounds, cores, make);
          }};
}

}  // namespace sluice::srp
