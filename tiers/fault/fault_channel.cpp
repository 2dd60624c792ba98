#include "tiers/fault/fault_channel.hpp"

#include <utility>

#include "tiers/store/scatter.hpp"

namespace sluice::fault {
namespace {

using sluice::store::request;
using sluice::store::status;
using sluice::store::verb;

constexpr std::uint32_t of_a_million = 1'000'000;

/// A COMPARE AND WRITE is done whole or not at all.
bool can_tear(verb what) {
  return sluice::store::changes_medium(what) && what != verb::compare_and_write;
}

std::uint64_t seed_of(const chances& odds, reactor::loop& loop) {
  if (odds.seed == 0) return loop.random();
  return odds.seed + 0x9e3779b97f4a7c15U * (loop.index() + std::uint64_t{1});
}

}  // namespace

// -- jobs --------------------------------------------------------------------------------------------------------

void fault_job_list::push(fault_job& job) {
  job.next_job = nullptr;
  job.previous_job = last_;
  (last_ ? last_->next_job : first_) = &job;
  last_ = &job;
}

void fault_job_list::remove(fault_job& job) {
  (job.previous_job ? job.previous_job->next_job : first_) = job.next_job;
  (job.next_job ? job.next_job->previous_job : last_) = job.previous_job;
}

fault_job& fault_job_list::pop() {
  fault_job& job = *first_;
  remove(job);
  return job;
}

void fault_job::done(status outcome) noexcept {
  outer->answer_as(*this);
  if (judged.what == effect::tear && outcome == status::good) {
    outer->failed_offset = offset_bytes + length_bytes;
    outcome = status::medium_error;
  }
  owner_.finish(*this, outcome);
}

void fault_job::on_timer() noexcept {
  owner_.delayed_.remove(*this);
  owner_.go_on(*this);
}

// -- the channel -------------------------------------------------------------------------------------------------

fault_channel::fault_channel(std::shared_ptr<fault_control> control, const chances& odds,
                             std::unique_ptr<store::channel> below, std::uint32_t block, reactor::loop& loop)
    : control_(std::move(control)),
      odds_(odds),
      below_(std::move(below)),
      block_(block),
      loop_(loop),
      random_(seed_of(odds, loop)),
      self_(std::make_shared<fault_channel*>(this)) {
  control_->attach(this, loop, [self = self_] {
    if (*self) (*self)->release_held();
  });
}

fault_channel::~fault_channel() {
  control_->detach(this);
  *self_ = nullptr;
  SLUICE_CHECK(!run_due_.queued_);
  while (!delayed_.empty()) {
    fault_job& job = delayed_.pop();
    loop_.disarm(job);
    finish(job, status::gone);
  }
  while (!held_.empty()) {
    control_->held_.fetch_sub(1);
    finish(held_.pop(), status::gone);
  }
}

bool fault_channel::chance(std::uint32_t ppm) {
  return ppm != 0 && random_() % of_a_million < ppm;
}

verdict fault_channel::judge(const request& r) {
  const verdict ordered = control_->take_order(r.what);
  if (ordered.what != effect::none) return ordered;
  if (r.what == verb::read || r.what == verb::map) {
    return chance(odds_.read_error_ppm) ? verdict{effect::fail, status::medium_error} : verdict{};
  }
  if (r.what == verb::flush) {
    return chance(odds_.flush_error_ppm) ? verdict{effect::fail, status::medium_error} : verdict{};
  }
  if (chance(odds_.write_error_ppm)) return {effect::fail, status::medium_error};
  if (chance(odds_.no_space_ppm)) return {effect::fail, status::no_space};
  if (can_tear(r.what) && chance(odds_.torn_write_ppm)) return {effect::tear, status::medium_error};
  if (can_tear(r.what) && chance(odds_.lost_write_ppm)) return {effect::lose, status::good};
  return {};
}

fault_job& fault_channel::take_job() {
  if (!free_.empty()) return free_.pop();
  jobs_.push_back(std::make_unique<fault_job>(*this));
  return *jobs_.back();
}

void fault_channel::submit(request& r) noexcept {
  fault_job& job = take_job();
  job.outer = &r;
  job.judged = judge(r);
  if (job.judged.what == effect::tear && !can_tear(r.what)) job.judged = {effect::fail, status::medium_error};
  if (job.judged.what != effect::none) control_->injected_.fetch_add(1, std::memory_order_relaxed);
  if (control_->stalled()) {
    held_.push(job);
    control_->held_.fetch_add(1);
  } else if (odds_.delay_ns != 0 && chance(odds_.delay_ppm)) {
    delayed_.push(job);
    loop_.arm(job, odds_.delay_ns);
  } else if (job.judged.what == effect::none) {
    pass_on(job);
  } else {
    enqueue(job);
  }
}

/// What is answered without the store below is answered in a later turn: never from within submit().
void fault_channel::enqueue(fault_job& job) noexcept {
  due_.push(job);
  if (!running_) loop_.defer(run_due_);
}

void fault_channel::run_due() noexcept {
  // Only what is due now: what done() submits anew waits for its own turn.
  fault_job_list due = std::exchange(due_, {});
  running_ = true;
  while (!due.empty()) go_on(due.pop());
  running_ = false;
  if (!due_.empty()) loop_.defer(run_due_);
}

void fault_channel::release_held() noexcept {
  fault_job_list released = std::exchange(held_, {});
  while (!released.empty()) {
    control_->held_.fetch_sub(1);
    enqueue(released.pop());
  }
}

void fault_channel::go_on(fault_job& job) noexcept {
  request& outer = *job.outer;
  switch (job.judged.what) {
    case effect::none:
      return pass_on(job);
    case effect::tear:
      return tear(job);
    case effect::lose:
      return finish(job, status::good);
    case effect::fail:
      break;
  }
  const std::uint64_t blocks = outer.length_bytes / block_;
  outer.failed_offset = outer.offset_bytes + (blocks == 0 ? 0 : random_() % blocks * block_);
  finish(job, job.judged.outcome);
}

void fault_channel::pass_on(fault_job& job) noexcept {
  job.ask_as(*job.outer);
  below_->submit(job);
}

void fault_channel::tear(fault_job& job) noexcept {
  const request& outer = *job.outer;
  job.ask_as(outer);
  const std::uint64_t blocks = outer.length_bytes / block_;
  job.length_bytes = blocks == 0 ? 0 : random_() % blocks * block_;
  if (outer.what == verb::write) {
    job.torn_parts.clear();
    store::scatter kept(outer.parts, outer.part_count);
    for (std::uint64_t left = job.length_bytes; left != 0;) {
      const bytes piece = kept.next(left);
      SLUICE_CHECK(!piece.empty());
      job.torn_parts.push_back({piece.data(), piece.size()});
      left -= piece.size();
    }
    job.parts = job.torn_parts.data();
    job.part_count = static_cast<unsigned>(job.torn_parts.size());
  }
  below_->submit(job);
}

void fault_channel::finish(fault_job& job, status outcome) noexcept {
  request& outer = *job.outer;
  free_.push(job);
  outer.done(outcome);
}

}  // namespace sluice::fault
