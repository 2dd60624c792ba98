#pragma once
#include <deque>
#include <functional>
#include <vector>

#include "actors/memory/slab.hpp"
#include "fabrics/rdma/device.hpp"

namespace sluice::rdma {

/// The receive buffers of a connection: slots of one size, cut out of larger blocks, each posted again as soon as its
/// message was looked at.
class receive_ring {
 public:
  using taker = std::function<void(const_bytes message)>;

  /// errc::no_space when the payer has not so much.
  static result<std::unique_ptr<receive_ring>> make(memory::pool& from, memory::account& payer, std::uint32_t slots,
                                                    std::uint32_t slot_bytes, taker taken);
  /// Posts all of them. The connection outlives what is posted.
  void post(connection& to);
  /// Posts none any more; those that are posted come back by themselves.
  void stop() { stopped_ = true; }

 private:
  struct slot final : work {
    receive_ring* of = nullptr;
    iovec memory{};
    void on_done(outcome how, std::uint32_t octets) noexcept override { of->received(*this, how, octets); }
  };
  void received(slot& at, outcome how, std::uint32_t octets) noexcept;

  std::vector<memory::slice> blocks_;
  std::deque<slot> slots_;
  taker taken_;
  connection* connection_ = nullptr;
  bool stopped_ = false;
};

}  // namespace sluice::rdma
