#include "tiers/cache/trace/trace_recorder.hpp"

#include <algorithm>

namespace sluice::cache {
namespace {

trace_op op_of(store::verb what) {
  if (what == store::verb::read) return trace_op::read;
  return what == store::verb::discard ? trace_op::discard : trace_op::write;
}

}  // namespace

void trace_recorder::note(store::verb what, std::uint64_t offset_bytes, std::uint64_t length_bytes,
                          std::uint64_t now_ns) noexcept {
  slot* const slots = slots_.load(std::memory_order_acquire);
  if (!slots || length_bytes == 0 || what == store::verb::flush || what == store::verb::map) return;
  std::uint64_t at = tail_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t turn = slots[at % room].turn.load(std::memory_order_acquire);
    if (turn == at) {
      if (tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) break;
    } else if (turn < at) {  // still to be fetched
      lost_.fetch_add(1, std::memory_order_relaxed);
      if (now_ns > fetched_ns_.load(std::memory_order_relaxed) + patience_ns) on_.store(false);
      return;
    } else {
      at = tail_.load(std::memory_order_relaxed);
    }
  }
  const std::uint64_t begun = begun_ns_.load(std::memory_order_relaxed);
  slots[at % room].record = {(std::max(now_ns, begun) - begun) / 1000, offset_bytes,
                             static_cast<std::uint32_t>(std::min(length_bytes, trace_length_limit)), op_of(what)};
  slots[at % room].turn.store(at + 1, std::memory_order_release);
}

result<store::recorded> trace_recorder::turn(store::recording how, std::uint64_t now_ns) {
  const std::lock_guard lock(guard_);
  if (how == store::recording::start) {
    if (is_on() && now_ns < fetched_ns_ + patience_ns) return fail(errc::busy, "somebody records already");
    begin(now_ns);
    return store::recorded{};
  }
  if (!owned_) return fail(errc::not_found, "nobody records");
  if (how == store::recording::stop) on_.store(false);
  return fetch(now_ns);
}

void trace_recorder::begin(std::uint64_t now_ns) {
  if (!owned_) {
    owned_ = std::make_unique<slot[]>(room);
    for (std::uint64_t i = 0; i < room; ++i) owned_[i].turn.store(i, std::memory_order_relaxed);
    slots_.store(owned_.get(), std::memory_order_release);
  }
  fetch(now_ns);  // what an earlier recording left
  lost_ = 0;
  begun_ns_ = now_ns;
  on_.store(true);
}

store::recorded trace_recorder::fetch(std::uint64_t now_ns) {
  store::recorded out;
  fetched_ns_ = now_ns;
  for (; out.requests < room; ++out.requests, ++head_) {
    slot& next = owned_[head_ % room];
    if (next.turn.load(std::memory_order_acquire) != head_ + 1) break;
    out.lines += to_line(next.record) + "\n";
    next.turn.store(head_ + room, std::memory_order_release);
  }
  out.lost = lost_.exchange(0);
  return out;
}

}  // namespace sluice::cache
