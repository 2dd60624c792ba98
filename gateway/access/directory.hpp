#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabrics/port/nexus_endpoint.hpp"
#include "gateway/access/unit_endpoint.hpp"

/// Who may see what: an immutable directory, ports, LUN maps and access lists. A change publishes a new snapshot.
namespace sluice::access {

/// LUN -> logical unit, for one initiator at one target.
using lun_map = std::map<std::uint16_t, std::shared_ptr<const unit_handle>>;

struct initiator_entry {
  std::map<std::string, std::shared_ptr<const port::credentials>> credentials;  // by fabric
  std::optional<lun_map> luns;                                                  // absent: the target's
};

struct port_entry {
  port::port_descriptor descriptor;
  std::uint16_t relative_id = 1;  // relative target port identifier, unique in the gateway
};

struct target_entry {
  std::string name;
  bool open = false;  // any initiator may log in
  lun_map luns;
  std::vector<port_entry> ports;
  std::map<std::string, initiator_entry> initiators;
};

/// Made whole, by make_directory(); shared and never changed then.
struct directory {
  std::uint64_t version = 0;  // above that of every earlier one of the process; 0: empty
  std::vector<target_entry> targets;
  std::map<port::port_id, std::pair<std::size_t, std::size_t>> ports;  // target and port, by place above
};
directory make_directory(std::vector<target_entry> targets);

struct found_port {
  const target_entry* target;
  const port_entry* port;
};

/// The target and port of a port's identity, or nullopt.
std::optional<found_port> find_port(const directory& where, const port::port_id& id);
/// Access of an initiator: with any initiator listed, only those; `open` or an empty list admits everyone. A port whose
/// initiators have no names admits whoever it is wired to.
port::access check(const found_port& at, const std::string& initiator_name);
/// The LUN map that an initiator sees there.
const lun_map& luns_of(const found_port& at, const std::string& initiator_name);

}  // namespace sluice::access
