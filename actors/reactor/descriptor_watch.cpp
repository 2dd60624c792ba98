#include "actors/reactor/descriptor_watch.hpp"

namespace sluice::reactor {

void descriptor_watch::start(handle foreign, unsigned events) {
  SLUICE_CHECK(!watching_);
  watching_ = true;
  stopping_ = false;
  foreign_ = foreign;
  events_ = events;
  loop_.poll(*this, foreign_, events_);
}

void descriptor_watch::stop() noexcept {
  if (!watching_ || stopping_) return;
  stopping_ = true;
  if (in_flight()) loop_.cancel(*this);
}

void descriptor_watch::on_complete(std::int64_t result) noexcept {
  if (!stopping_ && result >= 0) on_ready(static_cast<unsigned>(result));
  if (!stopping_ && result >= 0) return loop_.poll(*this, foreign_, events_);
  // What a poll found just before it was cancelled is nobody's any more.
  const std::int64_t problem = stopping_ ? 0 : result;
  watching_ = stopping_ = false;
  on_stopped(problem);
}

}  // namespace sluice::reactor
