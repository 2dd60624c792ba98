#include "config/cli/cli.hpp"
#include "gateway/daemon/registrations.hpp"
#include "gateway/daemon/serve.hpp"
#include "gateway/daemon/version.hpp"

int main(int argc, char** argv) {
  using namespace sluice;
  store::registry stores;
  port::registry fabrics;
  daemon::register_everything(stores, fabrics);
  config::cli_hooks hooks;
  hooks.version = daemon::version;
  for (const store::factory& factory : stores.all()) hooks.known.stores.emplace_back(factory.type, factory.keys);
  for (const port::fabric& fabric : fabrics.all()) hooks.known.fabrics.emplace_back(fabric.name, fabric.keys);
  hooks.serve = [&](const config::model& model, const config::serve_options& options) {
    return daemon::serve(model, options, hooks.known);
  };
  hooks.demo = [&](const config::demo_options& options) { return daemon::demo(options, hooks.known); };
  return config::run_cli(argc, argv, hooks);
}
