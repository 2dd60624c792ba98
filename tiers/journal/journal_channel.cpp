#include "tiers/journal/journal_channel.hpp"

#include <utility>

namespace sluice::journal {

using store::request;
using store::status;
using store::verb;

journal_channel::journal_channel(std::shared_ptr<journal_core> core, std::shared_ptr<journal_owner> owner,
                                 std::unique_ptr<store::channel> below, reactor::loop& loop)
    : core_(std::move(core)),
      owner_(std::move(owner)),
      below_(std::move(below)),
      loop_(loop),
      reader_(*core_, *below_, loop) {
  outbox_->channel = this;
  owner_->attach(loop_);
}

journal_channel::~journal_channel() {
  outbox_->channel = nullptr;
  owner_->detach(loop_);
}

void journal_channel::submit(request& r) noexcept {
  // With nothing dirty anywhere a read costs one look more than without a journal.
  if (r.what == verb::read) return is_clean() ? below_->submit(r) : reader_.read(r);
  if (r.what != verb::flush && r.length_bytes == 0) return below_->submit(r);
  if (!free_) {
    jobs_.push_back(std::make_unique<journal_job>(*this));
    free_ = jobs_.back().get();
    free_->next = nullptr;
  }
  journal_job& job = *std::exchange(free_, free_->next);
  job.start(r);
  owner_->send(job, loop_);
}

bool journal_channel::try_now(request& r, status& outcome) noexcept {
  return r.what == verb::read && is_clean() && below_->try_now(r, outcome);
}

/// The owner may sit here, and do what no request asks for.
bool journal_channel::idle() noexcept {
  return owner_->may_leave(loop_) && below_->idle();
}

/// From the owner's loop. An answer crosses to the channel's by its outbox, which is posted once for all that gathers
/// until the loop looks.
void journal_channel::finished(journal_job& job, const reactor::loop& on) noexcept {
  if (&on == &loop_) return answer(job);
  if (!outbox_->jobs.push(job)) return;
  loop_.post([held = outbox_] {
    if (held->channel) held->channel->take_outbox();
  });
}

void journal_channel::take_outbox() noexcept {
  for (journal_job* next = outbox_->jobs.take(); next;) answer(*std::exchange(next, next->next));
}

void journal_channel::answer(journal_job& job) noexcept {
  journal_job* const answered = &job;
  job.answer();
  answered->next = free_;
  free_ = answered;
}

}  // namespace sluice::journal
