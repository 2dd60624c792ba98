#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "tiers/store/scatter.hpp"
#include "tiers/store/store.hpp"

/// What tests of stores are made of: worlds to run them in, requests that own their buffers.
namespace sluice::store::contract {

/// A loop that a test runs by itself, on its own thread.
class world {
 public:
  virtual ~world() = default;
  virtual reactor::loop& loop() = 0;
  virtual void run() = 0;              // until finish()
  virtual void finish() noexcept = 0;  // from within run()
  /// Runs `work` on the loop; it, or what it started, calls finish().
  void enter(std::function<void()> work) {
    loop().post(std::move(work));
    run();
  }
};

class real_world final : public world {
 public:
  explicit real_world(reactor::backend kind = reactor::backend::automatic, std::uint64_t buffer_bytes = 64 * mib) {
    reactor::loop_options options;
    options.kind = kind;
    options.buffer_bytes = buffer_bytes;
    auto made = reactor::make_loop(options);
    if (!made) throw std::runtime_error(made.error().message);
    loop_ = std::move(*made);
  }
  /// A store that goes may leave work to the loop: it is done before the loop goes, too.
  ~real_world() override {
    loop_->stop();
    loop_->run();
  }
  reactor::loop& loop() override { return *loop_; }
  void run() override { loop_->run(); }
  void finish() noexcept override { loop_->stop(); }

 private:
  std::unique_ptr<reactor::loop> loop_;
};

/// A store under test with all that it lives on.
class setup {
 public:
  virtual ~setup() = default;
  virtual world& where() = 0;
  /// An empty store of this size; called once.
  virtual std::shared_ptr<store> open(std::uint64_t size_bytes) = 0;
};

struct subject {
  std::string name;
  std::function<std::unique_ptr<setup>()> make;
  bool resizes = true;
  std::string skip = {};  // why it can't be tested here
  bool shrinks = true;    // what resizes may refuse to shrink
};
inline std::string name_of(const testing::TestParamInfo<subject>& info) {
  return info.param.name;
}
inline void PrintTo(const subject& s, std::ostream* to) {
  *to << s.name;
}

/// Octets in a scatter list with cuts and alignments of chance.
class payload {
 public:
  payload() = default;
  payload(std::mt19937_64& random, std::span<const std::uint8_t> content) {
    for (std::size_t at = 0; at < content.size();) {
      const std::size_t left = content.size() - at;
      const std::size_t length = random() % 3 == 0 ? 1 + random() % left : left;
      const std::size_t shift = random() % 2 == 0 ? 0 : random() % 64;
      auto& memory = memory_.emplace_back(length + shift);
      std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(at), length,
                  memory.begin() + static_cast<std::ptrdiff_t>(shift));
      parts_.push_back({memory.data() + shift, length});
      at += length;
    }
  }
  void append(payload more) {
    parts_.insert(parts_.end(), more.parts_.begin(), more.parts_.end());
    std::move(more.memory_.begin(), more.memory_.end(), std::back_inserter(memory_));
  }
  const std::vector<iovec>& parts() const { return parts_; }
  std::vector<std::uint8_t> content() const {
    std::vector<std::uint8_t> all(total_bytes(parts_.data(), static_cast<unsigned>(parts_.size())));
    scatter(parts_.data(), static_cast<unsigned>(parts_.size())).gather(all.data(), all.size());
    return all;
  }

 private:
  std::vector<std::vector<std::uint8_t>> memory_;
  std::vector<iovec> parts_;
};

/// A request that owns its buffers and notes how it ended.
class test_request final : public request {
 public:
  test_request(verb v, std::uint64_t offset, std::uint64_t length, payload data = {}) : data_(std::move(data)) {
    what = v;
    offset_bytes = offset;
    length_bytes = length;
    parts = data_.parts().data();
    part_count = static_cast<unsigned>(data_.parts().size());
    extents = &found;
    extent_limit = 1000;
  }
  void done(status s) noexcept override {
    EXPECT_FALSE(submitting) << "done() from within submit()";
    outcome = s;
    ++completions;
    if (on_done) on_done();
  }
  std::vector<std::uint8_t> content() const { return data_.content(); }

  status outcome = status::aborted;
  int completions = 0;
  bool submitting = false;
  std::vector<extent> found;
  std::function<void()> on_done;

 private:
  payload data_;
};

}  // namespace sluice::store::contract
