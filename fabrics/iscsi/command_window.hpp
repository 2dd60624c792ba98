#pragma once
#include <cstdint>

namespace sluice::iscsi {

/// a < b in the serial arithmetic of 32-bit sequence numbers [RFC1982, RFC7143 4.2.2].
inline bool serial_less(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

/// The command window of a session [RFC7143 4.2.2.1]: each completion opens it by one, so that MaxCmdSN never goes
/// back.
class command_window {
 public:
  enum class verdict : std::uint8_t { next, ahead, outside };

  void start(std::uint32_t cmd_sn, std::uint32_t depth) {
    exp_cmd_sn_ = cmd_sn;
    max_cmd_sn_ = cmd_sn + depth - 1;
  }
  verdict look(std::uint32_t cmd_sn) const {
    if (serial_less(cmd_sn, exp_cmd_sn_) || serial_less(max_cmd_sn_, cmd_sn)) return verdict::outside;
    return cmd_sn == exp_cmd_sn_ ? verdict::next : verdict::ahead;
  }
  void take() { ++exp_cmd_sn_; }
  void complete() { ++max_cmd_sn_; }
  /// What comes next has this number: those before it have ended, whether they came or not. Ignored for a number that
  /// the window does not reach.
  void plug(std::uint32_t cmd_sn) {
    if (!serial_less(exp_cmd_sn_, cmd_sn) || serial_less(max_cmd_sn_ + 1, cmd_sn)) return;
    max_cmd_sn_ += cmd_sn - exp_cmd_sn_;
    exp_cmd_sn_ = cmd_sn;
  }
  std::uint32_t exp_cmd_sn() const { return exp_cmd_sn_; }
  std::uint32_t max_cmd_sn() const { return max_cmd_sn_; }

 private:
  std::uint32_t exp_cmd_sn_ = 0, max_cmd_sn_ = 0;
};

}  // namespace sluice::iscsi
