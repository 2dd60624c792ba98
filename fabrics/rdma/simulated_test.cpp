#include "fabrics/rdma/simulated.hpp"

#include <gtest/gtest.h>

#include "fabrics/rdma/receive_ring.hpp"
#include "fabrics/rdma/send_queue.hpp"

namespace sluice::rdma {
namespace {

using octets = std::vector<std::uint8_t>;

struct test_peer final : peer::handler {
  test_peer(simulated_network& in, const char* address) : device(in, address, *this) {}
  void on_accepted(const_bytes said) override { accepted.assign(said.begin(), said.end()); }
  void on_rejected(const_bytes said) override {
    refused = true;
    accepted.assign(said.begin(), said.end());
  }
  void on_message(const_bytes message) override { messages.emplace_back(message.begin(), message.end()); }
  void on_closed() override { closed = true; }
  octets accepted;
  std::vector<octets> messages;
  bool closed = false, refused = false;
  peer device;
};

struct test_transfer final : transfer {
  void on_end(outcome how) noexcept override {
    ended = how;
    ++ends;
  }
  std::optional<outcome> ended;
  int ends = 0;
};

/// A target that takes every connection and does nothing by itself.
class rdma_simulated : public testing::Test, protected connection::handler {
 protected:
  rdma_simulated() : world_(seed_++), network_(world_), loop_(world_.make_loop(0)) {
    on_loop([this] {
      host_ = network_.hosts()(*loop_).value();
      listener_ =
          host_->listen({"192.0.2.1", 5555}, [this](std::unique_ptr<connection> asked) { asked_ = std::move(asked); })
              .value();
    });
  }
  ~rdma_simulated() override {
    if (target_ && !drained_) drain();
    on_loop([this] {
      target_.reset();
      asked_.reset();
      ring_.reset();
      slices_.clear();
      listener_.reset();
      host_.reset();
    });
  }
  void on_loop(const std::function<void()>& what) {
    bool done = false;
    loop_->post([&] {
      what();
      done = true;
    });
    EXPECT_TRUE(until([&] { return done; }));
  }
  bool until(const std::function<bool()>& so) { return world_.run_until(so, world_.now_ns() + 10 * ns_per_s); }

  void connect(queue_depths depths = {8, 8}) {
    peer_.device.connect("192.0.2.1:5555", octets{1, 2, 3});
    ASSERT_TRUE(until([&] { return asked_ != nullptr; }));
    EXPECT_EQ(octets(asked_->private_data().begin(), asked_->private_data().end()), (octets{1, 2, 3}));
    on_loop([&] {
      target_ = std::move(asked_);
      ASSERT_TRUE(target_->open(depths, *this));
      sends_ = std::make_unique<send_queue>(*target_);
      ring_ = receive_ring::make(loop_->buffers(), loop_->buffers().accounts().own(), depths.receives, 64,
                                 [this](receive_ring::slot& at, const_bytes m) {
                                   received_.emplace_back(m.begin(), m.end());
                                   ring_->post_again(at);
                                 })
                  .value();
      ring_->post(*target_);
      ASSERT_TRUE(target_->accept(octets{4}));
    });
    ASSERT_TRUE(until([&] { return established_ && peer_.device.connected(); }));
    EXPECT_EQ(peer_.accepted, octets{4});
  }
  void drain() {
    on_loop([&] {
      ring_->stop();
      sends_->stop();
      target_->close();
    });
    EXPECT_TRUE(until([&] { return drained_; }));
  }
  memory::slice local(std::uint32_t size, std::uint8_t fill) {
    memory::slice made = loop_->buffers().take(size).sub(0, size);
    std::fill_n(made.data(), size, fill);
    slices_.push_back(made);
    return made;
  }
  request entry(request::kind what, const memory::slice& part, std::uint32_t key = 0, const void* remote = nullptr) {
    request r;
    r.what = what;
    r.part_count = 1;
    r.parts[0] = part.iov();
    r.remote_key = key;
    r.remote_address = reinterpret_cast<std::uint64_t>(remote);
    return r;
  }
  void push(test_transfer& t) {
    on_loop([&] { sends_->push(t, send_queue::lane::data); });
  }

  void on_established() noexcept override { established_ = true; }
  void on_lost(const std::string& why) noexcept override { lost_ = why; }
  void on_drained() noexcept override { drained_ = true; }

  static inline std::uint64_t seed_ = 1;
  reactor::sim_world world_;
  simulated_network network_;
  std::unique_ptr<reactor::loop> loop_;
  std::unique_ptr<host> host_;
  std::unique_ptr<listener> listener_;
  std::unique_ptr<connection> asked_, target_;
  std::unique_ptr<send_queue> sends_;
  std::unique_ptr<receive_ring> ring_;
  std::vector<memory::slice> slices_;
  std::vector<octets> received_;
  bool established_ = false, drained_ = false;
  std::string lost_;
  test_peer peer_{network_, "192.0.2.9:1"};
};

TEST_F(rdma_simulated, messages_go_both_ways_in_order) {
  connect();
  for (std::uint8_t i = 0; i < 20; ++i) peer_.device.send({i});
  std::vector<test_transfer> all(20);
  on_loop([&] {
    for (std::uint8_t i = 0; i < 20; ++i) {
      all[i].chain = {entry(request::kind::send, local(1, i))};
      sends_->push(all[i], send_queue::lane::message);
    }
  });
  EXPECT_TRUE(until([&] { return received_.size() == 20 && peer_.messages.size() == 20 && all[19].ended; }));
  for (std::uint8_t i = 0; i < 20; ++i) {
    EXPECT_EQ(received_[i], octets{i});
    EXPECT_EQ(peer_.messages[i], octets{i});
    EXPECT_EQ(all[i].ends, 1);
  }
}

TEST_F(rdma_simulated, a_chain_longer_than_the_queue_is_done_in_order) {
  connect();
  octets memory(100, 1);
  const std::uint32_t key = peer_.device.expose(memory, true);
  test_transfer t;
  on_loop([&] {
    for (std::uint8_t i = 0; i < 50; ++i)
      t.chain.push_back(entry(request::kind::write, local(2, i), key, &memory[i * 2u]));
    t.chain.push_back(entry(request::kind::send, local(1, 99)));
  });
  push(t);
  ASSERT_TRUE(until([&] { return !peer_.messages.empty(); }));
  for (unsigned i = 0; i < 100; ++i) EXPECT_EQ(memory[i], i / 2) << "before the message";
  EXPECT_TRUE(until([&] { return t.ended.has_value(); }));
  EXPECT_EQ(*t.ended, outcome::done);
}

TEST_F(rdma_simulated, a_read_that_is_held_back_holds_up_the_end_of_what_is_behind_it_only) {
  connect();
  octets memory(16, 7);
  const std::uint32_t key = peer_.device.expose(memory, false);
  peer_.device.hold(key);
  test_transfer read, send;
  memory::slice into;
  on_loop([&] {
    into = local(16, 0);
    read.chain = {entry(request::kind::read, into, key, memory.data())};
    send.chain = {entry(request::kind::send, local(1, 5))};
    sends_->push(read, send_queue::lane::data);
    sends_->push(send, send_queue::lane::message);
  });
  EXPECT_TRUE(until([&] { return !peer_.messages.empty() && peer_.device.is_awaited(key); }));
  world_.run_for(ns_per_s);
  EXPECT_FALSE(read.ended || send.ended);
  peer_.device.release(key);
  EXPECT_TRUE(until([&] { return read.ended && send.ended; }));
  EXPECT_EQ(into.data()[15], 7);
  on_loop([&] { into = {}; });
}

TEST_F(rdma_simulated, a_key_that_does_not_allow_it_breaks_the_connection) {
  connect();
  octets memory(16, 7);
  const std::uint32_t key = peer_.device.expose(memory, false);
  test_transfer good, bad, behind;
  on_loop([&] {
    good.chain = {entry(request::kind::read, local(16, 0), key, memory.data())};
    bad.chain = {entry(request::kind::write, local(16, 0), key, memory.data())};
    behind.chain = {entry(request::kind::send, local(1, 1))};
    for (test_transfer* each : {&good, &bad, &behind}) sends_->push(*each, send_queue::lane::data);
  });
  EXPECT_TRUE(until([&] { return behind.ended && !lost_.empty(); }));
  EXPECT_NE(*bad.ended, outcome::done);
  EXPECT_EQ(*behind.ended, outcome::flushed);
  EXPECT_EQ(memory, octets(16, 7));
  EXPECT_TRUE(peer_.messages.empty());
  EXPECT_TRUE(until([&] { return peer_.closed; }));
}

TEST_F(rdma_simulated, an_address_beyond_the_memory_breaks_it_too) {
  connect();
  octets memory(16, 7);
  const std::uint32_t key = peer_.device.expose(memory, true);
  test_transfer t;
  on_loop([&] { t.chain = {entry(request::kind::write, local(16, 0), key, memory.data() + 1)}; });
  push(t);
  EXPECT_TRUE(until([&] { return t.ended && !lost_.empty(); }));
  EXPECT_EQ(memory, octets(16, 7));
}

TEST_F(rdma_simulated, close_gives_back_all_that_was_posted_once) {
  connect();
  octets memory(16, 7);
  const std::uint32_t key = peer_.device.expose(memory, false);
  peer_.device.hold(key);
  std::vector<test_transfer> all(30);
  on_loop([&] {
    for (test_transfer& each : all) {
      each.chain = {entry(request::kind::read, local(16, 0), key, memory.data())};
      sends_->push(each, send_queue::lane::data);
    }
  });
  EXPECT_TRUE(until([&] { return peer_.device.is_awaited(key); }));
  drain();
  for (const test_transfer& each : all) {
    EXPECT_EQ(each.ends, 1);
    EXPECT_EQ(*each.ended, outcome::flushed);
  }
  EXPECT_EQ(network_.queue_pairs(), 0u);
  peer_.device.release(key);
  world_.run_for(ns_per_s);
  EXPECT_TRUE(until([&] { return peer_.closed; }));
  EXPECT_EQ(lost_, "");
}

TEST_F(rdma_simulated, what_was_not_posted_can_be_cut_off) {
  connect({8, 2});
  octets memory(16, 7);
  const std::uint32_t key = peer_.device.expose(memory, false);
  peer_.device.hold(key);
  test_transfer first, second;
  on_loop([&] {
    for (int i = 0; i < 5; ++i) first.chain.push_back(entry(request::kind::read, local(16, 0), key, memory.data()));
    second.chain = {entry(request::kind::send, local(1, 0))};
    sends_->push(first, send_queue::lane::data);
    sends_->push(second, send_queue::lane::data);
    EXPECT_FALSE(sends_->cut(second)) << "nothing of it is posted";
    EXPECT_TRUE(sends_->cut(first));
  });
  world_.run_for(ns_per_s);
  EXPECT_FALSE(first.ended || second.ended);
  peer_.device.release(key);
  EXPECT_TRUE(until([&] { return first.ended.has_value(); }));
  EXPECT_EQ(first.chain.size(), 2u);
}

TEST_F(rdma_simulated, a_message_does_not_wait_for_reads_that_fill_the_queue) {
  connect({8, 4});
  octets memory(16, 7);
  const std::uint32_t key = peer_.device.expose(memory, false);
  peer_.device.hold(key);
  test_transfer reads, message;
  on_loop([&] {
    sends_->reserve_for_messages(2);
    for (int i = 0; i < 9; ++i) reads.chain.push_back(entry(request::kind::read, local(16, 0), key, memory.data()));
    message.chain = {entry(request::kind::send, local(1, 3))};
    sends_->push(reads, send_queue::lane::data);
    EXPECT_EQ(target_->send_room(), 2u);
    sends_->push(message, send_queue::lane::message);
  });
  EXPECT_TRUE(until([&] { return !peer_.messages.empty(); }));
  EXPECT_FALSE(reads.ended);
  peer_.device.release(key);
  EXPECT_TRUE(until([&] { return reads.ended && message.ended; }));
}

TEST_F(rdma_simulated, a_peer_that_vanishes_is_noticed) {
  connect();
  peer_.device.vanish();
  EXPECT_TRUE(until([&] { return !lost_.empty(); }));
  drain();
  EXPECT_TRUE(received_.empty());
}

TEST_F(rdma_simulated, nobody_listens_elsewhere) {
  peer_.device.connect("192.0.2.1:5556", {});
  EXPECT_TRUE(until([&] { return peer_.refused; }));
}

TEST_F(rdma_simulated, a_connection_that_is_dropped_is_refused) {
  peer_.device.connect("192.0.2.1:5555", {});
  ASSERT_TRUE(until([&] { return asked_ != nullptr; }));
  on_loop([&] { asked_.reset(); });
  EXPECT_TRUE(until([&] { return peer_.refused; }));
}

TEST_F(rdma_simulated, a_device_has_only_so_many_queue_pairs) {
  network_.settings().queue_pairs = 0;
  peer_.device.connect("192.0.2.1:5555", {});
  ASSERT_TRUE(until([&] { return asked_ != nullptr; }));
  on_loop([&] {
    const auto made = asked_->open({8, 8}, *this);
    EXPECT_FALSE(made);
    asked_->reject(octets{9});
  });
  EXPECT_TRUE(until([&] { return peer_.refused; }));
  EXPECT_EQ(peer_.accepted, octets{9});
}

}  // namespace
}  // namespace sluice::rdma
