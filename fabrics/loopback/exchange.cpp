#include "fabrics/loopback/exchange.hpp"

#include <algorithm>

#include "fabrics/loopback/port_state.hpp"

namespace sluice::loopback {

bool is_name(const std::string& text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

exchange& exchange::of_this_process() {
  static exchange the_one;
  return the_one;
}

result<void> exchange::add(const std::shared_ptr<port_state>& port) {
  const std::lock_guard lock(mutex_);
  std::weak_ptr<port_state>& at = ports_[{port->descriptor.id.name, port->descriptor.id.group}];
  if (!at.expired()) return fail(errc::already_exists, port->descriptor.id.to_string() + " is open in this process");
  at = port;
  return {};
}

void exchange::remove(const port::port_id& id) {
  const std::lock_guard lock(mutex_);
  ports_.erase({id.name, id.group});
}

result<std::shared_ptr<session>> exchange::log_in(const std::string& port_name, std::uint16_t group,
                                                  session::initiator who, unsigned first_core, session::handler& tell) {
  std::shared_ptr<port_state> port;
  {
    const std::lock_guard lock(mutex_);
    const auto found = ports_.find({port_name, group});
    if (found != ports_.end()) port = found->second.lock();
  }
  if (!port) return fail(errc::not_found, "no loopback port " + port_name + " group " + std::to_string(group));
  if (first_core >= port->cores.size()) return fail(errc::invalid_argument, "no core " + std::to_string(first_core));
  if (port->descriptor.names_initiators ? !is_name(who.name) : !who.name.empty())
    return fail(errc::invalid_argument, "no name of an initiator at this port: '" + who.name + "'");
  auto made = std::make_shared<session>(port, std::move(who), first_core, tell);
  if (!port->members.join(made)) return fail(errc::not_found, "the port stops");
  made->open();
  return made;
}

}  // namespace sluice::loopback
