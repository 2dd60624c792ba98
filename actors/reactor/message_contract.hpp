#pragma once
#include "actors/reactor/loop_contract.hpp"

namespace sluice::reactor {

/// What the tests of message sockets and foreign descriptors share.
class message_contract : public loop_contract {
 protected:
  message_sockets& sockets() { return on().messages(); }

  /// Until something can be received from `h`, and what `get` then says.
  template <class Get>
  std::int64_t wait_and(handle h, Get get) {
    for (;;) {
      recorder readable;
      on().wait_readable(readable, h);
      if (!completed(readable)) {
        ADD_FAILURE() << "nothing came";
        return -ETIMEDOUT;
      }
      if (readable.value < 0) return readable.value;
      if (const std::int64_t got = get(); got != -EAGAIN) return got;
    }
  }
  std::int64_t receive(handle h, message& into) {
    return wait_and(h, [&] { return sockets().receive_passing(h, into); });
  }
  std::int64_t receive(handle h, datagram& into) {
    return wait_and(h, [&] { return sockets().receive_datagram(h, into); });
  }
  std::int64_t send(handle h, const std::vector<std::uint8_t>& octets) {
    const iovec part{const_cast<std::uint8_t*>(octets.data()), octets.size()};
    return on().send_now(h, &part, 1);
  }
  /// Lets the loop run for a while.
  void idle(std::uint64_t duration_ns = 20 * ns_per_ms) {
    bool over = false;
    alarm ring([&] { over = true; });
    EXPECT_TRUE(do_on_loop([&] { on().arm(ring, duration_ns); }));
    EXPECT_TRUE(until([&] { return over; }));
  }

  struct local_pair {
    handle listener, client, server;
  };
  local_pair connected_locally(const std::string& name = "local") {
    local_pair made{};
    made.listener = sockets().listen_local(driver_->file_path(name), 16).value();
    made.client = sockets().connect_local(driver_->file_path(name)).value();
    recorder accepted;
    on().accept(accepted, made.listener);
    EXPECT_TRUE(completed(accepted));
    EXPECT_GE(accepted.value, 0);
    made.server = static_cast<handle>(accepted.value);
    return made;
  }
  void close(const local_pair& of) {
    for (const handle h : {of.client, of.server, of.listener}) on().close(h);
  }
};

}  // namespace sluice::reactor
