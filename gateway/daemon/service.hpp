#pragma once
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "config/toml/load.hpp"
#include "gateway/control/views.hpp"
#include "gateway/daemon/gateway.hpp"
#include "gateway/daemon/machine.hpp"

namespace sluice::daemon {

/// Form and threshold of the log, as configured.
void set_log_of(const config::gateway_config& config);

/// What the control socket can ask of a running gateway. One command at a time, from any thread.
class service {
 public:
  /// `control`: the socket of --control, which stays whatever a file says.
  service(gateway& served, const machine& hardware, config::known_types known, std::optional<std::string> control);

  result<nlohmann::json> handle(const std::string& command, const nlohmann::json& arguments);
  /// Applies a file; what SIGHUP and `sluice apply` do.
  result<nlohmann::json> apply(const std::string& file);
  /// Media have changed their size by themselves; the units follow.
  void follow_media();

 private:
  result<config::model> load(const std::string& file) const;
  result<nlohmann::json> plan(const std::string& file) const;
  result<nlohmann::json> resize(const nlohmann::json& arguments);
  nlohmann::json events(std::uint64_t since) const;
  control::view::status status();
  control::view::unit unit_view(const std::string& name, const running_unit& unit);
  result<control::view::reservations> reservations(const std::string& unit);

  std::mutex one_at_a_time_;
  gateway& gateway_;
  const machine& machine_;
  const config::known_types known_;
  const std::optional<std::string> control_;
  const std::uint64_t started_ns_;
};

}  // namespace sluice::daemon
