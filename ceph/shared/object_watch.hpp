#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ceph/shared/shared_object.hpp"

namespace sluice::shared {

/// One watch of one object, for as long as the cluster keeps it. Made and dropped by any thread: what blocks is done by
/// the connection's helper.
class object_watch : public std::enable_shared_from_this<object_watch> {
 public:
  /// Called on threads of librados; not any more when the watch is dropped, but for one that runs already. They must
  /// not block.
  struct callbacks {
    /// Somebody has something to say: answer(number, ...) it.
    std::function<void(std::uint64_t number, std::string text)> said;
    /// The watch holds, or it is lost; begin anew.
    std::function<void()> holds, lost;
  };

  static std::shared_ptr<object_watch> begin(shared_object of, callbacks to);
  ~object_watch();
  object_watch(const object_watch&) = delete;
  object_watch& operator=(const object_watch&) = delete;

  /// Any thread.
  void answer(std::uint64_t number, const std::string& text) const;

 private:
  /// What librados knows, until it has forgotten it.
  struct link;
  explicit object_watch(shared_object of) : of_(std::move(of)) {}

  const shared_object of_;
  std::shared_ptr<link> link_;
};

/// Says `text` to all who watch, and waits for their answers, `limit` at most: those that came, on a thread of
/// librados.
void tell_watchers(const shared_object& of, const std::string& text, std::chrono::milliseconds limit,
                   std::function<void(std::vector<std::string>)> answers);

}  // namespace sluice::shared
