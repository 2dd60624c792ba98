#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabrics/port/nexus_door.hpp"
#include "gateway/access/unit_door.hpp"

/// Who may see what: an immutable picture of targets, ports, LUN maps and access lists. A change publishes a new
/// picture.
namespace sluice::access {

/// LUN -> logical unit, for one initiator at one target.
using lun_map = std::map<std::uint16_t, std::shared_ptr<const unit_handle>>;

struct initiator_entry {
  port::chap_credentials chap;
  std::optional<lun_map> luns;  // absent: the target's
};

struct port_entry {
  std::string fabric;
  std::string name;
  std::vector<reactor::endpoint> portals;
  std::uint16_t group = 1;
  std::uint16_t relative_id = 1;  // relative target port identifier, unique in the gateway
};

struct target_entry {
  std::string name;
  bool open = false;  // any initiator may log in
  lun_map luns;
  std::vector<port_entry> ports;
  std::map<std::string, initiator_entry> initiators;
};

struct directory {
  std::vector<target_entry> targets;
};

struct found_port {
  const target_entry* target;
  const port_entry* port;
};

/// The target and port of a target port name, or nullopt.
std::optional<found_port> find_port(const directory& where, const std::string& port_name);
/// Access of an initiator: with any initiator listed, only those; `open` or an empty list admits everyone.
port::access check(const target_entry& target, const std::string& initiator_name);
/// The LUN map that an initiator sees.
const lun_map& luns_of(const target_entry& target, const std::string& initiator_name);
/// The ports of one fabric at which an initiator is admitted.
std::vector<port::visible_target> visible(const directory& where, const std::string& fabric,
                                          const std::string& initiator_name);

}  // namespace sluice::access
