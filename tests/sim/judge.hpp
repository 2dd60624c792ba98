#pragma once
#include <cstdint>
#include <string>

namespace sluice::sim {

/// Where the parts of a scenario report what must not be; the first report counts. Also the oracle's clock: one tick
/// for each thing that an initiator did or saw.
class judge {
 public:
  void fail(std::string why) {
    if (verdict_.empty()) verdict_ = std::move(why);
  }
  bool failed() const { return !verdict_.empty(); }
  const std::string& verdict() const { return verdict_; }

  std::uint64_t tick() { return ++clock_; }
  std::uint64_t now() const { return clock_; }

 private:
  std::string verdict_;
  std::uint64_t clock_ = 0;
};

}  // namespace sluice::sim
