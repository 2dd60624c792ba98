#pragma once
#include <list>
#include <map>
#include <set>

#include "actors/reactor/simulated.hpp"
#include "gateway/state/authority.hpp"
#include "tests/agreement/plant.hpp"
#include "tests/agreement/simulated_image.hpp"

namespace sluice::agreement_sim {

/// An authority that several gateways reach over connections of their own: messages take any time, in order on each
/// connection, and none is delivered over a connection that was cut meanwhile. Membership is a lease: a member renews
/// it, and may serve while the last renewal that was answered was *sent* less than the lease ago; the authority counts
/// on a member until the last renewal *arrived* that long ago, and is never earlier than the member itself.
class simulated_authority {
 public:
  static constexpr std::uint64_t lease_ns = 900 * ns_per_ms, renewal_ns = 250 * ns_per_ms;
  static constexpr std::uint64_t answer_ns = 1500 * ns_per_ms;  // how long a gateway that is no member waits for one

  /// Runs a thing in the gateway's process: later when that is paused, never when it has ended.
  using deliver = std::function<void(std::function<void()>)>;
  using binding = std::function<void(const state::record& committed, gateway_id by)>;

  /// `image`: what is to be fenced; null: nothing is.
  simulated_authority(reactor::sim_world& world, plant bug, simulated_image* image, binding committed)
      : world_(world), bug_(bug), image_(image), committed_(std::move(committed)) {}

  class seat;
  /// `connection`: over which the gateway uses the image; `lost`: it is no member any more, and must take another.
  std::unique_ptr<seat> connect(gateway_id gateway, deliver to_gateway, std::function<std::uint64_t()> connection,
                                std::function<void()> lost);
  void cut(gateway_id gateway, bool cut);
  /// Connections break; what was committed stays.
  void restart();
  const state::record& now() const { return now_; }
  /// Gateways that an operator has drained. All see it at once: nothing may depend on when they do.
  std::set<gateway_id>& drained() { return drained_; }
  const std::set<gateway_id>& drained() const { return drained_; }

 private:
  struct session {
    std::weak_ptr<seat*> who;
    gateway_id gateway = 0;
    std::uint64_t incarnation = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t heard_ns = 0;
    std::uint64_t line = 0;        // the life of the connection that it watches over
    std::uint64_t connection = 0;  // to the image
  };
  struct waiting {
    std::uint64_t session;
    std::uint64_t epoch;
    std::function<void()> answer;
  };
  struct line {
    bool cut = false;
    std::uint64_t life = 0;  // of the connection
    std::uint64_t there_ns = 0, back_ns = 0;
  };

  void to_authority(gateway_id from, std::function<void()> what);
  void to_gateway(const std::weak_ptr<seat*>& who, gateway_id gateway, std::function<void(seat&)> what);
  void propose(gateway_id from, const state::proposal& what, std::function<void(const state::verdict&)> answer);
  void watch(const std::weak_ptr<seat*>& who, gateway_id gateway, std::uint64_t incarnation, std::uint64_t epoch,
             std::uint64_t number, std::uint64_t sent_ns, std::uint64_t connection);
  void renew(const std::weak_ptr<seat*>& who, gateway_id gateway, std::uint64_t number, std::uint64_t sent_ns);
  void acknowledge(std::uint64_t number, std::uint64_t epoch);
  void hear(std::uint64_t number, session& of);
  void lapse(std::uint64_t number);
  void look_at_waiting();

  reactor::sim_world& world_;
  const plant bug_;
  simulated_image* const image_;
  const binding committed_;
  std::set<std::uint64_t> ended_;  // connections to the image, of lives that are over
  state::record now_{1, {}};
  std::set<gateway_id> drained_;
  std::map<gateway_id, line> lines_;
  std::map<std::uint64_t, session> sessions_;  // members that watch
  std::map<gateway_id, std::uint64_t> gone_;
  std::list<waiting> waiting_;
  std::uint64_t next_session_ = 1;
};

class simulated_authority::seat final : public state::seat {
 public:
  seat(simulated_authority& all, gateway_id gateway, deliver to_gateway, std::function<std::uint64_t()> connection,
       std::function<void()> lost)
      : all_(all),
        gateway_(gateway),
        deliver_(std::move(to_gateway)),
        connection_(std::move(connection)),
        lost_(std::move(lost)) {}

  void read(std::function<void(result<state::record>)> done) override;
  void propose(state::proposal what, std::function<void(const state::verdict&)> decided) override;
  void watch(gateway_id gateway, std::uint64_t incarnation, state::watcher* tells) override;
  void in_force(std::uint64_t epoch) override;
  void confirm(std::uint64_t epoch, std::function<void()> done) override;
  void barrier(std::function<void()> done) override;
  bool yields_to(const std::vector<gateway_id>& others) const override;

  /// Whether the gateway may do anything for initiators right now.
  bool may_serve() const;
  bool is_member() const { return member_; }
  /// The process ends: tells the coordinator, as if it were lost, so that it can be taken down.
  void end();

 private:
  friend class simulated_authority;
  void look_at_lease(std::uint64_t session);
  void renewed(std::uint64_t session, std::uint64_t sent_ns);
  void renew_later(std::uint64_t session);
  void lose();

  simulated_authority& all_;
  const gateway_id gateway_;
  const deliver deliver_;
  const std::function<std::uint64_t()> connection_;
  const std::function<void()> lost_;
  state::watcher* tells_ = nullptr;
  std::uint64_t session_ = 0;  // 0: no member
  bool member_ = false;        // the authority knows that we watch
  std::uint64_t committed_ = 0;
  std::uint64_t lease_until_ns_ = 0;
  std::uint64_t call_ = 0;  // answers to earlier calls are of no interest
  std::shared_ptr<seat*> self_ = std::make_shared<seat*>(this);
};

}  // namespace sluice::agreement_sim
