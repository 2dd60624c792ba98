#include "tests/fabrics/test_site.hpp"
#include "actors/observe/log.hpp"
#include "fabrics/iser/rdma_transport.hpp"
#include "fabrics/srp/srp_fabric.hpp"

namespace sluice::fabrics {
namespace {

config::store_config ram(const std::string& name) {
  config::store_config made{name, "ram", {}, "", {}};
  made.settings.set("size", std::uint64_t{4 * mib});
  return made;
}

config::unit_config unit_over(const std::string& store) {
  config::unit_config made;
  made.name = made.store = store;
  return made;
}

sim::machine::surroundings over(rdma::simulated_network& network) {
  sim::machine::surroundings made;
  made.fabric = [&network](port::fabric real) {
    if (real.rules.name == "srp") return srp::make_fabric(network.hosts());
    return real.rules.name == "iser" ? iser::make_fabric(network.hosts()) : std::move(real);
  };
  return made;
}

}  // namespace

simulated_site::simulated_site(config::port_config port, std::vector<std::string> names, std::uint64_t seed)
    : world_(seed),
      machine_(world_, actors_, told_, cores, sim::plant::none, over(network_)),
      model_(first_model(port, names)) {
  observe::set_log_sink([](std::string_view) {});
  machine_.start(model_);
}

simulated_site::~simulated_site() {
  machine_.stop();
  EXPECT_FALSE(told_.failed()) << told_.verdict();
  observe::set_log_sink(nullptr);
}

config::model simulated_site::first_model(config::port_config port, const std::vector<std::string>& names) {
  config::model made;
  config::store_config disk{"second", "file", {}, "", {}};
  disk.settings.set("path", std::string("/sim/second.raw"));
  disk.settings.set("size", std::uint64_t{4 * mib});
  made.stores = {ram("first"), disk};
  made.units = {unit_over("first"), unit_over("second")};
  config::target_config target;
  target.name = "main";
  target.luns = {{0, "first", {}}};
  target.open = names.empty();
  for (const std::string& name : names) target.access.push_back({name, std::nullopt, {}, {}});
  target.ports = {std::move(port)};
  made.targets = {target};
  return made;
}

void simulated_site::admit_no_more(unsigned number) {
  std::vector<config::access_config>& all = model_.targets[0].access;
  all.erase(all.begin() + number);
  machine_.apply(model_);
}

void simulated_site::add_lun() {
  model_.targets[0].luns.push_back({1, "second", {}});
  machine_.apply(model_);
}

void simulated_site::stop_port() {
  model_.targets[0].ports.clear();
  machine_.apply(model_);
}

}  // namespace sluice::fabrics
