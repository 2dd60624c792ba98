#include "tiers/cache/read_ahead.hpp"

#include <algorithm>
#include <utility>

#include "tiers/cache/blocks_of.hpp"
#include "tiers/cache/cache_channel.hpp"

// A stream is a reader that has read some requests in a row. Ahead of it lie chunks: reads of this channel's own, each
// into a buffer of its own, which is not in the tiers. So a reader that stops costs the tiers nothing, and what it does
// take goes to them block by block, as it would have without reading ahead.
//
//   under way (tiers != null) -> here -> taken, or void: passed by, written to meanwhile, or its tiers are others
//
// A chunk holds the versions of its blocks from before it was read: a write to a block makes it void for good (look()).
namespace sluice::cache {

using store::request;
using store::status;

namespace {

constexpr std::uint64_t first_window = 128 * kib;
constexpr std::uint64_t lag = 64 * kib;         // readers with several requests in flight are not strictly in order
constexpr std::uint64_t store_limit = 8 * mib;  // of what is read ahead and not yet taken, of all channels
constexpr std::uint64_t patience_ns = 1 * ns_per_s;  // with a stream that does not go on
constexpr std::uint64_t requests_in_a_row = 3;       // make a stream

}  // namespace

read_ahead::chunk::chunk(read_ahead& by, const stream& reader, block_number from, block_number to, memory::slice into)
    : owner(by),
      of(reader),
      first(from),
      last(to),
      buffer(std::move(into)),
      part{buffer.data(), (to - from) * block_bytes} {
  what = store::verb::read;
  offset_bytes = first * block_bytes;
  length_bytes = part.iov_len;
  parts = &part;
  part_count = 1;
}

read_ahead::chunk::~chunk() {
  owner.owner_.generations_->read_ahead_bytes.fetch_sub(part.iov_len, std::memory_order_relaxed);
}

read_ahead::~read_ahead() {
  if (timer_.armed()) owner_.loop_.disarm(timer_);
}

bool read_ahead::at_work() const noexcept {
  return std::any_of(chunks_.begin(), chunks_.end(), [](const auto& each) { return each->tiers != nullptr; });
}

// -- serving --------------------------------------------------------------------------------------------------------

read_ahead::chunk* read_ahead::find(block_number block) noexcept {
  for (const auto& each : chunks_)
    if (!each->void_ && each->covers(block)) return each.get();
  return nullptr;
}

/// Whether all of a read was read ahead and still holds; `under_way`: the last chunk that has to be waited for.
read_ahead::found read_ahead::look(const request& r, chunk*& under_way) noexcept {
  const cache_core& core = owner_.core();
  if (chunks_.empty() || !core.keeps()) return found::nothing;
  under_way = nullptr;
  for (block_number block = r.offset_bytes / block_bytes; block < end_block(r); ++block) {
    chunk* const in = find(block);
    if (!in) return found::nothing;
    if (in->tiers) {
      under_way = in;
      continue;
    }
    const place p(block);
    const std::uint64_t fill_version = in->fill_versions[block - in->first];
    if (!write_count::quiet(fill_version) ||
        ram_index::fill_version(core.shard_of(p).index().set_of(p)) != fill_version)
      return found::nothing;
  }
  return under_way ? found::under_way : found::all;
}

bool read_ahead::serve_now(request& r) noexcept {
  chunk* under_way = nullptr;
  if (look(r, under_way) != found::all) return false;
  take(r, owner_.reads_.observe(r.offset_bytes, r.length_bytes));
  owner_.counted_.ram_hit_blocks.add(end_block(r) - r.offset_bytes / block_bytes);
  follow(r.offset_bytes, r.offset_bytes + r.length_bytes);
  return true;
}

bool read_ahead::serve_later(request& r) noexcept {
  chunk* under_way = nullptr;
  if (look(r, under_way) != found::under_way) return false;
  r.scratch.words[0] = owner_.reads_.observe(r.offset_bytes, r.length_bytes);
  under_way->waiting.push(r);
  follow(r.offset_bytes, r.offset_bytes + r.length_bytes);
  return true;
}

/// Copies what is there into the read, and keeps in the tiers the blocks that it ends.
void read_ahead::take(request& r, std::uint64_t run) noexcept {
  store::scatter to(r.parts, r.part_count);
  const std::uint64_t end = r.offset_bytes + r.length_bytes;
  const bool keeps = !owner_.passes_by(r, run);
  std::uint64_t used = 0;
  for (std::uint64_t at = r.offset_bytes; at < end;) {
    chunk& in = *find(at / block_bytes);
    const std::uint64_t until = std::min(end, in.last * block_bytes);
    to.fill(in.buffer.data() + (at - in.offset_bytes), until - at);
    const std::uint64_t from = at / block_bytes * block_bytes, whole = until / block_bytes * block_bytes;
    if (whole > from) {
      used += (whole - from) / block_bytes;
      const iovec blocks{in.buffer.data() + (from - in.offset_bytes), whole - from};
      if (keeps)
        owner_.keep(owner_.core(), in.first, in.fill_versions, from, whole - from, {&blocks, 1},
                    ram_shard::keep::always);
    }
    at = until;
  }
  owner_.counted_.read_blocks.add(end_block(r) - r.offset_bytes / block_bytes);
  owner_.counted_.prefetch_used_blocks.add(used);
}

/// Those who waited may find it void, or need the next chunk as well: each looks anew.
void read_ahead::arrived(chunk& c, status outcome) noexcept {
  const bool others = c.tiers != owner_.tiers_.get();
  --std::exchange(c.tiers, nullptr)->jobs;
  if (outcome != status::good || others) c.void_ = true;
  if (outcome == status::good) owner_.counted_.prefetched_blocks.add(c.last - c.first);
  store::request_queue waiting = std::exchange(c.waiting, {});
  const bool is_void = c.void_;
  if (is_void) std::erase_if(chunks_, [&](const auto& each) { return each.get() == &c; });
  while (!waiting.empty()) {
    request& r = waiting.pop();
    const std::uint64_t run = r.scratch.words[0];
    chunk* under_way = nullptr;
    switch (look(r, under_way)) {
      case found::all:
        take(r, run);
        r.done(status::good);
        break;
      case found::under_way:
        r.scratch.words[0] = run;
        under_way->waiting.push(r);
        break;
      case found::nothing:
        owner_.read_below(r, run);
        break;
    }
  }
}

// -- streams --------------------------------------------------------------------------------------------------------

void read_ahead::missed(const request& r) noexcept {
  const std::uint64_t end = r.offset_bytes + r.length_bytes;
  if (streams_in_use_ != 0) follow(r.offset_bytes, end);
  if (owner_.reads_.row() < requests_in_a_row || owner_.below_acts_now_ || owner_.core().prefetch_bytes() == 0) return;
  if (std::none_of(streams_.begin(), streams_.end(), [&](const stream& s) { return s.used != 0 && s.next == end; }))
    begin_stream(end);
}

/// In the place of the stream that has not gone on for longest.
void read_ahead::begin_stream(std::uint64_t at) noexcept {
  stream& s = *std::min_element(streams_.begin(), streams_.end(),
                                [](const stream& a, const stream& b) { return a.used < b.used; });
  end_stream(s);
  s = {at, (at + block_bytes - 1) / block_bytes, first_window, at, ++clock_};
  ++streams_in_use_;
  if (!timer_.armed()) owner_.loop_.arm(timer_, patience_ns);
  extend(s);
}

void read_ahead::end_stream(stream& s) noexcept {
  if (s.used == 0) return;
  forget(s, largest_store_blocks);
  s.used = 0;
  --streams_in_use_;
}

/// Moves the stream on that reads [from, end).
void read_ahead::follow(std::uint64_t from, std::uint64_t end) noexcept {
  for (stream& s : streams_) {
    if (s.used == 0 || from < s.next || from >= s.next + s.window) continue;
    s.next = end;
    s.used = ++clock_;
    s.ahead = std::max(s.ahead, (end + block_bytes - 1) / block_bytes);
    forget(s, (end - std::min(end, lag)) / block_bytes);
    return extend(s);
  }
}

bool read_ahead::is_in_a_tier(block_number block) const noexcept {
  const cache_core& core = owner_.core();
  const place p(block);
  const ram_index& index = core.shard_of(p).index();
  const auto& flash = core.flash();
  return index.find_valid(index.set_of(p), block) != no_slot ||
         (flash && flash->ready() && flash->index.find(block) != no_slot);
}

/// Reads ahead in halves of the window, so that there is always something to take while the next half comes.
void read_ahead::extend(stream& s) noexcept {
  const std::uint64_t most = owner_.core().prefetch_bytes();
  if (!owner_.core().keeps()) return;
  if (s.next - s.grown >= s.window) {
    s.grown = s.next;
    s.window *= 2;
  }
  s.window = std::min(s.window, most);
  while (s.ahead * block_bytes <= s.next + s.window / 2) {
    const block_number end = std::min((s.next + s.window) / block_bytes, owner_.core().whole_blocks());
    while (s.ahead < end && is_in_a_tier(s.ahead)) ++s.ahead;
    const std::uint64_t half = std::clamp<std::uint64_t>(s.window / 2, block_bytes, memory::pool::largest);
    const block_number limit = std::min(end, s.ahead + half / block_bytes);
    block_number last = s.ahead;
    while (last < limit && !is_in_a_tier(last)) ++last;
    if (last <= s.ahead || !read(s, last)) return;
    s.ahead = last;
  }
}

/// What lies ahead of the stream, up to `last`; false when there is no room for it.
bool read_ahead::read(const stream& s, block_number last) noexcept {
  const std::uint64_t octets = (last - s.ahead) * block_bytes;
  std::atomic<std::uint64_t>& held = owner_.generations_->read_ahead_bytes;
  memory::pool& buffers = owner_.loop_.buffers();
  if (held.load(std::memory_order_relaxed) + octets > store_limit || buffers.bytes_in_use() > buffers.limit_bytes() / 2)
    return false;
  memory::slice buffer = buffers.take(static_cast<std::uint32_t>(octets));
  if (buffer.empty()) return false;
  held.fetch_add(octets, std::memory_order_relaxed);
  chunks_.push_back(std::make_unique<chunk>(*this, s, s.ahead, last, std::move(buffer)));
  chunk& c = *chunks_.back();
  c.tiers = owner_.tiers_.get();
  ++c.tiers->jobs;
  c.tiers->core->take_fill_versions(c.first, c.last, c.fill_versions);
  c.tiers->below->submit(c);
  return true;
}

/// What a stream has passed, or will not come to, is not needed any more.
void read_ahead::forget(const stream& of, block_number before) noexcept {
  std::erase_if(chunks_, [&](const auto& each) {
    if (&each->of != &of || each->last > before) return false;
    each->void_ = true;
    return each->tiers == nullptr;
  });
}

void read_ahead::look_for_idle_streams() noexcept {
  for (stream& s : streams_)
    if (s.used <= clock_then_) end_stream(s);
  clock_then_ = clock_;
  if (streams_in_use_ != 0) owner_.loop_.arm(timer_, patience_ns);
}

void read_ahead::drop() noexcept {
  for (stream& s : streams_) end_stream(s);
}

}  // namespace sluice::cache
