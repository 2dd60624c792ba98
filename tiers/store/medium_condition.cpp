#include "tiers/store/medium_condition.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::store {
namespace {

/// A medium on which some requests fail and others do not is not well: it has to be good for so long.
constexpr std::uint64_t probation_ns = 10 * ns_per_s;

std::string text_of(int error_number) {
  return std::generic_category().message(error_number);
}

}  // namespace

medium_condition::kind medium_condition::kind_of(verb what) {
  if (what == verb::flush) return flushing;
  return what == verb::read || what == verb::map ? reading : writing;
}

void medium_condition::failed(verb what, int error_number, std::uint64_t now_ns) {
  static constexpr std::array<const char*, kinds> sentences{"reads fail", "writes fail", "flushes fail"};
  const kind which = kind_of(what);
  const std::lock_guard lock(guard_);
  failed_ns_[which] = now_ns;
  const auto bit = static_cast<std::uint8_t>(1U << which);
  if ((failing_.fetch_or(bit) & bit) != 0 && errors_[which] == error_number) return;
  errors_[which] = error_number;
  SLUICE_LOG(error, "store", sentences[which], {"medium", name_}, {"why", text_of(error_number)});
}

void medium_condition::went_well(verb what, std::uint64_t now_ns) {
  const kind which = kind_of(what);
  const std::lock_guard lock(guard_);
  if (errors_[which] == 0 || now_ns - failed_ns_[which] < probation_ns) return;
  errors_[which] = 0;
  failing_.fetch_and(static_cast<std::uint8_t>(~(1U << which)));
  SLUICE_LOG(info, "store", "requests succeed again", {"medium", name_});
}

void medium_condition::note_loss() {
  losses_.fetch_add(1, std::memory_order_acq_rel);
  listeners.tell();
}

void medium_condition::lose_writes(int error_number) {
  {
    const std::lock_guard lock(guard_);
    lost_error_ = error_number;
    ++newest_loss_;
    const std::uint64_t written = written_.load();
    lost_bytes_ += written - std::exchange(durable_, written);
    SLUICE_LOG(error, "store", "acknowledged writes could not be brought to the medium and may be lost",
               {"medium", name_}, {"bytes", lost_bytes_}, {"why", text_of(error_number)});
  }
  note_loss();
}

int medium_condition::flushed(std::uint64_t written_before, std::uint64_t written_anew) {
  const std::lock_guard lock(guard_);
  durable_ = std::max(durable_, written_before);
  if (lost_error_ == 0) return 0;
  if (written_anew != newest_loss_) return lost_error_;
  SLUICE_LOG(info, "store", "what may have been lost was written anew", {"medium", name_});
  lost_bytes_ = 0;
  lost_error_ = 0;
  return 0;
}

std::uint64_t medium_condition::newest_loss() const {
  const std::lock_guard lock(guard_);
  return newest_loss_;
}

std::uint64_t medium_condition::sync_begins() {
  const std::lock_guard lock(guard_);
  syncs_.push_back(++syncs_begun_);
  return syncs_begun_;
}

void medium_condition::sync_ended(std::uint64_t number) {
  const std::lock_guard lock(guard_);
  syncs_.erase(std::find(syncs_.begin(), syncs_.end(), number));
}

std::uint64_t medium_condition::syncs_begun() const {
  const std::lock_guard lock(guard_);
  return syncs_begun_;
}

bool medium_condition::have_syncs_ended(std::uint64_t up_to) const {
  const std::lock_guard lock(guard_);
  return syncs_.empty() || syncs_.front() > up_to;
}

void medium_condition::found_end(std::uint64_t end, std::uint64_t size) {
  {
    const std::lock_guard lock(guard_);
    if (end >= cut_.load()) return;
    cut_ = end;
    missing_bytes_ = size - end;
    SLUICE_LOG(error, "store", "the medium was cut short behind the gateway's back: what is missing cannot be read",
               {"medium", name_}, {"end", end}, {"missing_bytes", missing_bytes_});
  }
  note_loss();
}

void medium_condition::was_resized() {
  const std::lock_guard lock(guard_);
  cut_ = whole;
  missing_bytes_ = 0;
}

/// Once may be a resize that is under way.
void medium_condition::looked_at(const path_finding& found) {
  set_place(found.trouble);
  const std::uint64_t wanted = size_.load(std::memory_order_acquire);
  const bool shorter = found.trouble.empty() && found.size_bytes < wanted;
  if (std::exchange(seems_shorter_, shorter) && shorter) found_end(found.size_bytes, wanted);
}

void medium_condition::set_place(const std::string& what) {
  bool goes = false;
  {
    const std::lock_guard lock(guard_);
    if (place_ == what) return;
    goes = place_.empty();
    place_ = what;
  }
  if (what.empty())
    SLUICE_LOG(info, "store", "the medium is found under its name again", {"medium", name_});
  else
    SLUICE_LOG(error, "store", "the medium in use is not what lies under its name any more", {"medium", name_},
               {"what", what});
  if (goes) note_loss();
}

std::string medium_condition::health() const {
  const std::lock_guard lock(guard_);
  std::string all;
  const auto add = [&](const std::string& sentence) { all += (all.empty() ? "" : "; ") + sentence; };
  if (!place_.empty())
    add(name_ + " " + place_ +
        " while it is in use: what is written is lost when the gateway ends; copy it from the "
        "unit, or put the file back, before that");
  if (missing_bytes_ != 0)
    add(name_ + " was cut short: its last " + std::to_string(missing_bytes_) +
        " octets cannot be read; restore it and start the gateway anew, or let them be zeroes with: sluice cache "
        "resolve --store NAME --discard");
  if (lost_error_ != 0)
    add("up to " + std::to_string(lost_bytes_) + " acknowledged octets did not get to " + name_ + " (" +
        text_of(lost_error_) +
        ") and may be lost: flushes fail until they are given up with: sluice cache resolve --store NAME --discard");
  static constexpr std::array<const char*, kinds> sentences{"reads of ", "writes to ", "flushes of "};
  for (unsigned which = 0; which < kinds; ++which)
    if (errors_[which] != 0) add(sentences[which] + name_ + " fail: " + text_of(errors_[which]));
  return all.empty() ? "good" : all;
}

std::uint64_t medium_condition::forget_losses() {
  const std::lock_guard lock(guard_);
  const std::uint64_t lost = lost_bytes_ + missing_bytes_;
  const bool any = lost_error_ != 0 || missing_bytes_ != 0;
  lost_error_ = 0;
  lost_bytes_ = 0;
  return any ? std::max<std::uint64_t>(lost, 1) : 0;
}

}  // namespace sluice::store
