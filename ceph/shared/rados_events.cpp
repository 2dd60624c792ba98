#include "ceph/shared/rados_events.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

namespace sluice::shared {
namespace {

using state::cluster_event;

/// Numbers of one length, so that keys are in order.
std::string key_of(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(20 - digits.size(), '0') + digits;
}

/// 0: it is none.
std::uint64_t number_of(const std::string& key) {
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), number);
  return problem == std::errc() && end == key.data() + key.size() && key_of(number) == key ? number : 0;
}

tl::unexpected<error> unusable(const shared_object& object, int outcome) {
  return fail(outcome == -ETIMEDOUT ? errc::timeout : errc::io,
              "the cluster's object \"" + object.name() + "\" cannot be used: " + cluster::text_of(outcome));
}

}  // namespace

result<shared_object> rados_events::object(const std::string& gateway) const {
  const auto in = membership_->now();
  if (!in) return fail(errc::closed, "this gateway is no member of its cluster now");
  return shared_object(in->pool, membership_->options().name + ".events." + gateway);
}

/// Goes on where a former life of this gateway ended.
result<void> rados_events::find_next(const shared_object& in) {
  const auto [outcome, table] = in.read_now();
  if (outcome < 0 && outcome != -ENOENT) return unusable(in, outcome);
  next_ = 1;
  for (const auto& [key, line] : table) next_ = std::max(next_, number_of(key) + 1);
  first_ = next_;
  for (const auto& [key, line] : table)
    if (const std::uint64_t number = number_of(key); number != 0) first_ = std::min(first_, number);
  return {};
}

result<void> rados_events::add(const std::vector<cluster_event>& events) {
  const auto in = object(membership_->options().gateway);
  if (!in) return tl::unexpected(in.error());
  if (next_ == 0)
    if (auto found = find_next(*in); !found) return found;
  object_change adding;
  std::uint64_t next = next_, first = first_;
  for (const cluster_event& each : events)
    adding.sets[key_of(next++)] = each.time + " " + each.what.substr(0, max_text);
  for (; first + events_kept < next; ++first) adding.removes.push_back(key_of(first));
  if (const int outcome = in->change_now(adding); outcome < 0) {
    next_ = 0;  // it may have been done: then those lines are there twice
    return unusable(*in, outcome);
  }
  next_ = next;
  first_ = first;
  return {};
}

result<std::vector<cluster_event>> rados_events::from(const std::string& gateway, std::uint64_t number) {
  const auto in = object(gateway);
  if (!in) return tl::unexpected(in.error());
  const auto [outcome, table] =
      in->read_now(shared_object::patience, {.prefix = {}, .after = number > 1 ? key_of(number - 1) : ""});
  if (outcome == -ENOENT) return std::vector<cluster_event>{};
  if (outcome < 0) return unusable(*in, outcome);
  std::vector<cluster_event> found;
  for (const auto& [key, line] : table) {
    const std::size_t space = line.find(' ');
    if (number_of(key) == 0 || space == std::string::npos) continue;  // no line of ours
    found.push_back({gateway, number_of(key), line.substr(0, space), line.substr(space + 1)});
  }
  return found;
}

}  // namespace sluice::shared
