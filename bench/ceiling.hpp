#pragma once
#include <sys/epoll.h>

#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"

namespace sluice::bench {

/// The null target: login, TEST UNIT READY, READ CAPACITY (16), READ (16), WRITE (16), logout, and nothing else. One
/// receive of up to 256 KiB and one sendmsg with all the answers per turn; reads leave straight from the area, writes
/// are copied once. No target on this socket interface can be faster, so it is the ceiling to measure by. It trusts its
/// client: loopback only.
class ceiling {
 public:
  struct settings {
    std::uint16_t port = 0;  // 0: any free one
    std::uint64_t size_bytes = 1024 * mib;
    std::uint64_t spin_ns = 0;  // polls so long before it sleeps
  };

  static result<std::unique_ptr<ceiling>> open(const settings& s);
  ~ceiling();
  ceiling(const ceiling&) = delete;
  ceiling& operator=(const ceiling&) = delete;

  std::uint16_t port() const { return port_; }
  /// Serves on this thread until stop() is called, from any thread or a signal handler.
  void run();
  void stop() noexcept;

 private:
  class peer;
  explicit ceiling(const settings& s);
  result<> listen(std::uint16_t port);
  void accept_one();
  int wait(epoll_event* events, int capacity);

  settings settings_;
  std::vector<std::uint8_t> area_, scratch_;
  int epoll_ = -1, listener_ = -1, wake_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::unordered_map<int, std::unique_ptr<peer>> peers_;
};

inline constexpr const char* ceiling_name = "iqn.2026-11.io.sluice:ceiling";

}  // namespace sluice::bench
