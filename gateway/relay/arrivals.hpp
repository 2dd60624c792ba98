#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "actors/base/global_id.hpp"

namespace sluice::relay {

/// The incoming links of all cores, by where they come from: a newer one of the same place ends the earlier ones, and
/// is welcome when nothing is left of them. Any thread.
class arrivals {
 public:
  using place = std::pair<gateway_id, unsigned>;  // a gateway, and a core of it

  /// `end` and `welcome` may be called on any thread, once at most, and only post.
  void enter(const place& from, std::uint64_t link, std::function<void()> end, std::function<void()> welcome);
  /// Nothing is left of it.
  void leave(const place& from, std::uint64_t link);

 private:
  struct entry {
    std::uint64_t link;
    std::function<void()> end, welcome;  // empty: called
  };
  std::mutex guard_;
  std::map<place, std::deque<entry>> all_;
};

}  // namespace sluice::relay
