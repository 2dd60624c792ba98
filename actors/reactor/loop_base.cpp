#include "actors/reactor/loop_base.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "actors/reactor/files.hpp"
#include "actors/reactor/hand_over.hpp"
#include "actors/reactor/sockets.hpp"

namespace sluice::reactor {

static thread_local const loop_base* running_loop = nullptr;

static std::uint64_t monotonic_ns() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * ns_per_s + static_cast<std::uint64_t>(now.tv_nsec);
}

loop_base::loop_base(const loop_options& options)
    : options_(options), epoch_ns_(monotonic_ns()), wake_(::eventfd(0, EFD_CLOEXEC)), buffers_(options.buffer_bytes) {}

loop_base::~loop_base() {
  // What is still queued is not touched: its owners may be gone already.
  if (wake_ >= 0) ::close(wake_);
}

bool loop_base::runs_here() const noexcept {
  return running_loop == this;
}

std::uint64_t loop_base::now_ns() noexcept {
  return monotonic_ns();
}

std::uint64_t loop_base::random() noexcept {
  if (entropy_left_ == 0) {
    SLUICE_CHECK(::getrandom(entropy_.data(), sizeof entropy_, 0) == static_cast<ssize_t>(sizeof entropy_));
    entropy_left_ = entropy_.size();
  }
  return std::exchange(entropy_[--entropy_left_], 0);
}

void loop_base::run() {
  SLUICE_CHECK(running_loop == nullptr);
  SLUICE_CHECK(own_thread_ == std::thread::id() || own_thread_ == std::this_thread::get_id());
  running_loop = this;
  own_thread_ = std::this_thread::get_id();
  if (options_.core >= 0) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<unsigned>(options_.core), &only);
    ::pthread_setaffinity_np(::pthread_self(), sizeof only, &only);  // make_loop() checked that the core is ours
  }
  enter();
  last_work_ns_ = now_ns();
  while (!stopping_.load(std::memory_order_acquire)) turn();
  run_posted();  // what was posted before stop() still runs
  stopping_.store(false, std::memory_order_release);
  leave();
  running_loop = nullptr;
}

void loop_base::turn() noexcept {
  unsigned worked = gather();
  worked += completed_.run();
  worked += run_posted();
  worked += run_timers();
  worked += deferred_.run(run_limit);
  worked += turn_end_.run(~0u);
  if (worked && options_.spin_ns) last_work_ns_ = now_ns();
}

bool loop_base::has_work() const {
  return !deferred_.empty() || !turn_end_.empty() || !completed_.empty() || posted_.load(std::memory_order_relaxed) ||
         stopping_.load(std::memory_order_relaxed);
}

unsigned loop_base::gather() noexcept {
  const bool spins = options_.spin_ns != 0 && spins_to_skip_ == 0;
  if (!spins && !has_work()) {
    if (spins_to_skip_) --spins_to_skip_;
    return sleep();  // one system call hands over and waits
  }
  if (const unsigned completed = collect(); completed || !spins || has_work()) return completed;
  // Spinning pays only where work comes soon and the core is free: each failure in a row doubles the pause until the
  // next try, so that a busy host or a slow client costs next to nothing.
  if (spin(last_work_ns_ + options_.spin_ns)) {
    spins_failed_ = 0;
    return collect();
  }
  spins_failed_ = std::min(spins_failed_ + 1, 8u);
  spins_to_skip_ = (1u << spins_failed_) - 1;
  return sleep();
}

bool loop_base::spin(std::uint64_t until_ns) noexcept {
  const std::optional<std::uint64_t> tick = timers_.next_tick();
  const std::uint64_t due_ns = tick ? epoch_ns_ + *tick * tick_ns : ~std::uint64_t{0};
  for (;;) {
    for (int i = 0; i < 4; ++i) {
      if (collectable() || has_work()) return true;
      __builtin_ia32_pause();
    }
    const std::uint64_t now = now_ns();
    if (now >= due_ns) return true;
    if (now >= until_ns) return false;
  }
}

unsigned loop_base::sleep() noexcept {
  std::optional<std::uint64_t> until_ns;
  if (const std::optional<std::uint64_t> tick = timers_.next_tick()) until_ns = epoch_ns_ + *tick * tick_ns;
  // Either a poster sees the flag and wakes us, or we see what it posted: both sides store first, then look.
  asleep_.store(true, std::memory_order_seq_cst);
  if (posted_.load(std::memory_order_seq_cst) || stopping_.load(std::memory_order_seq_cst)) until_ns = 0;
  const unsigned completed = collect_waiting(until_ns);
  asleep_.store(false, std::memory_order_relaxed);
  return completed;
}

void loop_base::wake() noexcept {
  if (!asleep_.load(std::memory_order_seq_cst) || !asleep_.exchange(false)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

void loop_base::stop() noexcept {
  stopping_.store(true, std::memory_order_seq_cst);
  wake();
}

void loop_base::post(runnable& work) noexcept {
  runnable* newest = posted_.load(std::memory_order_relaxed);
  do work.next_ = newest;
  while (!posted_.compare_exchange_weak(newest, &work, std::memory_order_seq_cst, std::memory_order_relaxed));
  wake();
}

unsigned loop_base::run_posted() noexcept {
  if (!posted_.load(std::memory_order_relaxed)) return 0;
  runnable* newest = posted_.exchange(nullptr, std::memory_order_acquire);
  runnable* oldest = nullptr;
  while (newest) {
    runnable* next = newest->next_;
    newest->next_ = oldest;
    oldest = newest;
    newest = next;
  }
  unsigned count = 0;
  while (oldest) {
    runnable* next = std::exchange(oldest->next_, nullptr);
    oldest->run();
    oldest = next;
    ++count;
  }
  return count;
}

unsigned loop_base::run_timers() noexcept {
  if (timers_.empty()) return 0;
  return timers_.advance((now_ns() - epoch_ns_) / tick_ns);
}

void loop_base::arm(timer& t, std::uint64_t delay_ns) noexcept {
  const std::uint64_t since_epoch = now_ns() - epoch_ns_;
  const std::uint64_t until =
      delay_ns < ~std::uint64_t{0} - since_epoch - tick_ns ? since_epoch + delay_ns : ~std::uint64_t{0} - tick_ns;
  // An empty wheel stands still: bring it up to date, so that the timer starts on the level it deserves.
  if (timers_.empty()) timers_.advance(since_epoch / tick_ns);
  timers_.arm(t, (until + tick_ns - 1) / tick_ns);
}

result<handle> loop_base::listen(const endpoint& where, int backlog) {
  return socket_listen(where, backlog);
}
result<endpoint> loop_base::local_endpoint(handle h) {
  return socket_local(h);
}
result<endpoint> loop_base::peer_endpoint(handle h) {
  return socket_peer(h);
}
std::int64_t loop_base::receive_now(handle h, bytes into) noexcept {
  return socket_receive(h, into);
}
std::int64_t loop_base::send_now(handle h, const iovec* parts, unsigned count) noexcept {
  return socket_send(h, parts, count);
}
void loop_base::shutdown(handle h) noexcept {
  socket_shutdown(h);
}
void hand_over_socket(loop& from, handle h) noexcept {
  if (auto* const real = dynamic_cast<loop_base*>(&from)) real->forget_socket(h);  // a simulated one keeps nothing
}

void loop_base::close(handle h) noexcept {
  ::close(h);
}
result<handle> loop_base::open_file(const std::string& path, open_flags flags) {
  return file_open(path, flags);
}
result<handle> loop_base::open_memory(std::uint64_t size_bytes) {
  return memory_open(size_bytes);
}
result<file_info> loop_base::info(handle h) {
  return file_describe(h);
}
result<void> loop_base::resize_file(handle h, std::uint64_t size_bytes) {
  return file_resize(h, size_bytes);
}
result<std::uint64_t> loop_base::read_now(handle h, bytes to, std::uint64_t offset) {
  return file_read(h, to, offset);
}
result<void> loop_base::write_now(handle h, const_bytes from, std::uint64_t offset) {
  return file_write(h, from, offset);
}
result<void> loop_base::sync_now(handle h) {
  return file_sync(h);
}
result<std::string> loop_base::attribute_of(handle h, const std::string& name) {
  return file_attribute(h, name);
}
result<void> loop_base::set_attribute(handle h, const std::string& name, const std::string& text) {
  return file_set_attribute(h, name, text);
}

}  // namespace sluice::reactor
