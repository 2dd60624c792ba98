#pragma once
#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "gateway/unit/attentions.hpp"

namespace sluice::unit {

/// Where an order to establish unit attentions comes from. Each source numbers its orders upwards, and every shard
/// hears them in that order.
enum class attention_source : std::uint8_t {
  coordinator,  // a publication, by its number
  lun_map,      // a directory, by its version
};

/// The deferred error of a nexus: a flush failed on which writes depended that were acknowledged to it. Each failure is
/// told once; a reset does not undo it.
class deferred_error {
 public:
  bool pending() const { return pending_; }
  void establish(std::uint64_t failure) {
    if (failure <= known_) return;
    known_ = failure;
    pending_ = true;
  }
  bool take() { return std::exchange(pending_, false); }
  /// The nexus has heard of it otherwise.
  void told(std::uint64_t failure) {
    known_ = std::max(known_, failure);
    pending_ = false;
  }

 private:
  std::uint64_t known_ = 0;
  bool pending_ = false;
};

/// The unit attentions of an I_T nexus whose channels are on several cores: one queue, so that each condition is told
/// once, by whichever channel's command comes first. Every shard hears of every order; the first to come establishes.
/// Any thread; the lock is taken for a moment, and only on behalf of such a nexus.
class shared_attentions {
 public:
  bool empty() const;
  std::optional<scsi::additional_sense> take();
  void drop(scsi::additional_sense code);
  void establish(scsi::additional_sense code);
  /// False: another shard has carried out this order, or the condition was there before.
  bool establish(scsi::additional_sense code, attention_source from, std::uint64_t order);
  /// Does `what` with the deferred error.
  template <class What>
  auto with_deferred(What what) {
    const std::lock_guard lock(mutex_);
    return what(deferred_);
  }

 private:
  friend class attention_book;
  struct carried_out {
    attention_source from;
    std::uint64_t order;
    scsi::additional_sense code;
  };

  mutable std::mutex mutex_;
  attention_queue queue_;
  deferred_error deferred_;
  /// The latest orders: a shard is never so far behind the others that what it hears is not among them.
  std::deque<carried_out> carried_out_;
  unsigned shards_ = 0;  // that the nexus is attached to; guarded by the book
};

/// The shared queues of one unit, by nexus. Any thread.
class attention_book {
 public:
  /// A shard takes the nexus in. `fresh`: it is the first, or all others have left.
  struct joined {
    std::shared_ptr<shared_attentions> queue;
    bool fresh = false;
  };
  joined join(std::uint64_t nexus_id);
  /// Whether the shard was the last to have it.
  bool leave(std::uint64_t nexus_id);

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<shared_attentions>> by_nexus_;
};

/// The unit attentions of a nexus as one shard sees them: its own, or those that the shards of its channels share.
class nexus_attentions {
 public:
  void share(std::shared_ptr<shared_attentions> queue) { shared_ = std::move(queue); }
  bool shared() const { return shared_ != nullptr; }
  bool empty() const { return shared_ ? shared_->empty() : own_.empty(); }
  /// The oldest, which is thereby told.
  std::optional<scsi::additional_sense> take();
  void drop(scsi::additional_sense code) { shared_ ? shared_->drop(code) : own_.drop(code); }
  void establish(scsi::additional_sense code) { shared_ ? shared_->establish(code) : void(own_.establish(code)); }
  /// As an order says; whether it is this shard that established something new.
  bool establish(scsi::additional_sense code, attention_source from, std::uint64_t order) {
    return shared_ ? shared_->establish(code, from, order) : own_.establish(code);
  }
  /// Does `what` with the deferred error of the nexus.
  template <class What>
  auto with_deferred(What what) {
    return shared_ ? shared_->with_deferred(what) : what(own_deferred_);
  }

 private:
  attention_queue own_;
  deferred_error own_deferred_;
  std::shared_ptr<shared_attentions> shared_;
};

}  // namespace sluice::unit
