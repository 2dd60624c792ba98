#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "actors/base/result.hpp"

namespace sluice::daemon {

/// Whoever changes the gateway does so alone: turns are taken, one at a time. Any thread.
class turns {
 public:
  struct work {
    std::string what;    // "an apply of /etc/sluice/sluice.toml"
    std::string since;   // by the clock on the wall, "2026-11-28T22:30:00Z"
    std::string step;    // what it is at, in words; may be empty
    bool brief = false;  // over in a moment: waited for, and not shown
  };

  /// A turn; ends with the object.
  class turn {
   public:
    turn(turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    turn& operator=(turn&&) = delete;
    ~turn() {
      if (of_) of_->end();
    }
    /// Says what it is at.
    void tell(const std::string& step) { of_->tell(step); }

   private:
    friend class turns;
    explicit turn(turns& of) : of_(&of) {}
    turns* of_;
  };

  /// Waits until the one before is over.
  turn wait(std::string what);
  /// errc::busy, in words, when somebody is at work and does not end within a second.
  result<turn> take(std::string what);
  /// Nothing when somebody is at work. For what takes no time.
  std::optional<turn> take_briefly(std::string what);
  /// errc::busy at once, but for brief turns.
  result<turn> take_at_once(std::string what);
  /// Who is at work.
  std::optional<work> now() const;

 private:
  turn begin(std::string what, bool brief = false);
  void end();
  void tell(const std::string& step);

  mutable std::mutex guard_;
  std::condition_variable over_;
  std::optional<work> now_;
};

}  // namespace sluice::daemon
