#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "fabrics/loopback/session.hpp"

namespace sluice::loopback {

/// Where initiators of this process find the loopback ports of its gateways, by name and group. Any thread.
class exchange {
 public:
  static exchange& of_this_process();

  /// errc::already_exists when a port of that name and group is open.
  result<void> add(const std::shared_ptr<port_state>& port);
  void remove(const port::port_id& id);

  /// Logs in on core number `first_core`: what comes of it goes to `tell`. errc::not_found when there is no such port,
  /// or it stops; errc::invalid_argument for a core or a name that cannot be.
  result<std::shared_ptr<session>> log_in(const std::string& port_name, std::uint16_t group, session::initiator who,
                                          unsigned first_core, session::handler& tell);

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, std::uint16_t>, std::weak_ptr<port_state>> ports_;
};

/// Whether it is spelled as names of ports and initiators are here: 16 lower-case hex digits, an NAA identifier as SAS
/// has them. In the SCSI sense a loopback port is a SAS port, so that its initiators have TransportIDs [SPC-4 7.6.4.5].
bool is_name(const std::string& text);

}  // namespace sluice::loopback
