#include "fabrics/srp/port_state.hpp"

#include <utility>

#include "fabrics/srp/channel.hpp"

namespace sluice::srp {

bool connection_count::add() {
  const std::lock_guard lock(mutex);
  if (now >= most) return false;
  ++now;
  return true;
}

void connection_count::remove() {
  const std::lock_guard lock(mutex);
  --now;
}

std::optional<port_state::seat> port_state::choose(const login_request& asked) {
  const std::lock_guard lock(mutex_);
  const auto count = static_cast<unsigned>(cores.size());
  const auto found = nexuses_.find(asked.initiator);
  if (asked.action == multi_channel::single || found == nexuses_.end() || found->second.id == 0) {
    // The gateway ends what there is of the nexus before it opens another one.
    const bool ends = found != nexuses_.end();
    return seat{next_core_++ % count, 0, ends ? login_response::others::terminated : login_response::others::none};
  }
  for (unsigned i = 0; i < count; ++i) {
    const unsigned core = next_core_++ % count;
    if (found->second.cores.insert(core).second)
      return seat{core, found->second.id, login_response::others::maintained};
  }
  return std::nullopt;
}

void port_state::opened(const std::shared_ptr<channel>& by, unsigned core, std::uint64_t nexus) {
  const std::lock_guard lock(mutex_);
  known_nexus& known = nexuses_[by->initiator()];
  if (known.id != nexus) known = {nexus, {}, {}};
  known.cores.insert(core);
  known.channels[core] = by;
}

std::vector<std::shared_ptr<channel>> port_state::others(const channel& than, std::uint64_t nexus) {
  std::vector<std::shared_ptr<channel>> all;
  const std::lock_guard lock(mutex_);
  const auto found = nexuses_.find(than.initiator());
  if (found == nexuses_.end() || found->second.id != nexus) return all;
  for (const auto& [core, each] : found->second.channels)
    if (auto is = each.lock(); is && is.get() != &than) all.push_back(std::move(is));
  return all;
}

void port_state::give_back(const port_identifier& initiator, unsigned core, std::uint64_t nexus) {
  const std::lock_guard lock(mutex_);
  const auto found = nexuses_.find(initiator);
  if (found == nexuses_.end() || found->second.id != nexus) return;  // another nexus has come meanwhile
  found->second.cores.erase(core);
  found->second.channels.erase(core);
  if (found->second.cores.empty()) nexuses_.erase(found);
}

void port_state::stop(const std::function<void()>& stopped) {
  const auto all = members.stop(stopped);
  if (all.empty()) return cores.front()->where.core->loop().post(stopped);
  for (const auto& each : all) each->end_from_anywhere(port::loss_reason::shutdown);
}

}  // namespace sluice::srp
