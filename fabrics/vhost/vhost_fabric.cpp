#include "fabrics/vhost/vhost_fabric.hpp"

#include <utility>

namespace sluice::vhost {
namespace {

struct nothing_to_change final : port::port_change {
  void commit() override {}
};

class vhost_port final : public port::target_port {
 public:
  explicit vhost_port(std::shared_ptr<port_state> state) : state_(std::move(state)) {}

  const port::port_descriptor& descriptor() const override { return state_->descriptor; }
  std::vector<std::string> addresses() const override { return {state_->settings.path}; }
  result<std::unique_ptr<port::port_change>> prepare(const config::port_config& wanted) override {
    if (!(settings_of(wanted) == state_->settings))
      return fail(errc::unsupported, "a port's socket and its rules cannot change while the port is open");
    return std::make_unique<nothing_to_change>();
  }
  std::size_t disturbs(const config::port_config&) const override { return 0; }
  void stop(std::function<void()> stopped) override { state_->stop(std::move(stopped)); }

 private:
  const std::shared_ptr<port_state> state_;
};

class vhost_fabric final : public port::running_fabric {
 public:
  vhost_fabric(const port::limits& bounds, std::vector<port::core_endpoint> cores, mapper map)
      : bounds_(bounds), cores_(std::move(cores)), map_(std::move(map)) {}

  result<std::unique_ptr<port::target_port>> open(const config::port_config& wanted) override {
    port::port_descriptor about;
    about.id = {wanted.fabric, wanted.name, wanted.group};
    about.protocol = scsi::protocol::sas;
    about.names_initiators = false;
    auto state = std::make_shared<port_state>(std::move(about), settings_of(wanted), cores_,
                                              next_core_++ % cores_.size(), bounds_, map_);
    if (auto opened = state->open(); !opened) return tl::unexpected(opened.error());
    return std::make_unique<vhost_port>(std::move(state));
  }

 private:
  const port::limits bounds_;
  const std::vector<port::core_endpoint> cores_;
  const mapper map_;
  std::size_t next_core_ = 0;
};

}  // namespace

port::fabric make_fabric(mapper map) {
  return {rules(), nullptr,
          [map = std::move(map)](const port::limits& bounds, const std::vector<port::core_endpoint>& cores) {
            return std::make_unique<vhost_fabric>(bounds, cores, map);
          }};
}

void register_fabric(port::registry& fabrics) {
  fabrics.add(make_fabric(system_mapper()));
}

}  // namespace sluice::vhost
