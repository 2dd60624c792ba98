#pragma once
#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>

#include "gateway/scsi/outcome.hpp"

/// Commands with more than one step are coroutines: straight-line code that waits for the medium, the fabric and the
/// home.
namespace sluice::unit {

class shard;
struct command;

/// Frames of jobs, kept per core and used again, so that a warm shard allocates nothing.
class frame_pool {
 public:
  static void* take(std::size_t octets);
  static void put_back(void* frame, std::size_t octets) noexcept;
};

/// Runs at once up to its first wait, frees itself at its end, and then ends its command with what it returned. Every
/// job takes (shard&, command&).
class job {
 public:
  class promise_type {
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
    static void* operator new(std::size_t octets) { return frame_pool::take(octets); }
    static void operator delete(void* frame, std::size_t octets) noexcept { frame_pool::put_back(frame, octets); }

   private:
    shard& owner_;
    command& subject_;
    scsi::outcome outcome_;
  };
};

}  // namespace sluice::unit
