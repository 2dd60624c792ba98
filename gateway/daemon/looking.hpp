#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gateway/control/views.hpp"
#include "gateway/daemon/free_space.hpp"
#include "gateway/daemon/gateway.hpp"
#include "gateway/daemon/machine.hpp"

/// What is shown of a running gateway. Waits for no medium and for no change that is under way.
namespace sluice::daemon {

/// Asks each loop what it knows and shows all of it together. A loop that does not answer within 70 ms is shown as it
/// was when it last did, and for how long it has been silent; from a second on it stands still. Any thread but a
/// loop's, several at a time.
class onlooker {
 public:
  onlooker(gateway& at, const machine& hardware);
  ~onlooker();
  /// `with_latencies`: each kind of command with its histogram.
  control::view::status look(bool with_latencies = false);

 private:
  struct of_unit;
  struct report;
  struct question;
  struct debts;
  class core_look;
  using report_ptr = std::shared_ptr<const report>;

  std::uint64_t now_ns() const;
  std::vector<report_ptr> ask(const std::shared_ptr<const running_snapshot>& seen);
  report_ptr keep(std::size_t core, const report_ptr& fresh);
  void add_units(control::view::status& shown, const running_snapshot& seen, const std::vector<report_ptr>& all,
                 bool all_fresh, bool with_latencies);

  gateway& at_;
  const machine& hardware_;
  const std::uint64_t started_ns_;
  const std::shared_ptr<debts> owed_;
  free_space space_;
  std::mutex guard_;
  std::vector<report_ptr> kept_;                                        // by core: its last words, without counters
  std::map<std::string, std::vector<control::view::command>> counted_;  // by unit: when all cores had answered last
};

/// errc::not_found for a unit that is not there. Blocks for a turn of a loop.
result<control::view::reservations> look_at_reservations(gateway& at, const std::string& unit);

}  // namespace sluice::daemon
