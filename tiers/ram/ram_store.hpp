#pragma once
#include <memory>
#include <utility>

#include "tiers/ram/arena.hpp"
#include "tiers/store/change_listeners.hpp"
#include "tiers/store/store.hpp"

namespace sluice::ram {

/// A store in memory: gone with the process, as fast as a copy. Requests of up to 1 MiB are done on the spot
/// (channel::try_now) and reads lend the store's own pages (channel::borrow).
class ram_store final : public store::store {
 public:
  /// errc::invalid_argument for a size that is 0 or no multiple of 512; errc::no_space when the system grants no
  /// address space. `huge_pages`: fewer TLB misses, but memory is taken 2 MiB at a time, and a first touch takes
  /// longer.
  static result<std::shared_ptr<ram_store>> make(std::uint64_t size_bytes, bool huge_pages = false);
  explicit ram_store(std::unique_ptr<arena> memory) : memory_(std::move(memory)) {}

  const char* type() const noexcept override { return "ram"; }
  sluice::store::properties describe() const override;
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override;
  result<void> resize(std::uint64_t size_bytes) override;
  result<void> check_size(std::uint64_t size_bytes) const override { return memory_->check_size(size_bytes); }
  void on_change(sluice::store::changed callback) override { listeners_.add(std::move(callback)); }

 private:
  std::unique_ptr<arena> memory_;
  sluice::store::change_listeners listeners_;
};

}  // namespace sluice::ram
