#include "fabrics/vhost/queue.hpp"

#include <algorithm>
#include <utility>

#include "actors/observe/log.hpp"
#include "actors/reactor/message_sockets.hpp"

namespace sluice::vhost {
namespace {

constexpr unsigned batch = 64;                     // chains that are taken in one go
constexpr unsigned max_idle_wakes = 64;            // a descriptor that is ready and holds no kick is no event
constexpr std::uint64_t poll_ns = 20 * ns_per_us;  // looks so long for more before it asks to be kicked
constexpr unsigned max_failed_polls = 8;           // as a power of two of what it then leaves out

}  // namespace

queue::queue(reactor::loop& on, user& by, unsigned index, bool passive)
    : descriptor_watch(on), loop_(on), user_(by), index_(index), passive_(passive) {}

queue::~queue() {
  SLUICE_CHECK(!watching() && !poll_.queued_ && !notify_.queued_);
}

bool queue::set(const ring_setup& wanted) {
  const bool moved = now_.memory != wanted.memory;
  const bool heard_anew = now_.call != wanted.call;
  const bool kicked_anew = watched_ != wanted.kick;
  if (broken_) return false;  // until it has been stopped: nobody knows where it was
  now_ = wanted;
  if (!now_.complete() || stopping_ || halted_) return true;
  if (!ring_.bound()) {
    start();
  } else if (moved) {
    if (!ring_.bind(*now_.memory, now_.places, now_.event_index, now_.indirect, ring_.next()))
      fail("the ring lies outside of the guest's memory");
  }
  if (broken_) return false;
  if (kicked_anew) watch();
  if (heard_anew) {  // whoever listens now may have missed what was told before
    owes_signal_ = true;
    loop_.at_turn_end(notify_);
  }
  if (!passive_) loop_.defer(poll_);
  return true;
}

void queue::start() {
  if (!ring_.bind(*now_.memory, now_.places, now_.event_index, now_.indirect, now_.base))
    return fail("the ring lies outside of the guest's memory, or has a size that cannot be");
  SLUICE_LOG(debug, "vhost", "a queue starts", {"queue", index_}, {"descriptors", ring_.size()}, {"next", ring_.next()},
             {"used", ring_.used_index()}, {"enabled", now_.enabled}, {"recorded", now_.inflight != nullptr});
  record_ = {};
  again_.clear();
  if (!now_.inflight || passive_) return;
  const bytes all = now_.inflight->span();
  const std::uint64_t needs = inflight_record::bytes_of(ring_.size());
  if (needs > now_.inflight_bytes || now_.inflight_offset > all.size() || needs > all.size() - now_.inflight_offset) {
    SLUICE_LOG(warning, "vhost", "a queue is served without a record of its requests in flight, which has no room",
               {"queue", index_}, {"descriptors", ring_.size()});
    return;
  }
  record_ = inflight_record(all.data() + now_.inflight_offset, ring_.size());
  const std::vector<std::uint16_t> heads = record_.recover(ring_.used_index());
  if (heads.empty()) return;
  SLUICE_LOG(info, "vhost", "requests of a predecessor are taken up", {"queue", index_}, {"count", heads.size()});
  again_.assign(heads.begin(), heads.end());
  taken_ += heads.size();
  ring_.bind(*now_.memory, now_.places, now_.event_index, now_.indirect,
             static_cast<std::uint16_t>(ring_.used_index() + heads.size()));
}

void queue::watch() {
  if (watching()) return descriptor_watch::stop();  // on_stopped() comes back here
  watched_ = now_.kick;
  idle_wakes_ = 0;
  descriptor_watch::start(watched_->get(), reactor::poll_event::readable);
}

void queue::on_ready(unsigned events) noexcept {
  if (loop_.messages().drain(watched_->get()) < 0) {
    if (++idle_wakes_ > max_idle_wakes || (events & reactor::poll_event::broken)) fail("its kicks are no event");
    return;
  }
  idle_wakes_ = 0;
  if (passive_) return user_.on_room(*this);
  run();
}

void queue::on_stopped(std::int64_t problem) noexcept {
  watched_.reset();
  if (problem < 0) fail("its kicks cannot be waited for");
  if (!stopping_ && !broken_ && !halted_ && now_.complete()) watch();
  check_stopped();
}

void queue::run() noexcept {
  if (!running() || passive_ || halted_ || (stopping_ && again_.empty())) return check_stopped();
  ring_.suppress_kicks();
  unsigned done = 0;
  while (done < batch && take_next()) ++done;
  if (broken_ || starved_) return;
  if (done > 0) busy_until_ = loop_.now_ns() + poll_ns;
  loop_.defer(poll_);
}

/// False: nothing is there, or nothing may be taken.
bool queue::take_next() {
  if (!user_.has_room()) {
    starved_ = true;
    return false;
  }
  if (!again_.empty()) {
    if (ring_.again(*now_.memory, again_.front(), chain_) != split_ring::found::one) {
      fail(ring_.problem());
      return false;
    }
    again_.pop_front();
    user_.take(*this, chain_);
    return true;
  }
  return take_one(chain_) && (user_.take(*this, chain_), true);
}

bool queue::take_one(chain& into) {
  if (!running() || stopping_ || halted_ || !now_.enabled) return false;
  switch (ring_.pop(*now_.memory, into)) {
    case split_ring::found::nothing:
      if (passive_) ring_.ask_for_kicks();
      return false;
    case split_ring::found::broken:
      fail(ring_.problem());
      return false;
    case split_ring::found::one:
      break;
  }
  if (record_) record_.took(into.head);
  ++taken_;
  return true;
}

/// Looks for more for a while, unless that found nothing the last times; then the guest is to kick.
void queue::poll() noexcept {
  if (!running() || passive_ || halted_ || (stopping_ && again_.empty())) return check_stopped();
  if (!ring_.empty() || !again_.empty()) {
    failed_polls_ = 0;
    if (now_.enabled || !again_.empty()) return run();
    return;
  }
  if (polls_to_skip_ == 0 && loop_.now_ns() < busy_until_) return loop_.defer(poll_);
  if (polls_to_skip_ > 0) {
    --polls_to_skip_;
  } else {
    failed_polls_ = std::min(failed_polls_ + 1, max_failed_polls);
    polls_to_skip_ = (1u << failed_polls_) - 1;
  }
  ring_.ask_for_kicks();
  if (!ring_.empty() && now_.enabled) run();
}

void queue::wrote(const iovec& part) {
  if (!now_.log) return;
  if (const auto address = now_.memory->address_of(static_cast<const std::uint8_t*>(part.iov_base)))
    now_.log->note(*address, part.iov_len);
}

void queue::give_back(std::uint16_t head, std::uint32_t written) {
  --taken_;
  if (!running() || halted_) return check_stopped();
  if (record_) record_.giving_back(head);
  const std::uint16_t at = ring_.used_index();
  ring_.push(head, written);
  if (record_) record_.gave_back(head, ring_.used_index());
  if (now_.log && now_.logs_used) {
    now_.log->note(now_.log_address + ring_.entry_offset(at), split_ring::used_entry_bytes);
    now_.log->note(now_.log_address, split_ring::used_header_bytes);
  }
  loop_.at_turn_end(notify_);
}

void queue::room() {
  if (std::exchange(starved_, false)) loop_.defer(poll_);
}

void queue::keep() {
  --taken_;
  check_stopped();
}

void queue::notify() noexcept {
  if (running() && now_.call) {
    const bool wanted = ring_.wants_signal();
    if (std::exchange(owes_signal_, false) || wanted) loop_.messages().signal(now_.call->get());
  }
  check_stopped();
}

/// The guest, or the front end, broke the rules: nothing of this ring is looked at any more.
void queue::fail(const char* why) {
  if (std::exchange(broken_, true)) return;
  SLUICE_LOG(warning, "vhost", "a queue is given up", {"queue", index_}, {"why", why});
  if (now_.failure) loop_.messages().signal(now_.failure->get());
  taken_ -= again_.size();
  again_.clear();
  descriptor_watch::stop();
}

void queue::stop(std::function<void(std::uint16_t next)> stopped) {
  stopping_ = true;
  stopped_ = std::move(stopped);
  descriptor_watch::stop();
  if (!again_.empty()) loop_.defer(poll_);
  check_stopped();
}

void queue::halt(std::function<void()> halted) {
  halted_ = std::move(halted);
  stopped_ = nullptr;  // nobody is there to be told
  descriptor_watch::stop();
  check_stopped();
}

void queue::check_stopped() {
  if (watching()) return;
  if (stopped_ && taken_ == 0 && !notify_.queued_) {
    const std::uint16_t next = ring_.bound() ? ring_.next() : now_.base;
    broken_ = false;
    ring_ = {};
    record_ = {};
    now_ = {};
    stopping_ = false;
    std::exchange(stopped_, nullptr)(next);
  }
  if (halted_ && !poll_.queued_ && !notify_.queued_) {
    const auto tell = std::exchange(halted_, [] {});
    tell();
  }
}

}  // namespace sluice::vhost
