#include "ceph/cluster/connections.hpp"

#include <atomic>
#include <thread>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::cluster {

using std::chrono::seconds;
using std::chrono::steady_clock;

connections::~connections() {
  constexpr seconds limit{15};  // more than an attempt to connect may take
  pulse_.reset();
  reopener_.reset();
  known_.clear();
  static std::atomic<bool> in_vain = false;  // a process may have several of these
  if (in_vain || helper::wait_until_none_is_busy(limit)) return;
  in_vain = true;
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
  if (made && before_use_)
    if (auto noted = before_use_(**made); !noted) made = tl::unexpected(noted.error());
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

std::shared_ptr<connections> connections::of_this_process() {
  static std::mutex guard;
  static std::weak_ptr<connections> one;
  const std::lock_guard lock(guard);
  auto all = one.lock();
  if (!all) one = all = std::make_shared<connections>();
  return all;
}

void connections::before_use(notice what) {
  const std::lock_guard lock(guard_);
  before_use_ = std::move(what);
}

std::vector<std::shared_ptr<connection>> connections::open_ones() {
  const std::lock_guard lock(guard_);
  std::vector<std::shared_ptr<connection>> all;
  for (const auto& [to, each] : known_)
    if (auto open = each.open.lock()) all.push_back(std::move(open));
  return all;
}

bool connections::abandon_if_given_up(connection& silent, const question& asked,
                                      const std::function<bool()>& still_silent) {
  constexpr seconds osd_patience{5};
  constexpr seconds grace{8};  // for OSDs that have just come back, and answer over `silent` soon
  if (silent.abandoned()) return true;
  if (!silent.claim_trial(steady_clock::now())) return false;
  const auto another = connection::open(silent.to(), osd_patience);
  if (!another || !asked(*another)) return false;
  const auto until = steady_clock::now() + grace;
  while (steady_clock::now() < until && still_silent()) std::this_thread::sleep_for(std::chrono::milliseconds(250));
  if (!still_silent() || !(*another)->fence(silent)) return false;
  SLUICE_LOG(warning, "ceph", "librados has given this connection up, and the cluster takes a new one",
             {"client", silent.to().client()}, {"address", silent.addresses()});
  silent.abandon();
  return true;
}

}  // namespace sluice::cluster
