#pragma once
#include <coroutine>
#include <exception>

#include "actors/base/frame_pool.hpp"
#include "gateway/scsi/outcome.hpp"

/// Commands with more than one step are coroutines: straight-line code that waits for the medium, the fabric and the
/// coordinator.
namespace sluice::unit {

class shard;
struct command;

/// Runs at once up to its first wait, frees itself at its end, and then ends its command with what it returned. Every
/// job takes (shard&, command&).
class job {
 public:
  class promise_type : public pooled_frame {
   public:
    promise_type(shard& owner, command& subject) : owner_(owner), subject_(subject) {}
    job get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    struct ending {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept;
      void await_resume() noexcept {}
    };
    ending final_suspend() noexcept { return {}; }
    void return_value(const scsi::outcome& outcome) noexcept { outcome_ = outcome; }
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }

   private:
    shard& owner_;
    command& subject_;
    scsi::outcome outcome_;
  };
};

}  // namespace sluice::unit
