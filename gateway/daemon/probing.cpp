#include "gateway/daemon/probing.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "config/schema/key_reader.hpp"
#include "config/schema/quantity.hpp"

namespace sluice::daemon {

namespace {

using config::diagnostics;
using config::store_config;

std::string path_of(const store_config& store, const std::string& key) {
  return "store." + config::quoted_if_needed(store.name) + (key.empty() ? key : "." + key);
}

/// What a store's type says of it. Its sentence may begin with the key that it is about; else that is `path`.
void probe_by_type(const store_config& store, const store::registry& types, diagnostics& wrong) {
  const store::factory* factory = types.find(store.type);
  if (!factory || !factory->probe) return;
  const auto found = factory->probe(store.settings);
  if (found) return;
  std::string sentence = found.error().message;
  const std::size_t colon = sentence.find(": ");
  std::string key = colon == std::string::npos ? std::string() : sentence.substr(0, colon);
  if (!key.empty() && store.settings.has(key))
    sentence.erase(0, colon + 2);
  else
    key = store.settings.has("path") ? "path" : "";
  wrong.push_back({store.settings.where(key, store.at), path_of(store, key), sentence, {}});
}

/// What files take of their file systems.
class files {
 public:
  files(diagnostics& wrong, diagnostics& warnings) : wrong_(wrong), warnings_(warnings) {}

  /// `size_key` names the key that says how large the file is to be.
  void look_at(const store_config& store, const std::string& key, const std::string& size_key) {
    const std::string* path = store.settings.text(key);
    if (!path) return;
    struct stat about {};
    const bool is_there = ::stat(path->c_str(), &about) == 0;
    if (is_there) check_alone(store, key, about);
    if (is_there && !S_ISREG(about.st_mode)) return;
    const std::uint64_t wanted = store.settings.number(size_key, 0);
    const auto has = static_cast<std::uint64_t>(about.st_size);
    if (is_there && wanted != 0 && key == "path") compare(store, size_key, wanted, has);
    if (wanted == 0) return;
    constexpr std::uint64_t counted_in = 512;  // of st_blocks
    const std::uint64_t taken = static_cast<std::uint64_t>(about.st_blocks) * counted_in;
    add_need(store, size_key, *path, taken < wanted ? wanted - taken : 0);
  }

 private:
  /// One file may have many names.
  void check_alone(const store_config& store, const std::string& key, const struct stat& about) {
    const bool is_device = S_ISBLK(about.st_mode);
    const std::pair<dev_t, ino_t> itself{is_device ? about.st_rdev : about.st_dev, is_device ? 0 : about.st_ino};
    const auto [first, fresh] = used_.emplace(itself, path_of(store, key));
    if (!fresh)
      wrong_.push_back({store.settings.where(key, store.at), path_of(store, key),
                        "is the same " + std::string(is_device ? "device" : "file") + " as " + first->second,
                        "a file or device of its own"});
  }

  void compare(const store_config& store, const std::string& size_key, std::uint64_t wanted, std::uint64_t has) {
    if (has == wanted) return;
    const std::string much = "the file has " + config::format_size(has);
    warnings_.push_back({store.settings.where(size_key, store.at), path_of(store, size_key),
                         has > wanted ? much + ": it is served as large as it is" : much + ": it grows at the start",
                         "size = \"" + config::format_size(has) + "\" for what there is"});
  }

  /// Files are sparse, so all may yet be well: it is a matter of what initiators write.
  void add_need(const store_config& store, const std::string& size_key, const std::string& path, std::uint64_t more) {
    std::string folder = std::filesystem::path(path).parent_path().string();
    struct stat about;
    struct statvfs room;
    if (::stat(folder.c_str(), &about) != 0 || ::statvfs(folder.c_str(), &room) != 0) return;
    const std::uint64_t free = std::uint64_t{room.f_bavail} * room.f_frsize;
    std::uint64_t& needed = needed_[about.st_dev];
    const bool enough_before = needed <= free;
    needed += more;
    if (enough_before && needed > free)
      warnings_.push_back({store.settings.where(size_key, store.at),
                           path_of(store, size_key),
                           "may need more than there is: the file system of " + folder + " has " +
                               config::approximate_size(free) + " left, and the files on it may grow by " +
                               config::approximate_size(needed),
                           {}});
  }

  diagnostics& wrong_;
  diagnostics& warnings_;
  std::map<std::pair<dev_t, ino_t>, std::string> used_;
  std::map<dev_t, std::uint64_t> needed_;  // octets that its files may still take
};

/// A directory that is not there is made; one that cannot be written is served from, and keeps nothing.
void check_state(const config::gateway_config& gateway, diagnostics& wrong, diagnostics& warnings) {
  struct stat about;
  if (::stat(gateway.state_dir.c_str(), &about) != 0) return;
  if (!S_ISDIR(about.st_mode))
    wrong.push_back({gateway.at, "gateway.state_dir", gateway.state_dir + " is no folder", {}});
  else if (::access(gateway.state_dir.c_str(), W_OK | X_OK) != 0)
    warnings.push_back({gateway.at, "gateway.state_dir",
                        gateway.state_dir + " cannot be written: " + std::strerror(errno), "a folder of its own"});
}

}  // namespace

diagnostics probe_media(const config::model& model, const store::registry& types, diagnostics& warnings) {
  diagnostics wrong;
  check_state(model.gateway, wrong, warnings);
  files all(wrong, warnings);
  for (const store_config& store : model.stores) {
    const std::size_t before = wrong.size();
    all.look_at(store, "path", "size");
    all.look_at(store, "flash.path", "flash.size");
    if (wrong.size() == before) probe_by_type(store, types, wrong);
  }
  config::sort_by_place(wrong);
  return wrong;
}

}  // namespace sluice::daemon
