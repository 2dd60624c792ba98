#include "gateway/unit/nexus_attentions.hpp"

#include <algorithm>

namespace sluice::unit {

namespace {
constexpr std::size_t orders_remembered = 256;
}

bool shared_attentions::empty() const {
  const std::lock_guard lock(mutex_);
  return queue_.empty();
}

std::optional<scsi::additional_sense> shared_attentions::take() {
  const std::lock_guard lock(mutex_);
  return queue_.take();
}

void shared_attentions::drop(scsi::additional_sense code) {
  const std::lock_guard lock(mutex_);
  queue_.drop(code);
}

void shared_attentions::establish(scsi::additional_sense code) {
  const std::lock_guard lock(mutex_);
  queue_.establish(code);
}

bool shared_attentions::establish(scsi::additional_sense code, attention_source from, std::uint64_t order) {
  const std::lock_guard lock(mutex_);
  const auto same = [&](const carried_out& c) { return c.from == from && c.order == order && c.code == code; };
  if (std::any_of(carried_out_.begin(), carried_out_.end(), same)) return false;
  if (carried_out_.size() == orders_remembered) carried_out_.pop_front();
  carried_out_.push_back({from, order, code});
  return queue_.establish(code);
}

attention_book::joined attention_book::join(std::uint64_t nexus_id) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<shared_attentions>& queue = by_nexus_[nexus_id];
  if (!queue) queue = std::make_shared<shared_attentions>();
  return {queue, queue->shards_++ == 0};
}

bool attention_book::leave(std::uint64_t nexus_id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_nexus_.find(nexus_id);
  if (--found->second->shards_ != 0) return false;
  by_nexus_.erase(found);
  return true;
}

std::optional<scsi::additional_sense> nexus_attentions::take() {
  return shared_ ? shared_->take() : own_.take();
}

}  // namespace sluice::unit
