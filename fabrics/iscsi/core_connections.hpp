#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>

#include "fabrics/iscsi/connection.hpp"

namespace sluice::iscsi {

/// The connections of one core. It owns those that have no session: most of them never get one, and an actor for each
/// would cost more than all that they say. One that is about to have a session is handed over. On the loop's thread,
/// but for take().
class core_connections final : public std::enable_shared_from_this<core_connections> {
 public:
  /// Owns a connection from now on (connection::move_to), and calls `ended` when it has ended.
  using session_owner = std::function<void(std::unique_ptr<connection> of, std::function<void()> ended)>;

  core_connections(reactor::loop& loop, port::gateway& gateway, session_owner make_session);
  ~core_connections();

  reactor::loop& loop() { return loop_; }
  const std::shared_ptr<turn_queue>& turns() const { return turns_; }
  /// A connection that a portal has accepted; any loop's thread.
  void take(std::shared_ptr<accepted_peer> who, connection_options options, std::shared_ptr<connection_facts> facts);

 private:
  using number = std::uint64_t;  // of this core's
  void open(number id, accepted_peer& who, const connection_options& options,
            const std::shared_ptr<connection_facts>& facts, std::uint64_t slot, const port_sessions::closer& closer);
  void hand_over(number id);
  void close(number id, port::loss_reason reason);
  void reinstate(number id, const std::shared_ptr<successor>& heir);

  reactor::loop& loop_;
  port::gateway& gateway_;
  const session_owner make_session_;
  const std::shared_ptr<turn_queue> turns_;
  const std::shared_ptr<listing_cache> listings_ = std::make_shared<listing_cache>();
  std::atomic<number> last_{0};
  std::map<number, connection*> live_;
  std::map<number, std::unique_ptr<connection>> strangers_;
};

}  // namespace sluice::iscsi
