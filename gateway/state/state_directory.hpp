#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "actors/base/result.hpp"

namespace sluice::state {

/// The folder of a gateway's state: held by one process at a time, with the number of the last change that was
/// acknowledged beside the database. It is written in place, so that a full file system takes it too, and by it
/// a database that has lost such changes is told: a log whose reading stops at a flipped bit looks like one whose
/// end was never written.
class state_directory {
 public:
  /// Makes the folder (mode 0700) when it is absent. errc::busy when another gateway has it.
  static result<state_directory> take(const std::string& path);
  state_directory(state_directory&& other) noexcept;
  state_directory& operator=(state_directory&&) = delete;
  ~state_directory();

  const std::string& path() const { return path_; }
  /// nullopt: none was ever noted. errc::corrupt when what was noted cannot be read.
  result<std::optional<std::uint64_t>> last_change() const;
  /// Durable when it returns.
  result<void> note_change(std::uint64_t number);

 private:
  state_directory(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string marker_path() const { return path_ + "/last-change"; }

  std::string path_;
  int fd_ = -1;    // carries the lock
  int note_ = -1;  // opened with the first note
};

}  // namespace sluice::state
