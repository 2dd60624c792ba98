#include "gateway/daemon/turns.hpp"

#include <chrono>
#include <ctime>

namespace sluice::daemon {

namespace {

std::string wall_clock() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

/// With the guard held.
turns::turn turns::begin(std::string what, bool brief) {
  now_ = work{std::move(what), wall_clock(), {}, brief};
  return turn(*this);
}

turns::turn turns::wait(std::string what) {
  std::unique_lock hold(guard_);
  over_.wait(hold, [this] { return !now_; });
  return begin(std::move(what));
}

result<turns::turn> turns::take(std::string what) {
  {
    std::unique_lock hold(guard_);
    over_.wait_for(hold, std::chrono::seconds(1), [this] { return !now_; });
  }
  return take_at_once(std::move(what));
}

result<turns::turn> turns::take_at_once(std::string what) {
  std::unique_lock hold(guard_);
  over_.wait_for(hold, std::chrono::seconds(1), [this] { return !now_ || !now_->brief; });
  if (!now_) return begin(std::move(what));
  return fail(errc::busy, now_->what + " is under way since " + now_->since +
                              (now_->step.empty() ? std::string() : " (" + now_->step + ")") + ": try again");
}

std::optional<turns::turn> turns::take_briefly(std::string what) {
  const std::lock_guard hold(guard_);
  if (now_) return std::nullopt;
  return begin(std::move(what), true);
}

std::optional<turns::work> turns::now() const {
  const std::lock_guard hold(guard_);
  return now_ && now_->brief ? std::nullopt : now_;
}

void turns::end() {
  {
    const std::lock_guard hold(guard_);
    now_.reset();
  }
  over_.notify_all();
}

void turns::tell(const std::string& step) {
  const std::lock_guard hold(guard_);
  if (now_) now_->step = step;
}

}  // namespace sluice::daemon
