#include "actors/reactor/sim_loop.hpp"

#include <memory>
#include <vector>

#include "actors/reactor/posted_function.hpp"
#include "actors/reactor/sim_datagrams.hpp"
#include "actors/reactor/sim_disk.hpp"
#include "actors/reactor/sim_events.hpp"
#include "actors/reactor/sim_network.hpp"

namespace sluice::reactor {

static constexpr std::uint64_t never = ~std::uint64_t{0};

sim_loop::sim_loop(sim_world& world, unsigned index, std::uint64_t buffer_bytes)
    : world_(world),
      index_(index),
      number_(world.next_loop_++),
      epoch_ns_(world.now_ns()),
      buffers_(buffer_bytes),
      messages_(world, *this),
      next_turn_ns_(never) {
  world_.loops_.emplace(number_, this);
}

sim_loop::~sim_loop() {
  world_.retire(number_);
}

void sim_loop::wake_at(std::uint64_t when_ns) {
  if (when_ns >= next_turn_ns_) return;
  next_turn_ns_ = when_ns;
  world_.at(when_ns, [&world = world_, number = number_, when_ns] {
    const auto found = world.loops_.find(number);
    if (found == world.loops_.end() || found->second->next_turn_ns_ != when_ns)
      return;  // gone, or had its turn earlier
    found->second->turn();
  });
}

void sim_loop::wake() {
  wake_at(world_.now_ns() + world_.draw(world_.options_.turn_latency_ns));
}

void sim_loop::wake_for_timers() {
  if (const std::optional<std::uint64_t> tick = timers_.next_tick()) wake_at(epoch_ns_ + *tick * tick_ns);
}

void sim_loop::turn() {
  next_turn_ns_ = never;
  world_.note(number_);
  world_.running_ = this;
  completed_.run();
  posted_.run(~0u);
  timers_.advance((world_.now_ns() - epoch_ns_) / tick_ns);
  deferred_.run(run_limit);
  turn_end_.run(~0u);
  world_.running_ = nullptr;
  if (!deferred_.empty() || !turn_end_.empty() || !posted_.empty() || !completed_.empty()) wake();
  wake_for_timers();
}

void sim_loop::deliver(operation& op, std::int64_t result) {
  world_.note(static_cast<std::uint64_t>(result));
  completed_.push(op, result);
  wake();
}

/// What ran nowhere is nobody's any more: functions go when nothing of the loop's can reach them.
void sim_loop::forget() {
  std::vector<std::unique_ptr<posted_function>> lost;
  while (!posted_.empty())
    if (auto* const function = dynamic_cast<posted_function*>(posted_.pop())) lost.emplace_back(function);
  completed_.clear();
  deferred_.clear();
  turn_end_.clear();
  timers_.clear();
  next_turn_ns_ = never;
}

void sim_loop::run() {
  while (!stopping_ && world_.step()) {
  }
  stopping_ = false;
}

void sim_loop::defer(runnable& work) noexcept {
  deferred_.push(work);
  wake();
}

void sim_loop::at_turn_end(runnable& work) noexcept {
  turn_end_.push(work);
  wake();
}

void sim_loop::post(runnable& work) noexcept {
  posted_.push(work);
  wake();
}

void sim_loop::arm(timer& t, std::uint64_t delay_ns) noexcept {
  const std::uint64_t since_epoch = world_.now_ns() - epoch_ns_;
  if (timers_.empty()) timers_.advance(since_epoch / tick_ns);
  const std::uint64_t until = delay_ns < never - since_epoch - tick_ns ? since_epoch + delay_ns : never - tick_ns;
  timers_.arm(t, (until + tick_ns - 1) / tick_ns);
  wake_for_timers();
}

result<handle> sim_loop::listen(const endpoint& where, int backlog) {
  return world_.network().listen(*this, where, backlog);
}
result<endpoint> sim_loop::local_endpoint(handle h) {
  return world_.network().local(h);
}
result<endpoint> sim_loop::peer_endpoint(handle h) {
  return world_.network().peer(h);
}

void sim_loop::accept(operation& op, handle listener) noexcept {
  world_.network().accept(world_.begin_request(*this, op), listener);
}
void sim_loop::connect(operation& op, const endpoint& to) noexcept {
  world_.network().connect(*this, world_.begin_request(*this, op), to);
}
void sim_loop::receive(operation& op, handle h, bytes into) noexcept {
  world_.network().receive(*this, world_.begin_request(*this, op), h, into);
}
std::int64_t sim_loop::receive_now(handle h, bytes into) noexcept {
  return world_.network().receive_now(*this, h, into);
}
std::int64_t sim_loop::send_now(handle h, const iovec* parts, unsigned count) noexcept {
  if (world_.datagrams().has(h)) return world_.datagrams().send(h, parts, count);
  return world_.network().send(*this, h, parts, count);
}
void sim_loop::wait_readable(operation& op, handle h) noexcept {
  const std::uint64_t request = world_.begin_request(*this, op);
  if (world_.datagrams().has(h)) return world_.datagrams().wait_readable(request, h);
  world_.network().wait_readable(*this, request, h);
}
void sim_loop::wait_writable(operation& op, handle h) noexcept {
  const std::uint64_t request = world_.begin_request(*this, op);
  if (world_.datagrams().has(h)) return world_.datagrams().wait_writable(request);
  world_.network().wait_writable(request, h);
}
void sim_loop::poll(operation& op, handle foreign, unsigned events) noexcept {
  world_.events().poll(world_.begin_request(*this, op), foreign, events);
}
void sim_loop::shutdown(handle h) noexcept {
  world_.network().shutdown(h);
}
void sim_loop::close(handle h) noexcept {
  world_.network().close(h);
  world_.disk().close(h);
  world_.events().close(h);
  world_.datagrams().close(h);
}

result<handle> sim_loop::open_file(const std::string& path, open_flags flags) {
  return world_.disk().open(*this, path, flags);
}
result<handle> sim_loop::open_memory(std::uint64_t size_bytes) {
  return world_.disk().open_memory(*this, size_bytes);
}
result<file_info> sim_loop::info(handle h) {
  return world_.disk().info(h);
}
result<void> sim_loop::resize_file(handle h, std::uint64_t size_bytes) {
  return world_.disk().resize(h, size_bytes);
}
result<std::uint64_t> sim_loop::read_now(handle h, bytes to, std::uint64_t offset) {
  return world_.disk().read_at_once(h, to, offset);
}
result<void> sim_loop::write_now(handle h, const_bytes from, std::uint64_t offset) {
  return world_.disk().write_at_once(h, from, offset);
}
result<void> sim_loop::sync_now(handle h) {
  return world_.disk().sync_at_once(h);
}
result<std::string> sim_loop::attribute_of(handle h, const std::string& name) {
  return world_.disk().attribute_of(h, name);
}
result<void> sim_loop::set_attribute(handle h, const std::string& name, const std::string& text) {
  return world_.disk().set_attribute(h, name, text);
}

void sim_loop::read(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset) noexcept {
  world_.disk().read(world_.begin_request(*this, op), h, {parts, count}, offset);
}
void sim_loop::write(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset,
                     bool durable) noexcept {
  world_.disk().write(world_.begin_request(*this, op), h, {parts, count}, offset, durable);
}
void sim_loop::sync(operation& op, handle h) noexcept {
  world_.disk().sync(world_.begin_request(*this, op), h);
}
void sim_loop::allocate(operation& op, handle h, allocate_mode, std::uint64_t offset, std::uint64_t length) noexcept {
  world_.disk().zero(world_.begin_request(*this, op), h, offset, length);
}
void sim_loop::find_data(operation& op, handle h, std::uint64_t offset, std::uint64_t* begin,
                         std::uint64_t* end) noexcept {
  world_.disk().find_data(world_.begin_request(*this, op), h, offset, begin, end);
}
void sim_loop::cancel(operation& op) noexcept {
  if (op.in_flight()) world_.cancel_request(*this, op);
}

}  // namespace sluice::reactor
