#include <algorithm>
#include <cctype>
#include <map>

#include "fabrics/vhost/socket_owner.hpp"
#include "fabrics/vhost/vhost_fabric.hpp"

namespace sluice::vhost {
namespace {

constexpr std::size_t max_path_bytes = 107;  // of a local socket
constexpr std::uint64_t default_queues = 128, max_queues = 254;

std::string canonical(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

void check(const config::model& m, config::diagnostics& wrong) {
  std::map<std::string, std::string> taken;
  config::for_each_port(
      m, "vhost", [&](const config::target_config&, const config::port_config& port, const std::string& path) {
        const std::string name = canonical(port.name);
        if (name.size() != 16 || name.find_first_not_of("0123456789abcdef") != std::string::npos)
          wrong.push_back({port.name_at, path + ".name", "\"" + port.name + "\" is not 16 hex digits",
                           "an NAA identifier, as in \"5000c50012345678\""});
        const std::string* const socket = port.settings.text("socket");
        const config::place at = port.settings.where("socket", port.at);
        if (socket && socket->size() > max_path_bytes)
          wrong.push_back({at, path + ".socket", "is longer than a local socket's path can be",
                           "up to " + std::to_string(max_path_bytes) + " octets, made absolute"});
        if (socket && !taken.emplace(*socket, path).second)
          wrong.push_back({at, path + ".socket", *socket + " is another port's", "a socket of its own"});
        if (const std::string* const owner = port.settings.text("owner")) {
          const std::string why = owner_problem(*owner);
          const config::place where = port.settings.where("owner", port.at);
          if (!why.empty())
            wrong.push_back({where, path + ".owner", "\"" + *owner + "\" " + why, "USER or USER:GROUP"});
          else if (port.settings.flag("connect", false))
            wrong.push_back({where, path + ".owner", "the socket is the front end's", "no owner with connect = true"});
        }
      });
}

}  // namespace

port_settings settings_of(const config::port_config& port) {
  port_settings made;
  made.path = port.settings.text_or("socket", "");
  made.connects = port.settings.flag("connect", false);
  made.sealed = port.settings.flag("sealed", false);
  made.max_queues = static_cast<std::uint32_t>(port.settings.number("queues", default_queues));
  made.owner = port.settings.text_or("owner", "");
  return made;
}

config::fabric_rules rules() {
  using config::kind;
  config::fabric_rules made;
  made.name = "vhost";
  made.port_keys = {
      {.name = "name",
       .required = true,
       .help = "16 hex digits, an NAA identifier: the port's name, and that of the virtual machine behind it"},
      {.name = "socket",
       .type = kind::path,
       .required = true,
       .help = "the local socket by which QEMU reaches it: whoever may use it is admitted"},
      {.name = "connect",
       .type = kind::flag,
       .help = "connects to a front end that listens at the socket, rather than listen itself",
       .otherwise = "false"},
      {.name = "owner",
       .help = "user that the socket is given to (mode 0600), or USER:GROUP (mode 0660)",
       .otherwise = "who runs the gateway"},
      {.name = "queues",
       .type = kind::number,
       .help = "the most request queues that a device may have",
       .minimum = 1,
       .maximum = max_queues,
       .otherwise = std::to_string(default_queues)},
      {.name = "sealed",
       .type = kind::flag,
       .help = "takes only memory that is sealed against becoming shorter",
       .otherwise = "false"}};
  made.canonical_name = canonical;
  made.check = check;
  return made;
}

}  // namespace sluice::vhost
