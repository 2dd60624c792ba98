#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "tiers/store/change_listeners.hpp"
#include "tiers/store/path_watch.hpp"

namespace sluice::store {

/// What goes wrong with a medium, as requests and looks at it tell: for health, the log, and whoever reads or flushes.
/// Any thread.
class medium_condition {
 public:
  static constexpr std::uint64_t whole = UINT64_MAX;

  /// `name` is what the operator calls the medium.
  explicit medium_condition(std::string name) : name_(std::move(name)) {}
  medium_condition(const medium_condition&) = delete;
  medium_condition& operator=(const medium_condition&) = delete;

  // -- requests ------------------------------------------------------------------------------------------------------
  void failed(verb what, int error_number, std::uint64_t now_ns);
  /// Whether any failed lately: then went_well() is to hear of those that are good.
  bool is_failing() const { return failing_.load(std::memory_order_relaxed) != 0; }
  void went_well(verb what, std::uint64_t now_ns);

  // -- acknowledged writes that are not durable ----------------------------------------------------------------------
  void wrote(std::uint64_t octets) { written_.fetch_add(octets, std::memory_order_relaxed); }
  std::uint64_t written() const { return written_.load(std::memory_order_relaxed); }
  /// The system could not write what it had taken; it says so once, and forgets the data.
  void lose_writes(int error_number);
  /// What a flush is answered that the system called good and that began after so many written octets: 0, or the error
  /// by which writes were lost. `written_anew`: whoever flushes was told of the losses up to this one, and has written
  /// all of it again since; another loss, whoever was told of it, may have taken that as well.
  int flushed(std::uint64_t written_before, std::uint64_t written_anew);
  /// The number of the newest loss; 0: there was none.
  std::uint64_t newest_loss() const;

  // -- syncs: the system tells that it lost writes once, to the first of them that asks ------------------------------
  /// Before a sync begins, or a durable write through the page cache, which may be told likewise; its number.
  std::uint64_t sync_begins();
  /// What it was told has been noted.
  void sync_ended(std::uint64_t number);
  /// The number of the newest.
  std::uint64_t syncs_begun() const;
  /// Whether all up to that one have ended: only then is it known what the system told.
  bool have_syncs_ended(std::uint64_t up_to) const;

  // -- the end of the medium -----------------------------------------------------------------------------------------
  /// Nothing can be read from here on, because the medium was cut short behind our back; `whole` when it was not.
  std::uint64_t cut() const { return cut_.load(std::memory_order_relaxed); }
  /// It ends there, and not at `size`.
  void found_end(std::uint64_t end, std::uint64_t size);
  /// An operator gave the medium a size.
  void was_resized();

  /// What it should have; before anybody makes it shorter, and after it was made longer.
  void set_size(std::uint64_t size) { size_.store(size, std::memory_order_release); }
  /// What a look under the medium's name found. One thread.
  void looked_at(const path_finding& found);

  /// "good", or sentences.
  std::string health() const;
  /// How often acknowledged data were found lost.
  std::uint32_t losses() const { return losses_.load(std::memory_order_acquire); }
  /// What was lost is given up; how many octets that may be.
  std::uint64_t forget_losses();

  change_listeners listeners;  // told of each loss

 private:
  enum kind : std::uint8_t { reading, writing, flushing, kinds };
  static kind kind_of(verb what);
  void note_loss();
  void set_place(const std::string& what);

  const std::string name_;
  std::atomic<std::uint8_t> failing_ = 0;  // a bit for each kind
  std::atomic<std::uint64_t> written_ = 0;
  std::atomic<std::uint64_t> cut_ = whole;
  std::atomic<std::uint64_t> size_ = 0;
  std::atomic<std::uint32_t> losses_ = 0;
  bool seems_shorter_ = false;  // at the last look under its name

  mutable std::mutex guard_;  // of what follows
  std::array<int, kinds> errors_{};
  std::array<std::uint64_t, kinds> failed_ns_{};
  std::uint64_t durable_ = 0;        // of written_
  int lost_error_ = 0;               // 0: nothing is lost
  std::uint64_t lost_bytes_ = 0;     // at most
  std::uint64_t newest_loss_ = 0;    // they are counted from 1
  std::uint64_t missing_bytes_ = 0;  // between cut_ and the size
  std::string place_;
  std::uint64_t syncs_begun_ = 0;
  std::vector<std::uint64_t> syncs_;  // that have not ended, in order
};

}  // namespace sluice::store
