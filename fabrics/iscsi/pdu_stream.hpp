#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "fabrics/iscsi/datamover.hpp"
#include "fabrics/iscsi/pdu.hpp"
#include "fabrics/iscsi/receive_buffer.hpp"
#include "fabrics/iscsi/send_queue.hpp"

namespace sluice::iscsi {

/// PDUs one after the other in a stream of octets, with digests: iSCSI over TCP [RFC7143 11.2]. Data come in Data-Out
/// PDUs and go in Data-In PDUs.
class pdu_stream final : public datamover {
 public:
  /// Takes the connected handle over.
  pdu_stream(connection& of, reactor::loop& loop, reactor::handle socket);
  ~pdu_stream() override;

  void start() override {}
  std::optional<reactor::endpoint> local() const override;
  std::optional<reactor::endpoint> peer() const override;
  void restrict(port::capabilities& caps) const override;

  void receive() override;
  void await() override;
  bool process() override;
  bool hear_one() override;
  bool has_unread() const override { return !in_.unread().empty(); }
  bool try_again() override;
  void rest() override { in_.rest(); }
  std::uint64_t held() const override { return in_.held(); }
  void forget_input() override { in_.clear(); }

  std::uint8_t* begin_pdu() override;
  void end_pdu(std::uint8_t* header, const_bytes data) override;
  void end_pdu(std::uint8_t* header, const memory::slice& data) override;
  void push() override { loop_.at_turn_end(flush_); }
  void push_soon() override { loop_.defer(flush_); }
  void push_now() override { flush(); }
  bool has_output() const override { return !out_.empty(); }
  std::uint64_t unsent() const override { return out_.octets(); }
  void forget_output() override { out_.clear(); }

  void fetch(command& c) override;
  void send_data_in(command& c, bool completes) override;
  void await_sent(command& c) override;
  void let_go(command& c) override { std::erase(put_waiting_, &c); }
  void forget(command& c) override;
  bool is_taking_last(const command& c) const override;

  void pay_from(memory::account& share) override;
  void begin_full_feature() override { digests_on_ = true; }
  void cut() override;
  bool is_cut() const override { return cut_; }
  bool is_drained() const override { return cut_ || out_.empty(); }
  void shut() override;
  bool is_idle() const override;
  void close() override;

  reactor::handle offer() override;
  void give_up() override;
  void adopt(reactor::handle socket) override;

 private:
  enum class receive_state : std::uint8_t { header, payload, trailer, skip };
  /// Payload on its way into its own place rather than through the slab.
  struct sink {
    command* target = nullptr;
    memory::slice buffer;  // keeps the memory while a receive is under way; empty: the payload is dropped
    std::uint32_t at = 0, begin = 0, end = 0;
    bool immediate_data = false;
    bool final = false;
  };

  void on_readable(std::int64_t result) noexcept;
  void on_received(std::int64_t result) noexcept;
  void on_writable(std::int64_t result) noexcept;
  void flush() noexcept;
  void starve();

  // pdu_stream_receive.cpp: framing
  bool take_header();
  bool take_whole(bhs_view header_at, std::uint32_t header_bytes, const header& shape);
  bool start_sink(bhs_view header_at, std::uint32_t header_bytes, const header& shape);
  bool take_payload();
  bool take_trailer();
  bool take_skip();
  void sink_done();
  void skip(std::uint32_t data_bytes);
  std::uint32_t trailer_bytes(std::uint32_t data_bytes) const;
  bool has_header_digest() const;
  bool has_data_digest() const;

  void seal_header(std::uint8_t* at) const;
  void send_trailer(std::uint32_t data_bytes, std::uint32_t crc);

  connection& up_;
  reactor::loop& loop_;
  reactor::handle socket_;
  bool digests_on_ = false;  // full feature phase, the parameters say which
  bool starved_ = false;     // the receive side waits for buffers
  bool cut_ = false, shut_ = false;

  receive_state state_ = receive_state::header;
  receive_buffer in_;
  send_queue out_;
  std::uint32_t wanted_ = bhs_bytes;  // octets in one piece that the parser waits for
  sink sink_;
  std::uint32_t skip_bytes_ = 0;  // data and padding
  std::uint32_t skip_crc_ = 0;
  std::vector<command*> put_waiting_;

  reactor::member_operation<pdu_stream, &pdu_stream::on_readable> readable_{*this};  // of a stranger
  reactor::member_operation<pdu_stream, &pdu_stream::on_received> receive_{*this};
  reactor::member_operation<pdu_stream, &pdu_stream::on_writable> writable_{*this};
  reactor::member_runnable<pdu_stream, &pdu_stream::flush> flush_{*this};
};

/// A connected socket, which `loop` is to serve.
class accepted_socket final : public accepted_peer {
 public:
  accepted_socket(reactor::loop& loop, reactor::handle socket) : loop_(loop), socket_(socket) {}
  std::unique_ptr<datamover> open(connection& of) override { return std::make_unique<pdu_stream>(of, loop_, socket_); }
  void refuse() override { loop_.close(socket_); }

 private:
  reactor::loop& loop_;
  const reactor::handle socket_;
};

}  // namespace sluice::iscsi
