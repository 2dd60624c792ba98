#include <algorithm>
#include <cctype>

#include "fabrics/loopback/exchange.hpp"
#include "fabrics/loopback/port_state.hpp"

namespace sluice::loopback {
namespace {

std::string canonical(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

/// Why it can be no name; empty when it can.
std::string problem_of(const std::string& name) {
  return is_name(canonical(name)) ? "" : "is not 16 hex digits";
}

void check(const config::model& m, config::diagnostics& wrong) {
  config::for_each_port(
      m, "loopback", [&](const config::target_config&, const config::port_config& port, const std::string& path) {
        if (const std::string why = problem_of(port.name); !why.empty())
          wrong.push_back({port.name_at, path + ".name", why, "16 hex digits, as in \"5000c50012345678\""});
      });
}

config::fabric_rules rules() {
  config::fabric_rules made;
  made.name = "loopback";
  made.port_keys = {
      {"name", config::kind::text, true, "16 hex digits: by them initiators in the same process find the port"},
      {.name = "names_initiators",
       .type = config::kind::flag,
       .help = "initiators have names; otherwise the port's own stands for whoever uses it",
       .otherwise = "true"}};
  made.canonical_name = canonical;
  made.initiator_problem = problem_of;
  made.check = check;
  return made;
}

struct nothing_to_change final : port::port_change {
  void commit() override {}
};

class loopback_port final : public port::target_port {
 public:
  explicit loopback_port(std::shared_ptr<port_state> state) : state_(std::move(state)) {}

  const port::port_descriptor& descriptor() const override { return state_->descriptor; }
  std::vector<std::string> addresses() const override { return {}; }
  result<std::unique_ptr<port::port_change>> prepare(const config::port_config& wanted) override {
    if (wanted.settings.flag("names_initiators", true) != state_->descriptor.names_initiators)
      return fail(errc::unsupported, "names_initiators cannot change while the port is open");
    return std::make_unique<nothing_to_change>();
  }
  std::size_t disturbs(const config::port_config&) const override { return 0; }
  void stop(std::function<void()> stopped) override {
    exchange::of_this_process().remove(state_->descriptor.id);
    state_->stop(std::move(stopped));
  }

 private:
  const std::shared_ptr<port_state> state_;
};

class loopback_fabric final : public port::running_fabric {
 public:
  explicit loopback_fabric(std::vector<port::core_endpoint> cores) : cores_(std::move(cores)) {}

  result<std::unique_ptr<port::target_port>> open(const config::port_config& wanted) override {
    port::port_descriptor about;
    about.id = {"loopback", wanted.name, wanted.group};
    about.protocol = scsi::protocol::sas;
    about.names_initiators = wanted.settings.flag("names_initiators", true);
    auto state = std::make_shared<port_state>(std::move(about), cores_);
    if (auto added = exchange::of_this_process().add(state); !added) return tl::unexpected(added.error());
    return std::make_unique<loopback_port>(std::move(state));
  }

 private:
  const std::vector<port::core_endpoint> cores_;
};

}  // namespace

void register_fabric(port::registry& fabrics) {
  fabrics.add({rules(), nullptr, [](const port::limits&, const std::vector<port::core_endpoint>& cores) {
                 return std::make_unique<loopback_fabric>(cores);
               }});
}

}  // namespace sluice::loopback
