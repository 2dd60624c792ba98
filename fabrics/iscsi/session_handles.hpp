#pragma once
#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "fabrics/iscsi/negotiation.hpp"
#include "fabrics/iscsi/successor.hpp"
#include "fabrics/port/port_id.hpp"

namespace sluice::iscsi {

/// Whose a session is, and what it goes by.
struct session_identity {
  std::string initiator;  // its canonical name
  std::uint64_t isid = 0;
  port::port_id port;
  std::uint16_t cid = 0;  // of its connection
  session_parameters parameters;
};

/// The target session identifying handles in use at one port, over all its cores. Only login and logout come here, so a
/// mutex is good enough.
class session_handles {
 public:
  /// A handle that no live session has; 0 when all 65535 are taken.
  std::uint16_t allocate() {
    const std::lock_guard guard(mutex_);
    for (unsigned tries = 0; tries < 65536; ++tries) {
      const std::uint16_t candidate = ++last_;
      if (candidate == 0 || used_.test(candidate)) continue;
      used_.set(candidate);
      live_.set(candidate);
      return candidate;
    }
    return 0;
  }
  /// From now on the session's connection may be reinstated.
  void enter(std::uint16_t tsih, session_identity who, successor_taker take) {
    const std::lock_guard guard(mutex_);
    entries_.insert_or_assign(tsih, entry{std::move(who), std::move(take)});
  }
  /// The session ends: nobody finds it any more, and its handle stays taken until release().
  void end(std::uint16_t tsih) {
    const std::lock_guard guard(mutex_);
    live_.reset(tsih);
    entries_.erase(tsih);
  }
  void release(std::uint16_t tsih) {
    end(tsih);
    const std::lock_guard guard(mutex_);
    used_.reset(tsih);
  }
  bool exists(std::uint16_t tsih) const {
    const std::lock_guard guard(mutex_);
    return live_.test(tsih);
  }
  /// A session whose connection may be reinstated.
  std::optional<session_identity> find(std::uint16_t tsih) const {
    const std::lock_guard guard(mutex_);
    const auto found = entries_.find(tsih);
    return found == entries_.end() ? std::nullopt : std::optional(found->second.who);
  }
  /// Sends a successor to the session; false when it has ended.
  bool succeed(std::uint16_t tsih, std::shared_ptr<successor> heir) const {
    successor_taker take;
    {
      const std::lock_guard guard(mutex_);
      const auto found = entries_.find(tsih);
      if (found == entries_.end()) return false;
      take = found->second.take;
    }
    take(std::move(heir));
    return true;
  }

 private:
  struct entry {
    session_identity who;
    successor_taker take;
  };
  mutable std::mutex mutex_;
  std::bitset<65536> used_, live_;
  std::map<std::uint16_t, entry> entries_;
  std::uint16_t last_ = 0;
};

}  // namespace sluice::iscsi
