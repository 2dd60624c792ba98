#include <algorithm>
#include <mutex>

#include "gateway/daemon/steps.hpp"

namespace sluice::daemon {

namespace {

using port_ptr = std::shared_ptr<const running_port>;

bool is_port(const config::port_config& port, const config::step& told) {
  return port.fabric == told.fabric && port.name == told.name && port.group == told.group;
}

port_ptr find_port(const std::vector<port_ptr>& all, const config::step& told) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& each) { return is_port(each->config, told); });
  return found == all.end() ? nullptr : *found;
}

void stop_port(const running_port& port, running& now) {
  const runtime::latch stopped(now.made_of.wait);
  {
    const std::lock_guard hold(now.calling_ports);
    port.port->stop(stopped.opener());
  }
  stopped.wait();
}

class port_step : public step {
 public:
  using step::step;

 protected:
  const config::port_config& wanted() const {
    const config::target_config& target = *config::find_named(in_.wanted->targets, told_.target);
    return *std::find_if(target.ports.begin(), target.ports.end(),
                         [&](const auto& each) { return is_port(each, told_); });
  }
  port::port_id id() const { return {told_.fabric, told_.name, told_.group}; }
  std::unique_lock<std::mutex> calling() const { return std::unique_lock(in_.now.calling_ports); }

  result<void> probe() const {
    const port::fabric* fabric = in_.now.made_of.fabrics.find(told_.fabric);
    if (!fabric) return fail(errc::unsupported, told_.name + ": no fabric '" + told_.fabric + "' in this build");
    if (!fabric->probe) return {};
    std::vector<std::string> held;
    for (const port_ptr& each : in_.before->ports)
      if (each->config.fabric == told_.fabric)
        for (std::string& address : each->config.settings.list("listen")) held.push_back(std::move(address));
    auto found = fabric->probe(wanted(), held);
    if (!found) return fail(found.error().code, told_.name + ": " + found.error().message);
    return {};
  }
};

class add_port_step final : public port_step {
 public:
  using port_step::port_step;

  result<void> check() override {
    if (auto free = check_free(); !free) return free;
    return probe();
  }

  result<void> prepare() override {
    running& now = in_.now;
    const port::fabric* fabric = now.made_of.fabrics.find(told_.fabric);
    if (!fabric) return probe();
    if (auto free = check_free(); !free) return free;
    const auto number = now.numbers.of(id());
    if (!number) return tl::unexpected(number.error());
    std::unique_ptr<port::running_fabric>& at_work = now.fabrics[told_.fabric];
    const config::gateway_config& bounds = in_.wanted->gateway;
    const auto hold = calling();
    if (!at_work) {
      at_work = fabric->start(
          {bounds.max_connections, bounds.login_timeout_ns, bounds.max_tasks, bounds.max_connections_per_address},
          now.endpoints);
      now.show_strangers(told_.fabric, at_work->strangers());
    }
    auto opened = at_work->open(wanted());
    if (!opened) return fail(opened.error().code, told_.name + ": " + opened.error().message);
    std::vector<std::string> addresses = (*opened)->addresses();
    made_ = std::make_shared<running_port>(
        running_port{wanted(), told_.target, *number, std::move(*opened), std::move(addresses)});
    in_.ports.push_back(made_);
    return {};
  }
  void undo() override {
    std::erase(in_.ports, made_);
    stop_port(*made_, in_.now);
  }
  void commit() override { in_.next.ports.push_back(made_); }

 private:
  /// A port is opened before the one that has its name lets go.
  result<void> check_free() const {
    const port_ptr other = find_port(in_.before->ports, told_);
    if (!other) return {};
    return fail(errc::busy, told_.name + ": is a port of target " + other->target +
                                "; remove it there in one step and add it here in the next");
  }

  port_ptr made_;
};

/// Other settings; sessions that these do not concern go on.
class change_port_step final : public port_step {
 public:
  using port_step::port_step;

  result<void> check() override {
    {
      const auto hold = calling();
      told_.drops_sessions = find_port(in_.before->ports, told_)->port->disturbs(wanted());
    }
    return probe();
  }
  result<void> prepare() override {
    before_ = find_port(in_.before->ports, told_);
    const auto hold = calling();
    auto ready = before_->port->prepare(wanted());
    if (!ready) return fail(ready.error().code, told_.name + ": " + ready.error().message);
    change_ = std::move(*ready);
    return {};
  }
  void undo() override {
    const auto hold = calling();
    change_.reset();
  }
  /// After the new directory is shown, which says whom the port admits.
  void finish() override {
    const auto hold = calling();
    change_->commit();
    auto now = std::make_shared<running_port>(*before_);
    now->config = wanted();
    now->addresses = now->port->addresses();
    running_snapshot next = *in_.now.seen();
    std::replace(next.ports.begin(), next.ports.end(), before_, port_ptr(now));
    in_.now.show(std::move(next));
    change_.reset();
  }

 private:
  port_ptr before_;
  std::unique_ptr<port::port_change> change_;
};

class remove_port_step final : public port_step {
 public:
  using port_step::port_step;

  result<void> check() override {
    told_.drops_sessions =
        count_sessions(in_.now, told_.target, [&](const nexus::nexus_info& nexus) { return nexus.port == id(); });
    return {};
  }
  void commit() override {
    gone_ = find_port(in_.next.ports, told_);
    std::erase(in_.next.ports, gone_);
    // A gateway that ends closes its endpoints first: no login shall hear that its target is gone for good.
    if (in_.now.stopping) stop_port(*gone_, in_.now);
  }
  void finish() override {
    if (!in_.now.stopping) stop_port(*gone_, in_.now);
  }

 private:
  port_ptr gone_;
};

}  // namespace

std::unique_ptr<step> make_port_step(change& in, const config::step& told) {
  switch (told.what) {
    case config::action::change_port:
      return std::make_unique<change_port_step>(in, told);
    case config::action::remove_port:
      return std::make_unique<remove_port_step>(in, told);
    default:
      return std::make_unique<add_port_step>(in, told);
  }
}

}  // namespace sluice::daemon
