#include "gateway/daemon/free_space.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace sluice::daemon {

namespace {

using clock = std::chrono::steady_clock;
using found_here = std::vector<control::view::file_system>;

found_here look_at(const std::vector<place>& all) {
  found_here found;
  for (const place& each : all) {
    struct stat about;
    struct statvfs room;
    if (::stat(each.path.c_str(), &about) != 0 || S_ISBLK(about.st_mode)) continue;
    if (::statvfs(each.path.c_str(), &room) != 0) continue;
    const std::uint64_t unit = room.f_frsize;
    found.push_back({each.of, each.path, room.f_bavail * unit, room.f_blocks * unit});
  }
  return found;
}

}  // namespace

std::vector<place> places_of(const config::model& model) {
  std::vector<place> all{{"gateway.state_dir", model.gateway.state_dir}};
  for (const config::store_config& store : model.stores)
    for (const std::string& name : store.settings.names())
      if (name == "path" || name.ends_with(".path"))
        all.push_back({"store." + store.name + "." + name, store.settings.text_or(name, {})});
  return all;
}

struct free_space::shared {
  std::mutex guard;
  std::condition_variable asked, looked;
  std::vector<place> places;
  std::uint64_t wanted = 0, done = 0;  // looks
  clock::time_point last{};            // when the last one began
  found_here found;
  bool over = false;

  void work() {
    std::unique_lock hold(guard);
    for (;;) {
      asked.wait(hold, [this] { return over || done != wanted; });
      if (over) return;
      const std::uint64_t number = wanted;
      const auto at = places;
      last = clock::now();
      hold.unlock();
      found_here now = look_at(at);
      hold.lock();
      found = std::move(now);
      done = number;
      looked.notify_all();
    }
  }
};

free_space::free_space() : shared_(std::make_shared<shared>()) {
  std::thread([shared = shared_] { shared->work(); }).detach();
}

free_space::~free_space() {
  const std::lock_guard hold(shared_->guard);
  shared_->over = true;
  shared_->asked.notify_all();
}

found_here free_space::look(const std::vector<place>& at) {
  shared& s = *shared_;
  std::unique_lock hold(s.guard);
  if (s.places != at || clock::now() - s.last > good_for) {
    s.places = at;
    if (s.wanted == s.done) ++s.wanted;
    s.asked.notify_all();
    s.looked.wait_for(hold, patience, [&s, number = s.wanted] { return s.done >= number; });
  }
  found_here shown;
  for (const auto& each : s.found)
    if (std::find(at.begin(), at.end(), place{each.of, each.path}) != at.end()) shown.push_back(each);
  return shown;
}

}  // namespace sluice::daemon
