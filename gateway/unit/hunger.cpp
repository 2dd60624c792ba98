#include <algorithm>

#include "gateway/unit/shard.hpp"

// Commands whose initiator has no memory left for what they read. Its share comes back as it takes what was sent to it:
// they wait as long as its nexus gets any now and then, each core's sessions by turns (memory::waiter).
namespace sluice::unit {

namespace {

/// Not all memory that comes free is told of: floors grow when a session goes.
constexpr std::uint64_t retry_ns = 20 * ns_per_ms;

}  // namespace

void shard::await_memory(command& c, std::uint64_t octets) noexcept {
  c.with = command::place::memory;
  c.buffer_bytes = static_cast<std::uint32_t>(octets);
  c.hungry_since_ns = loop_.now_ns();
  hungry_.push_back(&c);
  watch_hunger();
  if (gate_) check_quiet();
}

void shard::watch_hunger() noexcept {
  loop_.buffers().accounts().wait(memory_waiter_);
  if (!hunger_timer_.armed()) loop_.arm(hunger_timer_, retry_ns);
}

void shard::feed() noexcept {
  const std::uint64_t now = loop_.now_ns();
  std::vector<std::uint64_t> ready;  // what is resumed sets off other things: the list changes
  const memory::account* broke = nullptr;
  for (command* c : hungry_) {
    if (c->task->payer != broke || broke == nullptr) c->buffer = take_buffer(*c, c->buffer_bytes);
    const bool fed = !c->buffer.empty();
    if (!fed) broke = c->task->payer;
    if (fed) c->nexus->fed_ns = now;
    const std::uint64_t hungry_ns = now - std::max(c->hungry_since_ns, c->nexus->fed_ns);
    if (fed || hungry_ns > options_.hunger_limit_ns) ready.push_back(c->serial);
  }
  for (const std::uint64_t serial : ready) {
    const auto same = [serial](const command* c) { return c->serial == serial; };
    if (const auto found = std::find_if(hungry_.begin(), hungry_.end(), same); found != hungry_.end())
      end_hunger(**found);
  }
  if (!hungry_.empty()) watch_hunger();
}

void shard::end_hunger(command& c) noexcept {
  std::erase(hungry_, &c);
  c.with = command::place::here;
  c.resume();
}

}  // namespace sluice::unit
