#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "gateway/unit/coordinator.hpp"
#include "gateway/unit/shard.hpp"
#include "tests/agreement/oracle.hpp"
#include "tests/agreement/simulated_authority.hpp"
#include "tests/agreement/simulated_image.hpp"
#include "tests/agreement/simulated_relay.hpp"
#include "tiers/cache/cache_store.hpp"
#include "tiers/ram/ram_store.hpp"

namespace sluice::agreement_sim {

/// One gateway with one unit: the real coordinator and real shards; messages between them take any time. It can be
/// paused, killed and started again.
class served_gateway {
 public:
  static constexpr unsigned shards = 2;

  /// `image`: that gateways own in turn, with `relay` between them; null: they all use `medium`, which answers at once.
  served_gateway(reactor::sim_world& world, reactor::loop& loop, ram::ram_store& medium, simulated_image* image,
                 simulated_relay& relay, simulated_authority& all, oracle& told, gateway_id id, plant bug);
  bool shares() const { return image_ != nullptr; }
  ~served_gateway();

  void start();
  void kill();
  void pause(bool on);
  bool running() const { return coordinator_ != nullptr; }
  /// It is up, and a member.
  bool serves() const;
  gateway_id id() const { return id_; }
  unsigned place() const { return id_ - 1U; }  // among all
  /// Whether one of its cores would touch blocks for an initiator.
  bool acts_as_owner() const;
  void move_to(gateway_id other);
  /// What the daemon does now and then when gateways may be drained.
  void tend_owner(const std::set<gateway_id>& drained);
  std::uint64_t life() const { return life_; }

  /// Does a thing in the process, in line with all others of its key.
  void post(std::uint64_t key, std::function<void()> what);
  /// Whether a command that arrives now may be looked at; else the initiator gets no answer.
  bool admits() const { return started_ && seat_->may_serve(); }
  unit::shard& shard(unsigned index) { return *shards_.at(index); }
  bool started() const { return started_; }
  std::uint64_t new_nexus() { return global_id(id_, next_nexus_++); }
  void attach(unsigned index, const std::shared_ptr<const port::i_t_nexus>& identity);
  void detach(unsigned index, std::uint64_t nexus, std::function<void()> done);
  /// The same for nexuses of other gateways, of which the oracle knows through those.
  void attach_relayed(unsigned index, const std::shared_ptr<const port::i_t_nexus>& identity);
  void detach_relayed(unsigned index, std::uint64_t nexus, std::function<void()> done);
  const unit::unit_snapshot& snapshot() const { return *coordinator_->snapshot(); }

 private:
  struct to_coordinator_link final : unit::coordinator_link {
    served_gateway* owner = nullptr;
    unsigned index = 0;
    void send(unit::to_coordinator message) override;
  };
  struct to_shard_link final : unit::shard_link {
    served_gateway* owner = nullptr;
    unsigned index = 0;
    void send(unit::to_shard message) override;
  };
  /// The tenure of the store over the image, which blocks nobody in this world.
  struct image_tenure final : unit::tenure {
    served_gateway* owner = nullptr;
    void begin(std::function<void(const result<void>&)> done) override;
    void end(std::function<void()> done) override;
  };
  void open_image();
  void step();
  void try_start();
  void drain();

  reactor::sim_world& world_;
  reactor::loop& loop_;
  ram::ram_store& medium_;
  simulated_image* const image_;
  simulated_relay& relay_;
  simulated_authority& authority_;
  oracle& oracle_;
  const gateway_id id_;
  const plant bug_;
  std::map<std::uint64_t, std::deque<std::function<void()>>> inbox_;
  bool paused_ = false;
  std::uint64_t held_steps_ = 0;
  std::uint64_t life_ = 0;
  std::uint64_t next_nexus_ = 1;
  bool started_ = false;
  std::vector<to_coordinator_link> coordinator_links_{shards};
  std::vector<to_shard_link> shard_links_{shards};
  simulated_authority::seat* seat_ = nullptr;
  std::shared_ptr<simulated_image::opened> opened_;
  std::shared_ptr<store::store> store_;  // over that
  image_tenure tenure_;
  std::unique_ptr<unit::coordinator> coordinator_;
  std::vector<std::unique_ptr<unit::shard>> shards_;
  std::map<std::uint64_t, unsigned> attached_;  // nexus, its shard
  std::map<std::uint64_t, unsigned> relayed_;   // likewise
};

}  // namespace sluice::agreement_sim
