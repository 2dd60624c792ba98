#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "config/schema/model.hpp"
#include "gateway/control/views.hpp"

namespace sluice::daemon {

/// A place that the gateway writes to.
struct place {
  std::string of;    // the key that names it
  std::string path;  // absolute
  bool operator==(const place&) const = default;
};

/// The state directory, and what keys of stores name that are called path.
std::vector<place> places_of(const config::model& model);

/// How much room there is in file systems. Only when somebody asks does a thread of its own look, which alone waits for
/// a file system that does not answer. Any thread, several at a time.
class free_space {
 public:
  /// What is told is no older, unless a file system takes its time.
  static constexpr std::chrono::seconds good_for{1};
  static constexpr std::chrono::milliseconds patience{20};

  free_space();
  ~free_space();
  free_space(const free_space&) = delete;
  free_space& operator=(const free_space&) = delete;

  /// Nothing of places that are not there, or are devices. Waits for `patience` at most: then what was found before.
  std::vector<control::view::file_system> look(const std::vector<place>& at);

 private:
  struct shared;
  const std::shared_ptr<shared> shared_;  // the thread's, too: it may be stuck when this goes
};

}  // namespace sluice::daemon
