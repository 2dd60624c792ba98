#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "actors/reactor/offload.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// What the medium below a cache notes of flash (store::read_binding()): the one that was told of every write, by the
/// id of its superblock. Other flash is not believed at a start. So flash that vanished, that was replaced, or that
/// somebody ran without, may come back as it was. To read or write the note blocks.
class flash_binding {
 public:
  /// `offload` as of reactor::offloaded_calls, for which it waits when it goes.
  flash_binding(std::shared_ptr<store::store> medium, reactor::offload offload);
  flash_binding(const flash_binding&) = delete;
  flash_binding& operator=(const flash_binding&) = delete;

  // -- the control thread: these block ------------------------------------------------------------------------------
  /// Whether flash of this id (0: there is none) was told of every write until now. If not, none was any more: an error
  /// when the medium cannot be told so.
  result<bool> confirm(std::uint64_t flash);
  /// The flash that was confirmed or named last is told of nothing from now on. False when the medium still names it.
  bool forget();
  /// Whether the medium is this gateway's, as the store's tenure says. While it is not, nobody is named: another
  /// gateway's writes are told to none of ours. Returns when nobody is about to be.
  void set_tenure(bool holds);

  // -- loops: these do not ------------------------------------------------------------------------------------------
  /// Flash of this id holds nothing yet, and is told of every write from now on.
  void name_off_loop(std::uint64_t flash);
  /// As forget(); `answered` with its answer, on any thread, or within this call.
  void forget_off_loop(std::function<void(bool)> answered);

 private:
  bool clear(std::uint64_t flash);

  const std::shared_ptr<store::store> medium_;
  std::atomic<std::uint64_t> named_ = 0;  // that the medium names, or is about to; 0: none
  bool has_tenure_ = true;
  std::mutex guard_;                // of that, and of the note while it is read and written
  reactor::offloaded_calls calls_;  // last: they use all of the above
};

}  // namespace sluice::cache
