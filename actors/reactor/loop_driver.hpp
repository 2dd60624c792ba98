#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/reactor/loop.hpp"
#include "actors/reactor/private_network.hpp"

/// What the tests of this room share: a loop of any kind, and a way to let it run until something is true.
namespace sluice::reactor {

class loop_driver {
 public:
  virtual ~loop_driver() = default;
  virtual loop& get() = 0;
  /// Lets the loop run until `done`, bounded; false when the time is up.
  virtual bool until(const std::function<bool()>& done) = 0;
  virtual std::string file_path(const std::string& name) = 0;
  /// Makes the interfaces "wire0" and "wire1" on one wire. Returns why that cannot be, empty when it is done.
  virtual std::string make_links() = 0;
  virtual void set_link(const std::string& name, bool up) = 0;
  /// How many handles are open.
  virtual std::size_t open_handles() = 0;
};

/// Remembers what its requests came to.
struct recorder final : operation {
  int completions = 0;
  std::int64_t value = 0;
  std::function<void()> then;
  void on_complete(std::int64_t result) noexcept override {
    ++completions;
    value = result;
    if (then) then();
  }
};

struct step final : runnable {
  std::function<void()> body;
  explicit step(std::function<void()> what) : body(std::move(what)) {}
  void run() noexcept override { body(); }
};

struct alarm final : timer {
  std::function<void()> body;
  explicit alarm(std::function<void()> what) : body(std::move(what)) {}
  void on_timer() noexcept override { body(); }
};

/// A loop on real hardware, run by the test's own thread.
class real_driver final : public loop_driver {
 public:
  explicit real_driver(backend kind) {
    loop_options options;
    options.kind = kind;
    options.buffer_bytes = 16 * mib;
    auto made = make_loop(options);
    if (!made) ADD_FAILURE() << made.error().message;
    loop_ = std::move(*made);
  }
  loop& get() override { return *loop_; }

  bool until(const std::function<bool()>& done) override {
    const std::uint64_t deadline = loop_->now_ns() + 20 * ns_per_s;
    alarm look([&] {
      if (done() || loop_->now_ns() > deadline) return loop_->stop();
      loop_->arm(look, ns_per_ms);
    });
    step first([&] { look.on_timer(); });
    loop_->post(first);
    loop_->run();
    return done();
  }

  std::string file_path(const std::string& name) override { return folder_ + "/" + name; }

  std::string make_links() override {
    network_.emplace();
    return network_->problem();
  }
  void set_link(const std::string& name, bool up) override {
    EXPECT_TRUE(network_->run("ip link set " + name + (up ? " up" : " down")));
  }
  std::size_t open_handles() override {
    const auto open = std::filesystem::directory_iterator("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(open), end(open)));
  }

  ~real_driver() override { [[maybe_unused]] const int done = std::system(("rm -rf '" + folder_ + "'").c_str()); }

 private:
  static std::string make_folder() {
    std::string pattern = ::testing::TempDir() + "/loop_XXXXXX";
    return ::mkdtemp(pattern.data()) ? pattern : std::string();
  }
  std::string folder_ = make_folder();
  std::unique_ptr<loop> loop_;
  std::optional<private_network> network_;
};

}  // namespace sluice::reactor
