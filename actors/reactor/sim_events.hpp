#pragma once
#include <map>
#include <memory>
#include <vector>

#include "actors/reactor/simulated.hpp"

namespace sluice::reactor {

/// Events of a simulated world, and what polls them. Handles that were passed on share one event.
class sim_events {
 public:
  struct event {
    std::uint64_t count = 0;
  };
  using shared = std::shared_ptr<event>;
  using several = std::vector<shared>;

  explicit sim_events(sim_world& world) : world_(world) {}

  handle adopt(std::uint64_t loop, shared of);
  /// Null when it is no event.
  shared find(handle h) const;
  std::int64_t signal(handle h);
  std::int64_t drain(handle h);
  void poll(std::uint64_t request, handle h, unsigned events);
  void cancelled(std::uint64_t request) { polls_.erase(request); }
  void close(handle h);
  void crash(std::uint64_t loop);
  std::size_t size() const { return handles_.size(); }

 private:
  struct opened {
    std::uint64_t loop;
    shared of;
  };
  struct waiting {
    handle on;
    unsigned events;
  };
  void look_later(std::uint64_t request);

  sim_world& world_;
  std::map<handle, opened> handles_;
  std::map<std::uint64_t, waiting> polls_;  // by request
};

}  // namespace sluice::reactor
