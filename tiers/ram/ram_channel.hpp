#pragma once
#include "tiers/ram/arena.hpp"
#include "tiers/store/scatter.hpp"
#include "tiers/store/store.hpp"

namespace sluice::ram {

/// One core's interface to an arena. Holds no state of the store: channels of different cores never meet.
class ram_channel final : public store::channel {
 public:
  /// `loop` may be null for a caller that only uses try_now() and borrow().
  ram_channel(arena& memory, reactor::loop* loop) : memory_(memory), loop_(loop) {}
  ~ram_channel() override;

  void submit(store::request& r) noexcept override;
  bool borrow(std::uint64_t offset_bytes, std::uint64_t length_bytes,
              std::vector<memory::slice>& out) noexcept override;
  bool try_now(store::request& r, store::status& outcome) noexcept override;

 private:
  bool step(store::request& r, store::status& outcome) noexcept;
  void run_queue() noexcept;

  arena& memory_;
  reactor::loop* loop_;
  store::request_queue queue_;
  bool running_ = false;
  reactor::member_runnable<ram_channel, &ram_channel::run_queue> run_queue_{*this};
};

}  // namespace sluice::ram
