#include "ceph/rbd/rbd_channel.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "actors/base/check.hpp"

namespace sluice::rbd {

using store::request;
using store::status;
using store::verb;

namespace {

bool is_out_of_space(std::int64_t result) {
  return result == -ENOSPC || result == -EDQUOT;
}

}  // namespace

rbd_channel::rbd_channel(std::shared_ptr<medium> of, reactor::loop& loop)
    : medium_(std::move(of)), loop_(loop), facts_(medium_->facts()) {
  const auto renewed = [self = self_, &to = loop_] {
    to.post([self] {
      if (*self) (*self)->renew();
    });
  };
  medium_->join(this, renewed, figures_);
  image_ = medium_->current();
}

rbd_channel::~rbd_channel() {
  SLUICE_CHECK(in_flight_ == 0 && waiting_.empty() && due_.empty() && gathered_.empty());
  if (image_) image_->on().share().leave(this);
  medium_->leave(this);
  *self_ = nullptr;
}

rbd_job& rbd_channel::take_job() {
  if (!free_.empty()) return free_.pop();
  jobs_.push_back(std::make_unique<rbd_job>(*this));
  return *jobs_.back();
}

void rbd_channel::submit(request& r) noexcept {
  SLUICE_CHECK(r.length_bytes <= UINT64_MAX - r.offset_bytes);
  rbd_job& job = take_job();
  job.prepare(r, facts_);
  job.started_ns_ = loop_.now_ns();
  if (r.what == verb::map) r.extents->clear();
  // librbd would go on to write objects of an image that was removed, and nobody would ever find them.
  const bool gone = medium_->available() == store::availability::gone;
  job.result_ = gone ? -ENOENT : 0;
  const bool nothing = r.what != verb::flush && (r.length_bytes == 0 || (r.what == verb::map && r.extent_limit == 0));
  if (!gone && !nothing) return start_or_wait(job);
  due_.push(job);
  loop_.defer(run_due_);
}

void rbd_channel::run_due() noexcept {
  job_queue due = std::exchange(due_, {});
  while (!due.empty()) {
    rbd_job& job = due.pop();
    finish(job, job.result_ < 0 ? outcome_of(job) : status::good);
  }
}

// -- to librbd ---------------------------------------------------------------------------------------------------

bool rbd_channel::start(rbd_job& job) noexcept {
  if (!image_ || renewing_) return false;
  if (image_->on().condemned()) [[unlikely]] {  // another image of this connection knows already
    medium_->fenced(*image_);
    lose_image();
    return false;
  }
  if (!image_->on().share().take(job.operations_, job.bytes_)) return false;
  ++in_flight_;
  if (store::changes_medium(job.request_->what)) figures_->writing.fetch_add(1, std::memory_order_relaxed);
  publish();
  job.keeper_.store(rbd_job::keeper::librbd);
  if (!job.issue(image_) && job.came_back()) gather(job);  // answered in a later turn like everything else
  return true;
}

void rbd_channel::start_or_wait(rbd_job& job) noexcept {
  if (waiting_.empty() && start(job)) return;
  waiting_.push(job);
  ++waiting_count_;
  publish();
  go_on();
}

/// Starts what waits, as far as the budget reaches; the rest is woken when a share comes back.
void rbd_channel::go_on() noexcept {
  bool asked = false;
  while (!waiting_.empty() && image_ && !renewing_) {
    rbd_job& job = waiting_.pop();
    if (start(job)) {
      --waiting_count_;
      publish();
      continue;
    }
    waiting_.push_front(job);
    if (renewing_) return fail_waiting();
    if (asked) return;
    asked = true;  // and once more, because a share may have come back just before
    image_->on().share().wait(this, [self = self_, &to = loop_] {
      to.post([self] {
        if (*self) (*self)->go_on();
      });
    });
  }
}

// -- another image -------------------------------------------------------------------------------------------------

/// The medium has lost its image, or has another one.
void rbd_channel::renew() noexcept {
  if (medium_->current() == image_) return;
  if (image_ && !renewing_) lose_image();
  if (image_ && image_->on().abandoned()) abandon_in_flight();
  if (in_flight_ == 0) take_image();
}

/// librbd will never answer. It has copied what was to be written, so these requests can be answered without it; what
/// it was to fill stays its own for good, and so do the jobs.
void rbd_channel::abandon_in_flight() noexcept {
  std::vector<store::request*> unanswered;
  for (std::unique_ptr<rbd_job>& each : jobs_) {
    rbd_job::keeper seen = rbd_job::keeper::librbd;
    if (!each->keeper_.compare_exchange_strong(seen, rbd_job::keeper::nobody)) continue;
    --in_flight_;
    write_ended(*each);
    const verb what = each->request_->what;
    if (what != verb::read && what != verb::map) unanswered.push_back(each->request_);
    static_cast<void>(each.release());
  }
  std::erase(jobs_, nullptr);
  publish();
  for (store::request* each : unanswered) each->done(status::timeout);
}

/// From here on requests wait for another image. Those that wait already were sent before the fence: they must not be
/// done after it.
void rbd_channel::lose_image() noexcept {
  image_->on().share().leave(this);
  renewing_ = true;
  fail_waiting();
}

void rbd_channel::fail_waiting() noexcept {
  job_queue failed = std::exchange(waiting_, {});
  waiting_count_ = 0;
  publish();
  while (!failed.empty()) {
    rbd_job& job = failed.pop();
    job.result_ = -ESHUTDOWN;
    due_.push(job);
  }
  loop_.defer(run_due_);
}

void rbd_channel::take_image() noexcept {
  image_ = medium_->current();
  renewing_ = false;
  go_on();
}

// -- from librbd ---------------------------------------------------------------------------------------------------

void rbd_channel::gather(rbd_job& job) noexcept {
  if (gathered_.push(job)) loop_.post(collect_);
}

void rbd_channel::collect() noexcept {
  for (rbd_job* next = gathered_.take(); next;) landed(*std::exchange(next, next->next));
  if (!waiting_.empty()) go_on();
}

void rbd_channel::landed(rbd_job& job) noexcept {
  --in_flight_;
  write_ended(job);
  if (job.request_->what == verb::flush && job.result_ >= 0) image_->account().note_flush(job.covers_);
  publish();
  image_->on().share().give_back(job.operations_, job.bytes_);
  if (job.result_ == -ESHUTDOWN) medium_->fenced(*image_);
  const bool more = has_more(job);
  const bool ends = !more || renewing_ || image_->on().condemned();  // no piece follows a fence
  const status outcome = more ? status::aborted : outcome_of(job);
  if (renewing_ && in_flight_ == 0) take_image();
  if (ends) return finish(job, outcome);
  start_or_wait(job);
}

void rbd_channel::write_ended(const rbd_job& job) noexcept {
  if (!store::changes_medium(job.request_->what)) return;
  image_->account().note_write();
  figures_->writing.fetch_sub(1, std::memory_order_relaxed);
  figures_->written.fetch_add(1, std::memory_order_relaxed);
  if (is_out_of_space(job.result_)) figures_->no_space.fetch_add(1, std::memory_order_relaxed);
}

/// Whether a piece follows the one that landed; prepares it.
bool rbd_channel::has_more(rbd_job& job) noexcept {
  const request& r = *job.request_;
  if (r.what == verb::compare_and_write) return compared(job);
  if (job.result_ < 0 || job.piece_ >= r.length_bytes - job.done_) return false;
  job.done_ += job.piece_;
  job.piece_ = std::min(job.piece_, r.length_bytes - job.done_);
  return true;
}

bool rbd_channel::compared(rbd_job& job) noexcept {
  request& r = *job.request_;
  switch (job.phase_) {
    case rbd_job::phase::whole:
      if (job.result_ == -EILSEQ)  // librbd counts from the start of the object, not from that of the request
        r.miscompare_offset = std::min(job.mismatch_ % facts_.object_bytes, r.length_bytes - 1);
      if (job.result_ != -EINVAL && job.result_ != -EOPNOTSUPP) return false;
      job.phase_ = rbd_job::phase::read_to_compare;
      return true;
    case rbd_job::phase::read_to_compare: {
      if (job.result_ < 0 || static_cast<std::uint64_t>(job.result_) != r.length_bytes) return false;
      store::scatter expected(r.parts, r.parts_compare);
      const std::uint64_t equal = expected.match(job.bounce_.data(), r.length_bytes);
      if (equal != r.length_bytes) {
        r.miscompare_offset = equal;
        job.result_ = -EILSEQ;
        return false;
      }
      job.phase_ = rbd_job::phase::write_compared;
      return true;
    }
    case rbd_job::phase::write_compared:
      return false;
  }
  return false;
}

status rbd_channel::outcome_of(const rbd_job& job) noexcept {
  request& r = *job.request_;
  const std::int64_t result = job.result_;
  const bool reads = r.what == verb::read || job.phase_ == rbd_job::phase::read_to_compare;
  if (result >= 0) {
    const auto octets = static_cast<std::uint64_t>(result);
    if (!reads || octets >= r.length_bytes) return status::good;
    r.failed_offset = r.offset_bytes + octets;  // the image ends there
    return status::medium_error;
  }
  switch (-result) {
    case EILSEQ:
      return r.what == verb::compare_and_write ? status::miscompare : status::medium_error;
    case ENOSPC:
    case EDQUOT:
      return status::no_space;
    case EROFS:
      return status::write_protected;
    case ENOENT:
    case EPERM:
    case EACCES:
      return status::gone;
    case ESHUTDOWN:  // fenced: it did not happen
    case ENOMEM:
      return status::aborted;
    default:
      r.failed_offset = r.offset_bytes + job.done_;
      return status::medium_error;
  }
}

void rbd_channel::finish(rbd_job& job, status outcome) noexcept {
  request& r = *job.request_;
  const std::uint64_t now = loop_.now_ns();
  const std::uint64_t took = now > job.started_ns_ ? now - job.started_ns_ : 0;
  if (r.what == verb::read) figures_->reads.record(took);
  if (r.what == verb::write) figures_->writes.record(took);
  job.bounce_ = {};
  free_.push(job);
  r.done(outcome);
}

void rbd_channel::publish() noexcept {
  figures_->in_flight.store(in_flight_, std::memory_order_relaxed);
  figures_->waiting.store(waiting_count_, std::memory_order_relaxed);
}

}  // namespace sluice::rbd
