#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sluice::store {

/// What a look under a name found.
struct path_finding {
  std::string trouble;           // "was removed", "was replaced"; empty: the file lies there still
  std::uint64_t size_bytes = 0;  // of a regular file, when there is no trouble
};

/// Looks twice a second under a name whether the file that lies there now stays there, until the result is dropped;
/// where more than 256 are watched, each has its turn, so that looking costs no more. A last call may still be under
/// way then. `found` is called on a thread that all watches share, which is the only one to wait for a file system that
/// does not answer. Null when nothing lies there.
std::shared_ptr<const void> watch_path(const std::string& path, std::function<void(const path_finding&)> found);

}  // namespace sluice::store
