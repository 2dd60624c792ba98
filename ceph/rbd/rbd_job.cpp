#include <algorithm>
#include <cerrno>

#include "ceph/rbd/rbd_channel.hpp"

// What each verb is to librbd.
namespace sluice::rbd {
namespace {

using store::request;
using store::verb;

// Zeroing, repeating and mapping go in pieces of so many objects, each an operation of an OSD.
constexpr std::uint64_t objects_at_once = 64;
constexpr std::uint64_t mapped_at_once = 4096;

/// Whether this librbd compares more than one sector at a time (since 17, as its version of the interface tells).
bool compares_much() {
  static const bool much = [] {
    int major = 0, minor = 0, extra = 0;
    rbd_version(&major, &minor, &extra);
    return major > 1 || (major == 1 && minor >= 18);
  }();
  return much;
}

bool moves_data(verb what) {
  return what == verb::read || what == verb::write || what == verb::compare_and_write;
}

}  // namespace

void rbd_job::prepare(request& r, const image_facts& facts) noexcept {
  request_ = &r;
  phase_ = phase::whole;
  done_ = 0;
  piece_ = r.length_bytes;
  fits_one_object_ = r.length_bytes != 0 &&
                     r.offset_bytes / facts.atomic_bytes == (r.offset_bytes + r.length_bytes - 1) / facts.atomic_bytes;
  if (r.what == verb::compare_and_write) {
    const bool native =
        fits_one_object_ && (r.length_bytes <= 512 || compares_much()) && 2 * r.length_bytes <= memory::pool::largest;
    phase_ = native ? phase::whole : phase::read_to_compare;
  }
  if (r.what == verb::discard || r.what == verb::write_zeroes || r.what == verb::write_same)
    piece_ = std::min(piece_, objects_at_once * facts.object_bytes);
  operations_ = r.what == verb::flush || r.what == verb::map ? 1 : piece_ / facts.object_bytes + 2;
  bytes_ = moves_data(r.what) ? r.length_bytes : 0;
}

bool rbd_job::issue(const std::shared_ptr<image>& through) noexcept {
  request& r = *request_;
  if (r.what == verb::map) {
    issue_map(through);
    return true;
  }
  // A flush takes the exclusive lock, also from a client that writes; of an image that we only read there is nothing to
  // flush.
  covers_ = through->account().writes();
  if (r.what == verb::flush && through->account().is_flushed()) {
    result_ = 0;
    return false;
  }
  rbd_completion_t completion = nullptr;
  result_ = rbd_aio_create_completion(
      this, [](rbd_completion_t done, void* self) { completed(done, self); }, &completion);
  if (result_ < 0) return false;
  rbd_image_t handle = through->handle();
  const std::uint64_t at = r.offset_bytes + done_;
  int started = -EINVAL;
  switch (r.what) {
    case verb::read:
      started = rbd_aio_readv(handle, r.parts, static_cast<int>(r.part_count), at, completion);
      break;
    case verb::write:
      started = rbd_aio_writev(handle, r.parts, static_cast<int>(r.part_count), at, completion);
      break;
    case verb::flush:
      started = rbd_aio_flush(handle, completion);
      break;
    case verb::discard:
      // Not rbd_aio_discard: that leaves what does not fill its granularity as it is, and says nothing.
    case verb::write_zeroes:
      // Nothing stays allocated for zeroes: RADOS has no reservations that would be worth the writing.
      started = rbd_aio_write_zeroes(handle, at, piece_, completion, 0, 0);
      break;
    case verb::write_same:
      started = rbd_aio_writesame(handle, at, piece_, static_cast<const char*>(r.parts[0].iov_base), r.parts[0].iov_len,
                                  completion, 0);
      break;
    case verb::compare_and_write:
      started = issue_compare(handle, completion);
      break;
    case verb::map:
      break;
  }
  if (started >= 0) return true;
  result_ = started;
  rbd_aio_release(completion);
  return false;
}

int rbd_job::issue_compare(rbd_image_t handle, rbd_completion_t completion) noexcept {
  request& r = *request_;
  const std::uint64_t length = r.length_bytes;
  const unsigned rest = r.part_count - r.parts_compare;
  switch (phase_) {
    case phase::whole: {
      const auto* expected = static_cast<const char*>(r.parts[0].iov_base);
      const auto* wanted = static_cast<const char*>(r.parts[r.parts_compare].iov_base);
      if (r.parts_compare != 1 || rest != 1) {  // librbd takes each half in one piece
        if (!take_bounce(2 * length)) return -ENOMEM;
        store::scatter both(r.parts, r.part_count);
        both.gather(bounce_.data(), 2 * length);
        expected = reinterpret_cast<const char*>(bounce_.data());
        wanted = expected + length;
      }
      const ssize_t started =
          rbd_aio_compare_and_write(handle, r.offset_bytes, length, expected, wanted, completion, &mismatch_, 0);
      return static_cast<int>(started);
    }
    case phase::read_to_compare:
      if (!take_bounce(length)) return -ENOMEM;
      return rbd_aio_read(handle, r.offset_bytes, length, reinterpret_cast<char*>(bounce_.data()), completion);
    case phase::write_compared:
      return rbd_aio_writev(handle, r.parts + r.parts_compare, static_cast<int>(rest), r.offset_bytes, completion);
  }
  return -EINVAL;
}

bool rbd_job::take_bounce(std::uint64_t octets) noexcept {
  if (bounce_.size() < octets) bounce_ = owner_.loop_.buffers().take(static_cast<std::uint32_t>(octets));
  return !bounce_.empty();
}

void rbd_job::completed(rbd_completion_t completion, void* self) noexcept {
  auto& job = *static_cast<rbd_job*>(self);
  job.result_ = rbd_aio_get_return_value(completion);
  rbd_aio_release(completion);
  if (job.came_back()) job.owner_.gather(job);
}

void rbd_job::issue_map(const std::shared_ptr<image>& through) noexcept {
  through->on().offload().run([this, through] {
    result_ = walk(*through, *request_);
    if (came_back()) owner_.gather(*this);
  });
}

/// Lists which objects are there, from the object map where the image has one. Blocks.
int rbd_job::walk(const image& through, request& r) noexcept {
  struct walker {
    std::vector<store::extent>& extents;
    std::uint64_t at, end;
    void reach(std::uint64_t to, bool mapped) {
      to = std::min(to, end);
      if (to > at) store::append_extent(extents, {at, to - at, mapped});
      at = std::max(at, to);
    }
  } seen{*r.extents, r.offset_bytes, r.offset_bytes};
  const auto visit = [](std::uint64_t offset, std::size_t length, int exists, void* argument) {
    auto& to = *static_cast<walker*>(argument);
    to.reach(offset, false);
    to.reach(offset + length, exists != 0);
    return 0;
  };
  r.extents->clear();
  const std::uint64_t end = r.offset_bytes + r.length_bytes;
  const std::uint64_t window = mapped_at_once * through.facts().object_bytes;
  while (seen.at < end && r.extents->size() <= r.extent_limit) {
    const std::uint64_t begin = seen.at;
    seen.end = std::min(end, (begin / window + 1) * window);
    if (const int done = rbd_diff_iterate2(through.handle(), nullptr, begin, seen.end - begin, 1, 1, visit, &seen);
        done < 0)
      return done;
    seen.reach(seen.end, false);
  }
  if (r.extents->size() > r.extent_limit) r.extents->resize(r.extent_limit);
  return 0;
}

}  // namespace sluice::rbd
