#pragma once
#include <deque>
#include <functional>
#include <vector>

#include "actors/memory/slab.hpp"
#include "fabrics/rdma/device.hpp"

namespace sluice::rdma {

/// The receive buffers of a connection: slots of one size, cut out of larger blocks, each posted again when its message
/// has been dealt with.
class receive_ring {
 public:
  struct slot final : work {
    receive_ring* of = nullptr;
    iovec memory{};
    void on_done(outcome how, std::uint32_t octets) noexcept override { of->received(*this, how, octets); }
  };
  /// The message lies in the slot until post_again(), or the end of the ring.
  using taker = std::function<void(slot& at, const_bytes message)>;

  /// errc::no_space when the payer has not so much.
  static result<std::unique_ptr<receive_ring>> make(memory::pool& from, memory::account& payer, std::uint32_t slots,
                                                    std::uint32_t slot_bytes, taker taken);
  /// Posts all of them. The connection outlives what is posted.
  void post(connection& to);
  void post_again(slot& at);
  /// Posts none any more, but still takes what comes; is_spent() when all have come, and been dealt with.
  void retire() { retired_ = true; }
  bool is_spent() const { return retired_ && spent_ == slots_.size(); }
  /// Posts none any more, and takes nothing; those that are posted come back by themselves.
  void stop() { stopped_ = true; }
  std::uint64_t octets() const;

 private:
  void received(slot& at, outcome how, std::uint32_t octets) noexcept;

  std::vector<memory::slice> blocks_;
  std::deque<slot> slots_;
  taker taken_;
  connection* connection_ = nullptr;
  bool retired_ = false, stopped_ = false;
  std::size_t spent_ = 0;  // slots that were dealt with since it was retired
};

}  // namespace sluice::rdma
