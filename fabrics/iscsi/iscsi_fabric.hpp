#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fabrics/iscsi/core_connections.hpp"
#include "fabrics/iscsi/portal.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::iscsi {

/// The rules of the configuration: keys, names, addresses, CHAP.
config::fabric_rules rules();
/// Likewise of a fabric that carries iSCSI by RDMA: its keys are those of iSCSI that mean something there.
config::fabric_rules rdma_rules(const std::string& name);
/// What access tables say of CHAP; for any fabric of iSCSI.
result<std::shared_ptr<const port::credentials>> read_access(const config::settings& access);
/// A port as its checked table describes it, but for its portals; `otherwise`: where the table says nothing.
served_port read_port(const config::port_config& from, const offer& otherwise = {});

/// iSCSI in one gateway, by one transport: portals by address, shared by the ports that listen there.
class iscsi_fabric final : public port::running_fabric {
 public:
  iscsi_fabric(const port::limits& bounds, std::vector<port::core_endpoint> cores, std::unique_ptr<transport> by);
  ~iscsi_fabric() override;  // every port has stopped
  result<std::unique_ptr<port::target_port>> open(const config::port_config& wanted) override;
  std::shared_ptr<port::strangers> strangers() override;

 private:
  friend class iscsi_port;

  /// A place to listen, as the configuration writes it, and the portal there.
  struct place {
    std::string where;
    portal_id portal = 0;
  };
  using places = std::vector<place>;
  struct shared_portal {
    std::string where;
    std::unique_ptr<portal> socket;
    unsigned users = 0;
  };

  /// Portals for all of `listen`, each with one more user; those that `kept` has are taken from there.
  result<places> take(const std::vector<std::string>& listen, const places& kept);
  result<portal_id> take_one(const std::string& where);
  /// One user less for each; a portal without users closes. `ended` runs when all that closed have no connection left.
  void give_back(const places& all, const std::function<void()>& ended);
  void publish();

  const port::limits bounds_;
  const std::vector<port::core_endpoint> cores_;
  const std::unique_ptr<transport> transport_;
  const std::shared_ptr<shared_state> shared_ = std::make_shared<shared_state>();
  std::vector<std::shared_ptr<core_connections>> connections_;  // by core
  std::map<portal_id, shared_portal> portals_;
  portal_id last_portal_ = 0;
  std::map<const port::target_port*, served_port_ptr> ports_;
};

}  // namespace sluice::iscsi
