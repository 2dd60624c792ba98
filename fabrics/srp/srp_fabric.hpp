#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fabrics/port/fabric.hpp"
#include "fabrics/srp/port_state.hpp"

namespace sluice::srp {

/// The rules of the configuration: keys, names, addresses.
config::fabric_rules rules();

/// Which port a login is for. Written by the control thread, read by the loop that the listeners are on.
class port_board {
 public:
  struct entry {
    std::vector<std::string> addresses;
    std::shared_ptr<port_state> port;
  };
  void publish(std::vector<entry> all);
  /// The port of that identifier at the address; null when there is none.
  std::shared_ptr<port_state> find(const port_identifier& id, const std::string& address) const;

 private:
  mutable std::mutex mutex_;
  std::vector<entry> all_;
};

/// SRP in one gateway: hosts on each core, made for the first port, and listeners on the first core, shared by the
/// ports that listen at an address.
class srp_fabric final : public port::running_fabric {
 public:
  srp_fabric(const port::limits& bounds, const std::vector<port::core_endpoint>& cores, rdma::host_maker make);
  ~srp_fabric() override;  // every port has stopped
  result<std::unique_ptr<port::target_port>> open(const config::port_config& wanted) override;

 private:
  friend class srp_port;
  using places = std::vector<std::string>;  // as configured
  struct shared_listener {
    std::unique_ptr<rdma::listener> socket;
    std::string local;
    unsigned users = 0;
  };

  result<void> take(const places& all);
  result<void> take_one(const std::string& where);
  void give_back(const places& all);
  void publish();
  std::vector<std::string> locals(const places& all) const;

  const port::limits bounds_;
  core_sides cores_;
  const rdma::host_maker make_host_;
  const std::shared_ptr<connection_count> connections_ = std::make_shared<connection_count>();
  const std::shared_ptr<port_board> board_ = std::make_shared<port_board>();
  std::map<std::string, shared_listener> listeners_;
  std::map<const port::target_port*, port_board::entry> ports_;
};

/// A fabric over RDMA of this kind, as the registry has it.
port::fabric make_fabric(rdma::host_maker make);

}  // namespace sluice::srp
