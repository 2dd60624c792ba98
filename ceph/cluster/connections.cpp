#include "ceph/cluster/connections.hpp"

#include "actors/observe/log.hpp"

namespace sluice::cluster {

using std::chrono::seconds;
using std::chrono::steady_clock;

connections::~connections() {
  constexpr seconds limit{15};  // more than an attempt to connect may take
  pulse_.reset();
  reopener_.reset();
  known_.clear();
  if (helper::wait_for_dropped(limit)) return;
  SLUICE_LOG(warning, "ceph", "the cluster does not answer; what is open on it is left behind");
  leave_stuck_helpers_behind();
}

pulse& connections::beats() {
  const std::lock_guard lock(threads_guard_);
  if (!pulse_) pulse_ = std::make_unique<pulse>();
  return *pulse_;
}

helper& connections::reopener() {
  const std::lock_guard lock(threads_guard_);
  if (!reopener_) reopener_ = std::make_unique<helper>();
  return *reopener_;
}

result<std::shared_ptr<connection>> connections::get(const address& to) {
  constexpr seconds fresh{2};
  const std::lock_guard lock(guard_);
  entry& found = known_[to];
  if (auto open = found.open.lock(); open && !open->condemned()) return open;
  if (found.failed && steady_clock::now() - found.failed_at < fresh) return tl::unexpected(*found.failed);
  auto made = connection::open(to);
  if (made) {
    found.open = *made;
    found.failed.reset();
    SLUICE_LOG(info, "ceph", "connected", {"client", to.client()}, {"address", (*made)->addresses()});
  } else {
    found.failed = made.error();
    found.failed_at = steady_clock::now();
  }
  return made;
}

}  // namespace sluice::cluster
