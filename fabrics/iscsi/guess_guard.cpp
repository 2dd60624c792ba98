#include "fabrics/iscsi/guess_guard.hpp"

#include <algorithm>

namespace sluice::iscsi {
namespace {

std::uint64_t delay_after(unsigned failures) {
  if (failures == 0) return 0;
  const unsigned doublings = std::min(failures - 1, 10u);
  return std::min(guess_guard::first_delay_ns << doublings, guess_guard::longest_delay_ns);
}

}  // namespace

std::uint64_t guess_guard::delay_ns(const std::string& address, const std::string& initiator, bool right,
                                    std::uint64_t now_ns) {
  const std::lock_guard guard(mutex_);
  const std::string by_address = "address " + address, by_name = "name " + initiator,
                    by_both = "both " + address + " " + initiator;
  if (right) return delay_after(count_of(by_both, now_ns));
  ++failures_;
  for (const std::string* each : {&by_address, &by_name, &by_both}) count(*each, now_ns);
  return delay_after(std::max(count_of(by_address, now_ns), count_of(by_name, now_ns)));
}

std::uint64_t guess_guard::failures() const {
  const std::lock_guard guard(mutex_);
  return failures_;
}

unsigned guess_guard::count_of(const std::string& key, std::uint64_t now_ns) const {
  const auto found = entries_.find(key);
  return found == entries_.end() || now_ns - found->second.last_ns > memory_ns ? 0 : found->second.count;
}

void guess_guard::count(const std::string& key, std::uint64_t now_ns) {
  const unsigned before = count_of(key, now_ns);
  const auto [it, fresh] = entries_.try_emplace(key);
  if (fresh)
    it->second.place = by_time_.insert(by_time_.end(), key);
  else
    by_time_.splice(by_time_.end(), by_time_, it->second.place);
  it->second.count = before + 1;
  it->second.last_ns = now_ns;
  if (entries_.size() <= max_entries) return;
  entries_.erase(by_time_.front());
  by_time_.pop_front();
}

}  // namespace sluice::iscsi
