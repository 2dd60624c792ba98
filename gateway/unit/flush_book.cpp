#include "gateway/unit/flush_book.hpp"

#include <algorithm>

namespace sluice::unit {

std::uint64_t flush_book::begin() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t flush = ++begun_;
  running_.push_back(flush);
  return flush;
}

void flush_book::end(std::uint64_t flush, flush_end how) {
  const std::lock_guard lock(mutex_);
  std::erase(running_, flush);
  if (how == flush_end::failed) {
    mark();  // what it was to write may stay in the cache, acknowledged or not
    before_.push_back(durable_);
    if (before_.size() > failures_kept) before_.pop_front();
    ++failures_;
    std::erase_if(unproven_, [flush](const unproven& u) { return flush <= u.beside; });
  } else if (how == flush_end::good) {
    unproven_.push_back({flush, begun_.load()});
  }
  prove();
}

void flush_book::prove() {
  const auto ran_alone = [this](const unproven& u) {
    return std::none_of(running_.begin(), running_.end(), [&u](std::uint64_t r) { return r <= u.beside; });
  };
  for (const unproven& u : unproven_)
    if (ran_alone(u)) durable_ = std::max(durable_.load(), u.flush);
  std::erase_if(unproven_, ran_alone);
}

std::optional<flush_book::failure> flush_book::failed_since(std::uint64_t seen) const {
  if (failures_.load() == seen) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const std::uint64_t number = failures_.load();
  const std::uint64_t unseen = number - seen;
  return failure{number, unseen <= before_.size() ? before_[before_.size() - unseen] : 0};
}

}  // namespace sluice::unit
