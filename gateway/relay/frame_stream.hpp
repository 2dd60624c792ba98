#pragma once
#include <string>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "gateway/relay/frames.hpp"
#include "gateway/relay/secure_channel.hpp"

namespace sluice::relay {

/// Frames over one connection. Its loop only.
class frame_stream {
 public:
  /// Who has the stream; is told from within steps of the loop, and destroys the stream from within on_broken() only.
  class user {
   public:
    /// The peer has proved itself: send() may be called.
    virtual void on_secured() noexcept = 0;
    /// A header and its body. Where the payload goes: as long as that is; empty and it is dropped. An error breaks the
    /// stream.
    virtual result<bytes> on_frame(const header& h, const_bytes body) noexcept = 0;
    /// Its payload is there, or was dropped.
    virtual void on_payload(const header& h) noexcept = 0;
    /// What was sent is on its way: congested() no longer holds.
    virtual void on_room() noexcept = 0;
    /// It has ended, once; nothing is in flight, and nothing else is called.
    virtual void on_broken(const error& why) noexcept = 0;

   protected:
    ~user() = default;
  };

  frame_stream(reactor::loop& loop, reactor::handle connection, secure_channel::side which, const secret& shared,
               user& of);
  ~frame_stream();  // on_broken() has been called, or start() has not
  frame_stream(const frame_stream&) = delete;
  frame_stream& operator=(const frame_stream&) = delete;

  void start();
  /// Encrypts a frame, and sends it at the end of the turn. The payload is read before this returns.
  void send(frame what, std::uint32_t number, const_bytes body, const iovec* parts = nullptr, std::size_t count = 0);
  /// So much waits to be sent that more should wait with its sender.
  bool congested() const { return unsent() >= enough; }
  /// What arrives of the payload under way is dropped: its place is taken away.
  void drop_payload() { sink_ = {}; }
  /// Ends it; on_broken() follows.
  void close(errc code, std::string why);
  std::size_t unsent() const { return tls_.output().size() - sent_; }

 private:
  static constexpr std::size_t enough = 1024 * 1024;
  /// What a receive may bring: of a stranger, and of a peer that has proved itself.
  static constexpr std::size_t strangers_bytes = 8 * 1024, receive_bytes = 256 * 1024;

  void receive();
  void on_received(std::int64_t result) noexcept;
  void on_writable(std::int64_t result) noexcept;
  void flush() noexcept;
  void settle() noexcept;
  void read_all();
  result<bool> read_step();
  result<bool> fill(bytes into);

  reactor::loop& loop_;
  const reactor::handle connection_;
  user& user_;
  mutable secure_channel tls_;
  std::vector<std::uint8_t> input_;
  bool secured_ = false, ends_ = false, told_ = false, was_congested_ = false;
  error why_{errc::closed, {}};
  std::size_t sent_ = 0;  // of the output

  // The frame that comes.
  enum class part : std::uint8_t { head, body, payload } at_ = part::head;
  header head_;
  std::size_t filled_ = 0;
  std::array<std::uint8_t, max_body> text_{};
  bytes sink_;  // empty: dropped

  reactor::member_operation<frame_stream, &frame_stream::on_received> received_{*this};
  reactor::member_operation<frame_stream, &frame_stream::on_writable> writable_{*this};
  reactor::member_runnable<frame_stream, &frame_stream::flush> flush_{*this};
  reactor::member_runnable<frame_stream, &frame_stream::settle> settle_{*this};
};

}  // namespace sluice::relay
