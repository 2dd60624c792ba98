#include "config/cli/cli.hpp"
#include "gateway/daemon/cache_simulation.hpp"
#include "gateway/daemon/journal_commands.hpp"
#include "gateway/daemon/known_types.hpp"
#include "gateway/daemon/probing.hpp"
#include "gateway/daemon/serve.hpp"
#include "gateway/daemon/state_commands.hpp"
#include "gateway/daemon/version.hpp"

namespace sluice::daemon {

static int main_of_sluice(int argc, char** argv) {
  const store::registry& stores = all_stores();
  config::cli_hooks hooks;
  hooks.version = version;
  hooks.known = known_types();
  hooks.probe = [&](const config::model& model, config::diagnostics& warnings) {
    return probe_media(model, stores, warnings);
  };
  hooks.serve = [&](const config::model& model, const config::serve_options& options) {
    return serve(model, options, hooks.known);
  };
  hooks.demo = [&](const config::demo_options& options) { return demo(options, hooks.known); };
  hooks.simulate = simulate_cache;
  hooks.inspect_journal = [&](const config::journal_options& options) { return inspect_journal(options, stores); };
  hooks.resolve_journal = [&](const config::journal_options& options) { return resolve_journal(options, stores); };
  hooks.repair_state = repair_state_directory;
  return config::run_cli(argc, argv, hooks);
}

}  // namespace sluice::daemon

int main(int argc, char** argv) {
  return sluice::daemon::main_of_sluice(argc, argv);
}
