#include "gateway/daemon/event_keeper.hpp"

#include <algorithm>
#include <utility>

#include "actors/observe/recent.hpp"

namespace sluice::daemon {

using nlohmann::json;

namespace {

constexpr std::chrono::milliseconds bringing_period{500};

}  // namespace

event_keeper::event_keeper(std::shared_ptr<const state::cluster_authority> of,
                           std::shared_ptr<state::cluster_events> to)
    : of_(std::move(of)), to_(std::move(to)), thread_([this] { work(); }) {}

event_keeper::~event_keeper() {
  stop();
}

void event_keeper::stop() {
  {
    const std::lock_guard hold(guard_);
    ends_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void event_keeper::work() {
  std::unique_lock hold(guard_);
  for (bool last = false; !last;) {
    last = wake_.wait_for(hold, bringing_period, [this] { return ends_; });
    hold.unlock();
    if (of_->term().holds()) bring();
    hold.lock();
  }
}

void event_keeper::bring() {
  std::uint64_t next = 0;
  std::vector<state::cluster_event> events;
  for (observe::recent_line& line : observe::recent().from(next_, next))
    events.push_back({{}, 0, std::move(line.time), std::move(line.what)});
  // What it says itself of a cluster that does not answer is no reason to try again.
  if (events.empty() || to_->add(events)) next_ = next;
}

result<json> event_keeper::look(const std::vector<std::string>& gateways,
                                const std::map<std::string, std::uint64_t>& since) const {
  std::vector<state::cluster_event> all;
  json next = json::object();
  for (const std::string& gateway : gateways) {
    const auto known = since.find(gateway);
    const std::uint64_t first = known == since.end() ? 1 : known->second;
    auto found = to_->from(gateway, first);
    if (!found) return tl::unexpected(found.error());
    next[gateway] = found->empty() ? first : found->back().number + 1;
    all.insert(all.end(), std::make_move_iterator(found->begin()), std::make_move_iterator(found->end()));
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.time < b.time; });
  json events = json::array();
  for (const auto& each : all)
    events.push_back({{"gateway", each.gateway}, {"number", each.number}, {"time", each.time}, {"what", each.what}});
  return json{{"events", std::move(events)}, {"next", std::move(next)}};
}

}  // namespace sluice::daemon
