#include "actors/observe/log_thread.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace sluice::observe {

namespace {

/// How soon the thread notices that it is to stop while nobody reads.
constexpr int look_ms = 50;

}  // namespace

log_thread::log_thread(int descriptor, std::string (*told)(std::uint64_t), std::size_t room_bytes)
    : descriptor_(descriptor), told_(told), room_bytes_(room_bytes), worker_([this] { work(); }) {}

log_thread::~log_thread() {
  {
    const std::lock_guard hold(guard_);
    stopping_ = true;
  }
  more_.notify_one();
  worker_.join();
}

void log_thread::add(std::string line) {
  {
    const std::lock_guard hold(guard_);
    if (bytes_ + line.size() > room_bytes_) {
      ++dropped_;
      return;
    }
    bytes_ += line.size();
    lines_.push_back(std::move(line));
  }
  more_.notify_one();
}

std::uint64_t log_thread::dropped() const {
  const std::lock_guard hold(guard_);
  return dropped_;
}

bool log_thread::is_stopping() const {
  const std::lock_guard hold(guard_);
  return stopping_;
}

void log_thread::drain(std::chrono::milliseconds patience) {
  std::unique_lock hold(guard_);
  empty_.wait_for(hold, patience, [this] { return bytes_ == 0; });
}

void log_thread::work() {
  std::unique_lock hold(guard_);
  for (;;) {
    more_.wait(hold, [this] { return stopping_ || !lines_.empty() || dropped_ != dropped_told_; });
    if (stopping_) return;
    std::string text;
    for (const std::string& line : lines_) text += line;
    const std::size_t bytes = text.size();
    lines_.clear();
    const std::uint64_t untold = dropped_ - std::exchange(dropped_told_, dropped_);
    hold.unlock();
    if (untold > 0) text += told_(untold);
    const bool written = write_all(text);
    hold.lock();
    bytes_ -= bytes;
    if (!written) return;
    if (bytes_ == 0) empty_.notify_all();
  }
}

/// False when it is to stop. Waits for room, rather than in a write: of a pipe that has room a piece of PIPE_BUF
/// octets does not wait.
bool log_thread::write_all(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    pollfd at{descriptor_, POLLOUT, 0};
    const int ready = ::poll(&at, 1, look_ms);
    if (is_stopping()) return false;
    if (ready <= 0) continue;
    const std::size_t piece = std::min<std::size_t>(text.size() - done, PIPE_BUF);
    const ssize_t put = ::write(descriptor_, text.data() + done, piece);
    if (put > 0) done += static_cast<std::size_t>(put);
    if (put < 0 && errno != EINTR && errno != EAGAIN) return true;  // nobody will ever read it
  }
  return true;
}

}  // namespace sluice::observe
