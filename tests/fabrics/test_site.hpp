#pragma once
#include <gtest/gtest.h>

#include "fabrics/port/contract_kit.hpp"
#include "fabrics/rdma/simulated.hpp"
#include "tests/sim/machine_actor.hpp"

namespace sluice::fabrics {

/// A gateway on a simulated machine of three cores, with one port of a fabric.
class simulated_site : public port::contract::site {
 public:
  static constexpr unsigned cores = 3;

  /// `names` are those of initiators 0 and 1; without them, the target is open to all.
  simulated_site(config::port_config port, std::vector<std::string> names, std::uint64_t seed = 1);
  ~simulated_site() override;

  bool until(const std::function<bool()>& so) override {
    return world_.run_until(so, world_.now_ns() + 120 * ns_per_s);
  }
  std::uint64_t now_ns() const { return world_.now_ns(); }
  void run_for(std::uint64_t duration_ns) override { world_.run_for(duration_ns); }
  void steps(unsigned count) override {
    while (count-- > 0) world_.step();
  }
  void stall_medium(bool stalls) override {
    static constexpr reactor::sim_options usual;
    constexpr std::uint64_t long_ns = 20 * ns_per_s;
    world_.options().disk_latency_ns = stalls ? reactor::sim_options::range{long_ns, long_ns} : usual.disk_latency_ns;
  }
  void kick_all() override { machine_.kick_all(); }
  void admit_no_more(unsigned number) override;
  void add_lun() override;
  void stop_port() override;
  /// Of the unit behind LUN 1: the operator clears them.
  void forget_reservations() { machine_.clear_reservations("second"); }
  rdma::simulated_network& network() { return network_; }

 protected:
  reactor::sim_world world_;
  rdma::simulated_network network_{world_};  // for fabrics over RDMA

 private:
  static config::model first_model(config::port_config port, const std::vector<std::string>& names);

  sim::actors actors_;
  sim::judge told_;
  sim::machine machine_;
  config::model model_;
};

}  // namespace sluice::fabrics
