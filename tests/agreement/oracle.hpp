#pragma once
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/scsi/outcome.hpp"
#include "gateway/state/authority.hpp"
#include "tests/agreement/block_model.hpp"
#include "tests/sim/reservation_model.hpp"

namespace sluice::agreement_sim {

constexpr unsigned initiators = 4, max_gateways = 16;

/// What an initiator asked for, as the oracle follows it.
struct asked {
  enum class kind : std::uint8_t { probe, reservation, reserve, release, mode_select, reset };
  kind what = kind::probe;
  sim::pr_command pr;       // reservation; its initiator is the I_T: initiator * max_gateways + gateway
  std::uint64_t nexus = 0;  // global id
  std::optional<block_model::question> block;  // of a probe that reads, or writes what is to be found
  block_model::numbers covers{};               // of a reset: the writes that it ends
  std::uint64_t floor = 0;                     // epochs of all that was acknowledged before it was sent
  std::uint64_t committed = 0;                 // the epoch that it became; 0: none yet
  bool ended = false;
};

/// Knows all that was committed, in the order of epochs, by a model of reservations that shares nothing with the
/// gateway's; and judges each answer and each unit attention by it. Epochs: what an initiator is answered must be right
/// in some epoch between the newest that was acknowledged to anybody before it asked, and the newest now.
class oracle {
 public:
  bool verbose = false;
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  void fail(const std::string& why);

  // -- the authority
  void committed(const state::record& now);
  std::uint64_t newest() const { return newest_; }

  // -- gateways
  /// Shards of a gateway go over to an epoch.
  void published(gateway_id gateway, std::uint64_t epoch);

  // -- initiators
  void attached(std::uint64_t nexus, unsigned i_t, std::uint64_t since_epoch);
  void detached(std::uint64_t nexus);
  void begin(asked& command);
  /// `data`: that came along.
  void answered(asked& command, const scsi::outcome& outcome, const std::vector<std::uint8_t>& data);
  void reset_answered(asked& command);
  /// Nobody will answer.
  void given_up(asked& command);
  block_model blocks;

  /// All is quiet, and each nexus has heard all that it is to hear.
  void settle();
  const sim::reservation_state& reservations() const { return states_.rbegin()->second.reservations; }

 private:
  struct unit_state {
    sim::reservation_state reservations;
    std::uint64_t holder = 0;  // nexus with a RESERVE
    bool aptpl = false;
  };
  struct due {
    scsi::additional_sense code;
    std::uint64_t epoch;
  };
  struct nexus_record {
    unsigned i_t = 0;
    std::uint64_t since = 0;
    std::vector<due> dues;
    std::map<scsi::additional_sense, unsigned> heard;
  };
  struct told {
    std::uint64_t epoch;
    unsigned i_t;
    scsi::additional_sense code;
  };

  void attribute(std::uint64_t epoch, asked* cause, unit_state& next);
  bool apply(asked& cause, unit_state& next) const;
  void owe(std::uint64_t epoch, unsigned i_t, scsi::additional_sense code);
  void judge(asked& command, const scsi::outcome& outcome);
  void look_at_block(const asked& command, const scsi::outcome& outcome, const std::vector<std::uint8_t>& data);
  void heard(std::uint64_t nexus, scsi::additional_sense code);
  template <class Fits>
  bool some_state(const asked& command, Fits fits) const;

  std::string failure_;
  std::uint64_t newest_ = 1;
  std::uint64_t acknowledged_ = 1;
  std::map<std::uint64_t, unit_state> states_{{1, {}}};
  std::map<gateway_id, std::uint64_t> published_;
  std::map<std::uint64_t, asked*> last_;  // by nexus
  std::map<std::uint64_t, nexus_record> live_;
  std::vector<told> told_;
};

}  // namespace sluice::agreement_sim
