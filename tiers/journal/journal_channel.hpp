#pragma once
#include <memory>
#include <vector>

#include "tiers/journal/journal_owner.hpp"

namespace sluice::journal {

/// One core's interface to a journal. Reads are done here; all else the owner does, wherever it sits.
class journal_channel final : public store::channel {
 public:
  journal_channel(std::shared_ptr<journal_core> core, std::shared_ptr<journal_owner> owner,
                  std::unique_ptr<store::channel> below, reactor::loop& loop);
  ~journal_channel() override;

  void submit(store::request& r) noexcept override;
  bool try_now(store::request& r, store::status& outcome) noexcept override;
  bool idle() noexcept override;
  store::availability available() const noexcept override { return below_->available(); }

  /// The owner is through with the job; called on its loop.
  void finished(journal_job& job, const reactor::loop& on) noexcept;

 private:
  /// Answers on their way from another core; outlives the channel when the loop still has it in line.
  struct outbox {
    inbox<journal_job> jobs;
    journal_channel* channel = nullptr;
  };
  void answer(journal_job& job) noexcept;
  void take_outbox() noexcept;
  /// Whether every read may go straight below.
  bool is_clean() const noexcept { return core_->index.empty() && !core_->any_lost(); }

  std::shared_ptr<journal_core> core_;
  std::shared_ptr<journal_owner> owner_;
  std::unique_ptr<store::channel> below_;
  reactor::loop& loop_;
  overlay_reader reader_;
  std::vector<std::unique_ptr<journal_job>> jobs_;
  journal_job* free_ = nullptr;
  std::shared_ptr<outbox> outbox_ = std::make_shared<outbox>();
};

}  // namespace sluice::journal
