#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "fabrics/iscsi/answers.hpp"

namespace sluice::iscsi {

/// Counts connections and logins that were turned away, by reason. Any thread; strangers' work only, so a mutex is good
/// enough.
class refusals {
 public:
  static constexpr const char* gave_way = "gave_way";  // for others: of places, or of memory
  static constexpr const char* timeout = "timeout";    // the login took too long
  static constexpr const char* protocol = "protocol";  // what came is no login, or longer than may be
  static constexpr const char* no_place = "no_place";  // closed unheard: every place is taken
  static constexpr const char* kicked = "kicked";      // by the operator

  void count(const char* reason) {
    const std::lock_guard guard(mutex_);
    ++counts_[reason];
  }
  /// By the class and detail of the login response, "0201".
  void count(login_status status) {
    constexpr char digits[] = "0123456789abcdef";
    const auto code = static_cast<unsigned>(status);
    const char text[] = {digits[code >> 12], digits[code >> 8 & 15], digits[code >> 4 & 15], digits[code & 15], 0};
    count(text);
  }
  std::map<std::string, std::uint64_t> all() const {
    const std::lock_guard guard(mutex_);
    return counts_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace sluice::iscsi
