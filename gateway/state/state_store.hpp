#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/base/result.hpp"
#include "actors/reactor/loop.hpp"

/// What must survive a restart: records of what gateways agree on (authority.hpp).
namespace sluice::state {

/// Told when a change is durable, or why it is not; runs on the loop that was given, never from within change().
using durable = std::function<void(result<void>)>;

struct update {
  std::string key;
  std::optional<std::string> value;  // nullopt: erase
};

/// A small, durable map. Keys are "kind/name", e.g. "identity/vm1".
class state_store {
 public:
  virtual ~state_store() = default;
  /// The value of a key, or nullopt; blocks: for start-up, and threads that nobody waits for. Sees every change()
  /// issued before. Any thread.
  virtual result<std::optional<std::string>> load(std::string_view key) = 0;
  /// Stores and returns when it is durable; blocks, as load(). Any thread.
  virtual result<void> save(std::string key, std::string value) = 0;
  /// All of it or nothing. Changes are done in the order of the calls of one thread. Any thread.
  virtual void change(std::vector<update> updates, reactor::loop& on, durable done) = 0;
  /// "good", or a sentence that says what cannot be kept. Any thread; waits for nothing but a short lock.
  virtual std::string health() { return "good"; }
  void put(std::string key, std::string value, reactor::loop& on, durable done) {
    change({{std::move(key), std::move(value)}}, on, std::move(done));
  }
  void erase(std::string key, reactor::loop& on, durable done) {
    change({{std::move(key), std::nullopt}}, on, std::move(done));
  }
};

/// In memory: for the simulator and for `sluice demo`. Durable as long as the object lives.
std::unique_ptr<state_store> make_memory_store();

/// RocksDB in `directory` (made, mode 0700, when absent). Every change is synced to the write-ahead log before `done`;
/// a thread of its own does the writing, several changes in one sync. The destructor finishes what was issued.
/// A directory that can be read but not written (full, read only) opens all the same: changes fail, health() says so,
/// and they succeed again when there is space. errc::busy: another gateway has it. errc::corrupt: acknowledged changes
/// are missing.
result<std::unique_ptr<state_store>> open_rocksdb_store(const std::string& directory);

}  // namespace sluice::state
