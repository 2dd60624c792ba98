#include "tiers/store/path_watch.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace sluice::store {
namespace {

constexpr std::chrono::milliseconds period{500};
constexpr std::size_t looks_at_once = 256;  // of thousands of files each has its turn less often, and the core its rest

struct watched {
  std::string path;
  struct stat first;
  std::function<void(const path_finding&)> found;
};

path_finding look_at(const watched& file) {
  struct stat now;
  if (::stat(file.path.c_str(), &now) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {"was removed", 0};
    return {{}, UINT64_MAX};  // it cannot be looked at: nothing is known
  }
  if (now.st_ino != file.first.st_ino || now.st_dev != file.first.st_dev || now.st_rdev != file.first.st_rdev)
    return {"was replaced", 0};
  return {{}, S_ISREG(now.st_mode) ? static_cast<std::uint64_t>(now.st_size) : UINT64_MAX};
}

/// All that is watched, and the thread that looks; there is one as long as anything is. Never destroyed: the thread may
/// outlast main().
class lookout {
 public:
  void add(const std::shared_ptr<const watched>& file) {
    const std::lock_guard lock(guard_);
    files_.push_back(file);
    if (std::exchange(looks_, true)) return;
    std::thread([this] { look(); }).detach();
  }

 private:
  void look() {
    for (;;) {
      std::this_thread::sleep_for(period);
      std::unique_lock lock(guard_);
      std::erase_if(files_, [](const auto& each) { return each.expired(); });
      if (files_.empty()) {
        looks_ = false;
        return;
      }
      std::vector<std::weak_ptr<const watched>> files;
      for (std::size_t i = 0; i < std::min(looks_at_once, files_.size()); ++i)
        files.push_back(files_[next_++ % files_.size()]);
      lock.unlock();
      for (const auto& each : files)
        if (const auto file = each.lock()) file->found(look_at(*file));
    }
  }

  std::mutex guard_;
  std::vector<std::weak_ptr<const watched>> files_;
  std::size_t next_ = 0;
  bool looks_ = false;
};

lookout& the_lookout() {
  static auto* const one = new lookout;
  return *one;
}

}  // namespace

std::shared_ptr<const void> watch_path(const std::string& path, std::function<void(const path_finding&)> found) {
  auto file = std::make_shared<watched>();
  file->path = path;
  if (::stat(path.c_str(), &file->first) != 0) return nullptr;
  file->found = std::move(found);
  the_lookout().add(file);
  return file;
}

}  // namespace sluice::store
