#pragma once
#include <memory>
#include <utility>

#include "tests/fabrics/test_site.hpp"

namespace sluice::fabrics {

/// A site, and initiators of it that a test makes, of a fabric over simulated RDMA.
template <class Site, class Initiator, class Wishes>
class port_fixture : public testing::Test {
 protected:
  using initiator = port::contract::initiator;
  using request = port::contract::request;
  using response = port::contract::response;

  std::unique_ptr<Initiator> make(unsigned number, Wishes wishes = {}) {
    return std::make_unique<Initiator>(site_.network(), number, std::move(wishes));
  }
  bool is_up(const Initiator& who) {
    return site_.until([&] { return who.now() != initiator::state::going_up; }) && who.now() == initiator::state::up;
  }
  bool is_down(const Initiator& who) {
    return site_.until([&] { return who.now() == initiator::state::down; });
  }
  std::unique_ptr<Initiator> ready(unsigned number, Wishes wishes = {}) {
    auto made = make(number, std::move(wishes));
    made->log_in();
    EXPECT_TRUE(is_up(*made));
    attentions(*made);
    return made;
  }
  const response& run(initiator& by, request& r) {
    by.submit(r);
    EXPECT_TRUE(site_.until([&] { return r.done; }));
    return r.how;
  }
  response run(initiator& by, request&& r) { return run(by, r); }
  void attentions(initiator& by) {
    for (int i = 0; i < 16 && !run(by, port::contract::test_unit_ready()).good(); ++i) continue;
  }
  void expect_well(initiator& who) {
    const port::contract::octets data = port::contract::pattern(64 * 1024, 9);
    EXPECT_TRUE(run(who, port::contract::write_10(64, data)).good());
    EXPECT_TRUE(run(who, port::contract::read_10(64, 128)).data == data);
  }

  Site site_;
};

/// One of two initiators breaks the rules in the test: its connection ends, the other notices nothing, and it may come
/// back.
template <class Fixture, class Initiator>
class hostile_fixture : public Fixture {
 protected:
  hostile_fixture() : good_(this->ready(1)), bad_(this->ready(0)) {}
  ~hostile_fixture() override {
    EXPECT_TRUE(this->is_down(*bad_)) << "it may go on";
    this->expect_well(*good_);
    bad_->log_in();
    EXPECT_TRUE(this->is_up(*bad_)) << "it may come back";
    this->attentions(*bad_);
    this->expect_well(*bad_);
  }
  std::unique_ptr<Initiator> good_, bad_;
};

}  // namespace sluice::fabrics
