#pragma once
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabrics/iscsi/datamover.hpp"
#include "fabrics/iscsi/pdu.hpp"
#include "fabrics/iser/header.hpp"
#include "fabrics/rdma/receive_ring.hpp"
#include "fabrics/rdma/send_queue.hpp"

namespace sluice::iser {

/// PDUs in messages, data by RDMA READ and WRITE of the buffers that a command names [RFC7145].
///
/// Receives: a few for the login, from the strangers' memory, and as many as the command window has commands, and more
/// for what comes outside of it, once there is a session, whose share pays. They are posted before the initiator hears
/// that it is logged in.
class rdma_mover final : public iscsi::datamover, rdma::connection::handler {
 public:
  /// Octets of a message that carries the longest data segment that we take.
  static constexpr std::uint32_t slot_bytes = 8320;
  static constexpr std::uint32_t login_receives = 2;
  /// What an initiator may send outside of the command window: immediate commands, and our NOP-Ins' answers.
  static constexpr std::uint32_t uncounted_receives = 40;

  rdma_mover(iscsi::connection& of, reactor::loop& loop, std::unique_ptr<rdma::connection> link, std::uint32_t window);
  ~rdma_mover() override;

  void start() override;
  std::optional<reactor::endpoint> local() const override;
  std::optional<reactor::endpoint> peer() const override;
  void restrict(port::capabilities& caps) const override;

  void receive() override {}  // all that may come has a receive posted
  void await() override {}
  bool process() override;
  bool hear_one() override;
  bool has_unread() const override { return !inbox_.empty(); }
  bool try_again() override;
  std::uint64_t held() const override { return login_ring_ ? login_ring_->octets() : 0; }
  void forget_input() override { shut(); }  // a queue pair needs its receives

  std::uint8_t* begin_pdu() override { return next_header_.data(); }
  void end_pdu(std::uint8_t* header, const_bytes data) override;
  void end_pdu(std::uint8_t* header, const memory::slice& data) override { end_pdu(header, data.span()); }
  void push() override { loop_.at_turn_end(flush_); }
  void push_soon() override { loop_.defer(flush_); }
  void push_now() override { flush(); }
  bool has_output() const override { return !said_.empty(); }
  std::uint64_t unsent() const override { return unsent_; }
  void forget_output() override;

  void fetch(iscsi::command& c) override;
  void send_data_in(iscsi::command& c, bool completes) override;
  void await_sent(iscsi::command& c) override;
  void let_go(iscsi::command& c) override;
  void accepted(iscsi::command& c, const iscsi::tagged_buffers& buffers) override;
  void forget(iscsi::command& c) override;

  void pay_from(memory::account&) override { free_messages_.clear(); }
  void begin_full_feature() override;
  void cut() override;
  bool is_cut() const override { return cut_; }
  bool is_drained() const override { return cut_ || (said_.empty() && messages_ == 0); }
  void shut() override;
  bool is_idle() const override;
  void close() override { link_.reset(); }

 private:
  struct exchange;
  /// What there is to know of a command that came with buffers.
  struct transfer_state {
    iscsi::tagged_buffers buffers;
    std::optional<std::uint64_t> first;  // octets of data-out that are not in the buffer, once it is read
    exchange* under_way = nullptr;
    bool abandoned = false;  // something was under way that was given up: no key may be invalidated
  };
  /// Something that is sent or fetched, and the memory of it. It outlives the command that it is for, when that lets
  /// go: the adapter does not let go of memory before the end of its request.
  struct exchange final : rdma::transfer {
    enum class kind : std::uint8_t { message, fetch, put };
    rdma_mover* owner = nullptr;
    kind what = kind::message;
    iscsi::command* of = nullptr;  // null: nobody waits for it
    std::uint32_t octets = 0;      // of a message
    std::vector<memory::slice> memory;
    void on_end(rdma::outcome how) noexcept override { owner->ended(*this, how); }
  };
  struct arrival {
    rdma::receive_ring* ring;
    rdma::receive_ring::slot* at;
    const_bytes octets;
  };

  void on_established() noexcept override {}
  void on_lost(const std::string& why) noexcept override;
  void on_drained() noexcept override;

  std::unique_ptr<rdma::receive_ring> make_ring(std::uint32_t slots);
  void arrived(rdma::receive_ring& ring, rdma::receive_ring::slot& at, const_bytes octets);
  bool take(const_bytes octets);
  bool take_pdu(const message& m);
  void flush() noexcept;
  void fail() noexcept;
  void violation(const char* what);
  memory::slice message_memory(std::uint32_t octets);
  void say(exchange& e, std::span<const std::uint8_t> head, const_bytes data);
  exchange& new_exchange(exchange::kind what, iscsi::command* of);
  void ended(exchange& e, rdma::outcome how);
  void give_back(exchange& e);

  iscsi::connection& up_;
  reactor::loop& loop_;
  std::unique_ptr<rdma::connection> link_;
  rdma::send_queue sends_;
  const std::uint32_t window_;
  const abilities initiator_can_;
  std::unique_ptr<rdma::receive_ring> login_ring_, ring_;
  std::deque<arrival> inbox_;
  bool open_ = false;  // there is a queue pair, and it is not drained
  bool cut_ = false, shut_ = false, starved_ = false;
  unsigned max_parts_read_ = 1, max_parts_write_ = 1;

  std::array<std::uint8_t, iscsi::bhs_bytes> next_header_{};
  exchange* with_data_ = nullptr;  // data-in that the next PDU, a response, goes behind
  std::uint32_t invalidates_ = 0;  // the key that goes with it
  std::vector<exchange*> said_;    // messages that leave at the end of the turn
  std::uint64_t unsent_ = 0;       // octets of messages that have not left
  std::size_t messages_ = 0;       // on their way
  std::size_t exchanging_ = 0;
  std::deque<exchange> all_exchanges_;
  std::vector<exchange*> free_exchanges_;
  std::deque<transfer_state> all_states_;
  std::vector<transfer_state*> free_states_;
  std::vector<memory::slice> free_messages_;

  reactor::member_runnable<rdma_mover, &rdma_mover::flush> flush_{*this};
  reactor::member_runnable<rdma_mover, &rdma_mover::fail> fail_{*this};
};

/// A connection that has been asked for, and has moved to the core of `loop`.
class accepted_link final : public iscsi::accepted_peer {
 public:
  accepted_link(reactor::loop& loop, std::unique_ptr<rdma::connection> link, std::uint32_t window)
      : loop_(loop), link_(std::move(link)), window_(window) {}
  std::unique_ptr<iscsi::datamover> open(iscsi::connection& of) override {
    return std::make_unique<rdma_mover>(of, loop_, std::move(link_), window_);
  }
  void refuse() override { link_.reset(); }

 private:
  reactor::loop& loop_;
  std::unique_ptr<rdma::connection> link_;
  const std::uint32_t window_;
};

}  // namespace sluice::iser
