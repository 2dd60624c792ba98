#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/sim/judge.hpp"
#include "tiers/store/store.hpp"

namespace sluice::sim {

/// The flushes that a gateway asks of one store, as they begin and end there, by the oracle's clock and in virtual
/// time. It outlives the store.
class flush_log {
 public:
  enum class ending : std::uint8_t { running, good, failed, not_done };
  struct flush {
    std::uint64_t begun, ended = 0;
    std::uint64_t ended_ns = 0;
    ending how = ending::running;
  };

  explicit flush_log(judge& told) : judge_(told) {}
  std::size_t begins() {
    flushes_.push_back({judge_.tick()});
    return flushes_.size() - 1;
  }
  void ends(std::size_t which, store::status outcome, std::uint64_t now_ns) {
    flush& f = flushes_[which];
    f.ended = judge_.tick();
    f.ended_ns = now_ns;
    f.how = outcome == store::status::good      ? ending::good
            : outcome == store::status::aborted ? ending::not_done
                                                : ending::failed;
    any_failed_ = any_failed_ || f.how == ending::failed;
    if (f.how == ending::failed) lost_at_ = f.ended;
    if (f.how == ending::good && f.begun > lost_at_) lost_at_ = 0;
  }
  const std::vector<flush>& all() const { return flushes_; }
  bool any_failed() const { return any_failed_; }
  /// Whether one failed in the life of the gateway that no good one followed: it may be that none is good any more.
  bool lacks() const { return lost_at_ != 0; }
  /// Whether the life of the gateway that ends now leaves something lost: the store calls no flush good after one that
  /// failed, unless all was written anew.
  bool life_ends() { return std::exchange(lost_at_, 0) != 0; }

 private:
  judge& judge_;
  std::vector<flush> flushes_;
  bool any_failed_ = false;
  std::uint64_t lost_at_ = 0;  // the latest failure without a good flush behind it
};

}  // namespace sluice::sim
