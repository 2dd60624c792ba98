#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "actors/base/result.hpp"

namespace sluice::state {

/// A line of the log of one gateway of a cluster.
struct cluster_event {
  std::string gateway;
  std::uint64_t number = 0;  // of that gateway, from 1, through all its lives
  std::string time;          // UTC, by its clock: "2026-11-28T22:30:00.123Z"
  std::string what;
  bool operator==(const cluster_event&) const = default;
};

/// What happened lately on each gateway of a cluster, kept where all see it: what a gateway told before it died as
/// well. Its calls block, for some seconds at most; any thread but a loop's.
class cluster_events {
 public:
  static constexpr std::uint64_t events_kept = 1024;  // of each gateway, the newest
  static constexpr std::size_t max_text = 4096;       // of `what`; the rest is cut

  virtual ~cluster_events() = default;
  /// Adds to this gateway's own, which gives them their numbers; at most events_kept. One thread at a time.
  virtual result<void> add(const std::vector<cluster_event>& events) = 0;
  /// A gateway's events from that number on, in order.
  virtual result<std::vector<cluster_event>> from(const std::string& gateway, std::uint64_t number) = 0;
};

}  // namespace sluice::state
