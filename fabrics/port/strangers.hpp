#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice::port {

/// A connection without a nexus, as an operator sees it: nobody has said a word on it yet, or a login is under way, or
/// it is there for discovery.
struct stranger {
  std::uint64_t id = 0;        // of the fabric, never used again
  std::string peer;            // "192.0.2.1:50000"
  std::string stage;           // "silent", "login", "authentication", "discovery"
  std::uint64_t since_ns = 0;  // of the first loop's clock
  std::uint64_t bytes = 0;     // of memory that it holds
};

/// The connections of a fabric that have no nexus, for the operator. Any thread; waits for no loop.
class strangers {
 public:
  struct overview {
    std::size_t count = 0;
    std::vector<stranger> oldest;
    std::map<std::string, std::uint32_t> by_address;  // how many
    /// Connections and logins that were turned away since the start, by reason: the class and detail of the login
    /// response ("0201"), or a word.
    std::map<std::string, std::uint64_t> refused;
    /// What else of its protocol the fabric has counted since the start: by what it is ("logins", "digest_errors",
    /// "rejects"), and by its kind.
    std::map<std::string, std::map<std::string, std::uint64_t>> counted = {};
  };
  virtual ~strangers() = default;
  /// `most`: of the oldest.
  virtual overview look(std::size_t most) const = 0;
  /// Closes one; false when there is none of that number.
  virtual bool kick(std::uint64_t id) = 0;
  /// Closes all of an address, as by_address has it; how many.
  virtual std::size_t kick_address(const std::string& address) = 0;
};

}  // namespace sluice::port
