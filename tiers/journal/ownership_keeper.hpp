#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "actors/reactor/offload.hpp"
#include "tiers/store/store.hpp"

namespace sluice::journal {

/// The mark of the store below, as the journal over it needs it. To write it blocks: a file is synced, an image asks
/// its cluster. The control thread waits for that, loops have it offloaded.
class ownership_keeper {
 public:
  /// `epoch` is that of the journal; `offload` as of reactor::offloaded_calls, for which it waits when it goes.
  ownership_keeper(std::shared_ptr<store::store> below, std::uint64_t epoch, reactor::offload offload);
  ownership_keeper(const ownership_keeper&) = delete;
  ownership_keeper& operator=(const ownership_keeper&) = delete;

  // -- the control thread: these block -------------------------------------------------------------------------------
  /// From now on the medium may lack data: its mark says who has them, where it keeps one. Then calls `claimed`, which
  /// makes that so; nothing clears the mark in between.
  result<void> claim(const std::string& holder, const std::function<void()>& claimed);
  /// The medium lacks nothing. False when it could not be told.
  bool clear();

  // -- loops: these do not -------------------------------------------------------------------------------------------
  /// How often the medium was claimed. Who sees a claim counted sees what its `claimed` did.
  std::uint64_t claims() const noexcept { return claims_.load(std::memory_order_seq_cst); }
  /// As clear(), unless more claims than these have been made when it comes to that.
  void clear_off_loop(std::uint64_t claims);
  /// What a journal holds for the medium is void from now on, also where the journal cannot be told. `holder` empty:
  /// the medium lacks nothing, else who it was that had what it lacks. `answered` says whether the medium knows; any
  /// thread, or within this call.
  void disown_off_loop(std::string holder, std::function<void(bool)> answered);

 private:
  bool write_cleared();
  result<void> write(const store::ownership& wanted);

  const std::shared_ptr<store::store> below_;
  std::mutex guard_;  // of the mark, while it is written
  std::uint64_t epoch_;
  std::optional<store::ownership> written_;  // none: it is not known what the medium has
  std::atomic<std::uint64_t> claims_ = 0;
  reactor::offloaded_calls calls_;  // last: they use all of the above
};

}  // namespace sluice::journal
