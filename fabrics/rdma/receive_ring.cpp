#include "fabrics/rdma/receive_ring.hpp"

#include <algorithm>

namespace sluice::rdma {

result<std::unique_ptr<receive_ring>> receive_ring::make(memory::pool& from, memory::account& payer,
                                                         std::uint32_t slots, std::uint32_t slot_bytes, taker taken) {
  constexpr std::uint32_t block_bytes = 256 * 1024;
  SLUICE_CHECK(slot_bytes > 0 && slot_bytes <= block_bytes);
  auto made = std::make_unique<receive_ring>();
  made->taken_ = std::move(taken);
  while (made->slots_.size() < slots) {
    const auto left = static_cast<std::uint32_t>(slots - made->slots_.size());
    const std::uint32_t here = std::min(left, block_bytes / slot_bytes);
    memory::slice block = from.take(here * slot_bytes, payer);
    if (block.empty()) return fail(errc::no_space, "no memory for receive buffers");
    for (std::uint32_t i = 0; i < here; ++i) {
      slot& added = made->slots_.emplace_back();
      added.of = made.get();
      added.memory = {block.data() + std::size_t{i} * slot_bytes, slot_bytes};
    }
    made->blocks_.push_back(std::move(block));
  }
  return made;
}

void receive_ring::post(connection& to) {
  connection_ = &to;
  for (slot& each : slots_) to.receive(each, each.memory);
}

void receive_ring::post_again(slot& at) {
  if (retired_) ++spent_;
  if (!retired_ && !stopped_) connection_->receive(at, at.memory);
}

std::uint64_t receive_ring::octets() const {
  std::uint64_t all = 0;
  for (const memory::slice& each : blocks_) all += each.size();
  return all;
}

void receive_ring::received(slot& at, outcome how, std::uint32_t octets) noexcept {
  if (how == outcome::done && !stopped_) taken_(at, {static_cast<const std::uint8_t*>(at.memory.iov_base), octets});
}

}  // namespace sluice::rdma
