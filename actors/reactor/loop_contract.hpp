#pragma once
#include <algorithm>
#include <vector>

#include "actors/reactor/loop_driver.hpp"
#include "actors/reactor/netlink_messages.hpp"
#include "actors/reactor/sim_events.hpp"
#include "actors/reactor/simulated.hpp"

/// What every kind of loop is held to: its kinds, and what the tests of the contract share.
namespace sluice::reactor {

inline std::unique_ptr<loop_driver> make_uring_driver() {
  return std::make_unique<real_driver>(backend::uring);
}
inline std::unique_ptr<loop_driver> make_epoll_driver() {
  return std::make_unique<real_driver>(backend::epoll);
}

/// A loop of a simulated world that is quiet enough for the contract: no faults.
class simulated_driver final : public loop_driver {
 public:
  simulated_driver() : world_(1, {.short_send = 0}), loop_(world_.make_loop(0)) {}
  loop& get() override { return *loop_; }
  bool until(const std::function<bool()>& done) override {
    return world_.run_until(done, world_.now_ns() + 60 * ns_per_s);
  }
  std::string file_path(const std::string& name) override { return "/" + name; }
  std::string make_links() override {
    world_.add_link("wire0", {2, 0, 0, 0, 0, 1}, "wire");
    world_.add_link("wire1", {2, 0, 0, 0, 0, 2}, "wire");
    world_.answer_netlink([](netlink_family, const_bytes) { return link_dump(); });
    return {};
  }
  void set_link(const std::string& name, bool up) override {
    world_.set_link(name, up);
    world_.netlink_notice(netlink_family::route, link_group,
                          link_message(RTM_NEWLINK, name == "wire0" ? 1 : 2, name, up));
  }
  std::size_t open_handles() override { return world_.events().size(); }

 private:
  static std::vector<std::vector<std::uint8_t>> link_dump() {
    return {link_message(RTM_NEWLINK, 1, "wire0", true), link_message(RTM_NEWLINK, 2, "wire1", true),
            answer_message(NLMSG_DONE, 0)};
  }

  sim_world world_;
  std::unique_ptr<loop> loop_;
};
inline std::unique_ptr<loop_driver> make_simulated_driver() {
  return std::make_unique<simulated_driver>();
}

struct kind_of_loop {
  const char* name;
  std::unique_ptr<loop_driver> (*make)();
};

inline std::vector<std::uint8_t> pattern(std::size_t size, unsigned seed = 1) {
  std::vector<std::uint8_t> octets(size);
  for (std::size_t i = 0; i < size; ++i) octets[i] = static_cast<std::uint8_t>((i * 131 + seed) >> 3 ^ i);
  return octets;
}

class loop_contract : public ::testing::TestWithParam<kind_of_loop> {
 protected:
  void SetUp() override { driver_ = GetParam().make(); }
  loop& on() { return driver_->get(); }
  bool until(const std::function<bool()>& done) { return driver_->until(done); }
  bool completed(const recorder& op) {
    return until([&] { return op.completions > 0; });
  }
  /// Runs `body` on the loop, in a turn of its own.
  bool do_on_loop(const std::function<void()>& body) {
    bool done = false;
    step once([&] {
      body();
      done = true;
    });
    on().post(once);
    return until([&] { return done; });
  }

  struct pair {
    handle listener = no_handle, client = no_handle, server = no_handle;
  };
  pair connected_pair(const std::string& host = "127.0.0.1") {
    pair made;
    made.listener = on().listen({host, 0}, 16).value();
    const endpoint where = on().local_endpoint(made.listener).value();
    EXPECT_NE(where.port, 0);
    recorder accepted, connected;
    on().accept(accepted, made.listener);
    on().connect(connected, where);
    EXPECT_EQ(accepted.completions + connected.completions, 0) << "completed from within the call that started it";
    EXPECT_TRUE(until([&] { return accepted.completions && connected.completions; }));
    EXPECT_GE(accepted.value, 0);
    EXPECT_GE(connected.value, 0);
    made.server = static_cast<handle>(accepted.value);
    made.client = static_cast<handle>(connected.value);
    return made;
  }
  void close(const pair& of) {
    for (const handle h : {of.client, of.server, of.listener})
      if (h != no_handle) on().close(h);
  }
  handle new_file(const std::string& name, std::uint64_t size = 0, open_flags flags = {.create = true}) {
    const handle h = on().open_file(driver_->file_path(name), flags).value();
    EXPECT_TRUE(on().resize_file(h, size));
    return h;
  }
  std::int64_t write(handle h, const std::vector<std::uint8_t>& data, std::uint64_t offset, bool durable = false) {
    recorder op;
    const iovec parts[2] = {{const_cast<std::uint8_t*>(data.data()), data.size() / 2},
                            {const_cast<std::uint8_t*>(data.data()) + data.size() / 2, data.size() - data.size() / 2}};
    on().write(op, h, parts, 2, offset, durable);
    EXPECT_EQ(op.completions, 0);
    EXPECT_TRUE(completed(op));
    return op.value;
  }
  std::int64_t read(handle h, std::vector<std::uint8_t>& into, std::uint64_t offset) {
    recorder op;
    const iovec part{into.data(), into.size()};
    on().read(op, h, &part, 1, offset);
    EXPECT_EQ(op.completions, 0);
    EXPECT_TRUE(completed(op));
    return op.value;
  }

  std::unique_ptr<loop_driver> driver_;
};

inline auto kinds_of_loops() {
  return ::testing::Values(kind_of_loop{"uring", make_uring_driver}, kind_of_loop{"epoll", make_epoll_driver},
                           kind_of_loop{"simulated", make_simulated_driver});
}
inline std::string name_of_kind(const ::testing::TestParamInfo<kind_of_loop>& of) {
  return of.param.name;
}

}  // namespace sluice::reactor
