#include <algorithm>
#include <utility>

#include "fabrics/iscsi/connection.hpp"
#include "fabrics/iser/rdma_mover.hpp"
#include "fabrics/rdma/plan.hpp"

/// Data, by READ and WRITE of the buffers that commands name [RFC7145 7.3].
namespace sluice::iser {

void rdma_mover::accepted(iscsi::command& c, const iscsi::tagged_buffers& buffers) {
  if (!buffers.in.is_there && !buffers.out.is_there) return;
  if (free_states_.empty()) free_states_.push_back(&all_states_.emplace_back());
  transfer_state& made = *free_states_.back();
  free_states_.pop_back();
  made = {};
  made.buffers = buffers;
  c.moved_by = &made;
}

void rdma_mover::forget(iscsi::command& c) {
  if (!c.moved_by) return;
  let_go(c);
  free_states_.push_back(static_cast<transfer_state*>(std::exchange(c.moved_by, nullptr)));
}

/// From here on nothing touches the memory of the task; an adapter that does has references to it of its own.
void rdma_mover::let_go(iscsi::command& c) {
  auto* const state = static_cast<transfer_state*>(c.moved_by);
  if (!state || !state->under_way) return;
  exchange& left = *std::exchange(state->under_way, nullptr);
  left.of = nullptr;
  state->abandoned = true;
  if (!sends_.cut(left)) ended(left, rdma::outcome::flushed);
}

void rdma_mover::fetch(iscsi::command& c) {
  auto* const state = static_cast<transfer_state*>(c.moved_by);
  if (!state || !state->buffers.out.is_there) return up_.refuse_transfer(c);
  if (state->under_way || !up_.provide_landing(c)) return;
  if (!state->first) state->first = up_.parameters().tagged_for_solicited_only ? c.arrived : 0;
  exchange& e = new_exchange(exchange::kind::fetch, &c);
  e.memory.push_back(c.landing.sub(0, static_cast<std::uint32_t>(c.fetch_end - c.arrived)));
  const iscsi::tagged_buffer& from = state->buffers.out;
  const rdma::remote_piece piece{from.offset, from.tag,
                                 static_cast<std::uint32_t>(c.task.expected_data_out - *state->first)};
  rdma::plan(rdma::request::kind::read, {&piece, 1}, c.arrived - *state->first, e.memory, max_parts_read_, e.chain);
  state->under_way = &e;
  sends_.push(e, rdma::send_queue::lane::data);
}

void rdma_mover::send_data_in(iscsi::command& c, bool completes) {
  if (cut_ || shut_) return;
  auto* const state = static_cast<transfer_state*>(c.moved_by);
  exchange& e = new_exchange(completes ? exchange::kind::message : exchange::kind::put, completes ? nullptr : &c);
  const std::uint64_t from = c.data_in_offset;
  for (const memory::slice& part : c.task.data_in) {
    const std::uint64_t room = c.task.expected_data_in - std::min(c.task.expected_data_in, c.data_in_offset);
    const auto octets = static_cast<std::uint32_t>(std::min<std::uint64_t>(part.size(), room));
    if (octets == 0) continue;
    memory::slice registered = part.sub(0, octets);
    if (loop_.buffers().region_of(registered.iov()) == memory::pool::no_region) {
      registered = loop_.buffers().take(octets, up_.payer());
      if (registered.empty()) {  // rare enough: what a medium lends is not taken
        give_back(e);
        return loop_.defer(fail_);
      }
      registered = registered.sub(0, octets);
      std::copy_n(part.data(), octets, registered.data());
    }
    e.memory.push_back(std::move(registered));
    c.data_in_offset += octets;
  }
  const iscsi::tagged_buffer to = state ? state->buffers.in : iscsi::tagged_buffer{};
  if (!e.memory.empty() && !to.is_there) {
    give_back(e);
    return violation("a command that has room for data, and no buffer");
  }
  const rdma::remote_piece piece{to.offset, to.tag, static_cast<std::uint32_t>(c.task.expected_data_in)};
  rdma::plan(rdma::request::kind::write, {&piece, 1}, from, e.memory, max_parts_write_, e.chain);
  if (completes) {
    with_data_ = &e;
    const bool may = state && !state->abandoned && initiator_can_.send_with_invalidate && link_->can_invalidate();
    if (may) invalidates_ = state->buffers.in.is_there ? state->buffers.in.tag : state->buffers.out.tag;
    return;
  }
  if (e.chain.empty()) return give_back(e);  // more than there is room for
  state->under_way = &e;
  sends_.push(e, rdma::send_queue::lane::data);
}

void rdma_mover::await_sent(iscsi::command& c) {
  const auto* const state = static_cast<const transfer_state*>(c.moved_by);
  if (!state || !state->under_way) up_.data_sent(c);
}

}  // namespace sluice::iser
