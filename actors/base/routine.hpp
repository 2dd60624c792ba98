#pragma once
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "actors/base/check.hpp"
#include "actors/base/frame_pool.hpp"

/// Straight-line code for what waits more than once. A coroutine waits for one party at a time, which resumes it on the
/// thread of its own core: no locks, no scheduler. Nothing throws out of one.
namespace sluice {

/// Where the routine of an object waits. Whoever it waits for calls resume(), never from within the call that made it
/// wait. A routine that still waits when its object goes (a simulated machine has crashed) goes with it.
class waiting_place {
 public:
  waiting_place() = default;
  waiting_place(const waiting_place&) = delete;
  waiting_place& operator=(const waiting_place&) = delete;
  ~waiting_place() {
    if (link* const left = std::exchange(routine_, nullptr)) left->frame.destroy();
  }

  void wait(std::coroutine_handle<> who) noexcept { who_ = who; }
  void resume() noexcept { std::exchange(who_, {}).resume(); }
  /// The routine waits for nothing more, and does not touch the object when it ends: what comes next may free the
  /// object, hand it to another thread, or begin another routine of it.
  void let_go() noexcept {
    if (link* const left = std::exchange(routine_, nullptr)) left->place = nullptr;
  }

 private:
  friend class routine;
  struct link {
    waiting_place* place;
    std::coroutine_handle<> frame;
  };
  link* routine_ = nullptr;
  std::coroutine_handle<> who_;  // the routine, or what it calls
};

/// A coroutine that nobody waits for: a member function of a class with `waiting_place& waiting()`. It runs at once up
/// to its first wait, and frees itself at its end. An object has one at a time.
class routine {
 public:
  class promise_type : public pooled_frame, waiting_place::link {
   public:
    template <class Object, class... Arguments>
    explicit promise_type(Object& of, Arguments&&...) noexcept
        : link{&of.waiting(), std::coroutine_handle<promise_type>::from_promise(*this)} {
      SLUICE_CHECK(!place->routine_);
      place->routine_ = this;
    }
    ~promise_type() {
      if (place) place->routine_ = nullptr;
    }
    routine get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
};

namespace detail {

template <class T>
struct returned {
  T value{};
  void return_value(T result) noexcept { value = std::move(result); }
};
template <>
struct returned<void> {
  void return_void() noexcept {}
};

}  // namespace detail

/// A coroutine that another one waits for, at once and once: `co_await f()`. It runs at once too, so that one that has
/// nothing to wait for costs its caller neither a turn nor stack, however often it is called. Not in a condition: GCC
/// 12 takes a coroutine without local variables for done there (findings/gcc-co-await-in-a-condition.sh; a lint looks).
template <class T = void>
class [[nodiscard]] subroutine {
 public:
  struct promise_type : pooled_frame, detail::returned<T> {
    std::coroutine_handle<> caller;

    subroutine get_return_object() noexcept {
      return subroutine(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    struct ending {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        const std::coroutine_handle<> waits = self.promise().caller;
        return waits ? waits : std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    ending final_suspend() noexcept { return {}; }
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };

  subroutine(subroutine&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  subroutine& operator=(subroutine&&) = delete;
  ~subroutine() {
    if (frame_) frame_.destroy();
  }

  bool await_ready() const noexcept { return frame_.done(); }
  void await_suspend(std::coroutine_handle<> caller) noexcept { frame_.promise().caller = caller; }
  T await_resume() const noexcept {
    if constexpr (!std::is_void_v<T>) return std::move(frame_.promise().value);
  }

 private:
  explicit subroutine(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

/// `co_await until(place, begin)`: begins something whose end calls place.resume().
template <class Begin>
class until {
 public:
  until(waiting_place& place, Begin begin) : place_(place), begin_(std::move(begin)) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    place_.wait(self);
    begin_();
  }
  void await_resume() const noexcept {}

 private:
  waiting_place& place_;
  Begin begin_;
};

}  // namespace sluice
