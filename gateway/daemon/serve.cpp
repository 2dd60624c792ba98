#include "gateway/daemon/serve.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iostream>

#include "actors/observe/log.hpp"
#include "actors/observe/offloaded_log.hpp"
#include "gateway/control/control_server.hpp"
#include "gateway/control/http_server.hpp"
#include "gateway/control/notify.hpp"
#include "gateway/daemon/cluster.hpp"
#include "gateway/daemon/known_types.hpp"
#include "gateway/daemon/secrets.hpp"
#include "gateway/daemon/service.hpp"
#include "gateway/daemon/watchdog.hpp"
#include "gateway/relay/links.hpp"

namespace sluice::daemon {

namespace {

/// What a medium with a new size sends to the thread that waits for signals: it may be a loop's, and there may be
/// nobody to tell yet.
constexpr int medium_signal = SIGUSR1;

/// The signals that main() waits for; blocked before any thread starts, those of libraries too, so that no other thread
/// takes one.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, medium_signal}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return set;
}

/// A session costs a descriptor: take what the system allows.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int give_up(const std::string& sentence) {
  observe::say_offloaded("sluice: " + sentence);
  return 1;
}
/// A configuration that is refused is no better the next time.
constexpr int refused_status = 2;
int give_up(const error& why) {
  give_up(why.message);
  return why.code == errc::invalid_argument ? refused_status : 1;
}

void notify(const std::string& state) {
  if (auto told = control::notify_service_manager(state); !told)
    SLUICE_LOG(warning, "control", "cannot tell the service manager", {"why", told.error().message});
}

/// The next signal; meanwhile tells the service manager that the event loops turn.
int wait_for_signal(const sigset_t& signals, watchdog& watch) {
  const std::uint64_t period_ns = watchdog_period_ns();
  const timespec period{static_cast<time_t>(period_ns / ns_per_s), static_cast<long>(period_ns % ns_per_s)};
  for (;;) {
    const int number = ::sigtimedwait(&signals, nullptr, &period);
    if (number > 0) return number;
    if (errno == EAGAIN && watch.look()) notify("WATCHDOG=1");
  }
}

/// Nothing in here waits: a change that takes its time must not keep the watchdog from being fed, or a signal waiting.
void follow_signals(const sigset_t& signals, watchdog& watch, service& commands, const std::string& file) {
  for (;;) {
    const int number = wait_for_signal(signals, watch);
    if (number == medium_signal) {
      commands.follow_media_later();
      continue;
    }
    if (number != SIGHUP) return;
    if (file.empty()) continue;
    notify("RELOADING=1");
    commands.apply_later(file, [] { notify("READY=1"); });
  }
}

machine_options options_of(const config::gateway_config& config) {
  machine_options options;
  options.reactors = config.reactor_count ? config.reactor_count : static_cast<unsigned>(config.cores.size());
  options.pin.assign(config.cores.begin(), config.cores.end());
  options.buffer_bytes = config.buffers_bytes;
  return options;
}

/// What is to run, and what it shares with other gateways.
struct shared_start {
  config::model model;
  std::shared_ptr<state::shared_configuration> object = {};  // null: this gateway is in no cluster
  shared_version version = {};
};

/// The gateway's own file with the newest version of what its cluster shares. errc::invalid_argument, line by line,
/// when they are no configuration.
result<shared_start> load_with_cluster(const config::model& own, const std::shared_ptr<state::cluster_authority>& in,
                                       const config::serve_options& options, const config::known_types& known) {
  if (!in) return shared_start{own};
  auto object = in->configuration();
  if (!object) return tl::unexpected(object.error());
  auto version = read_newest(**object);
  if (!version) return tl::unexpected(version.error());
  auto loaded = config::load_file(options.config_file, version->as_text(), known);
  if (!loaded) return fail(errc::invalid_argument, loaded.error().to_string());
  loaded->gateway = own.gateway;  // with the socket of --control
  return shared_start{std::move(*loaded), std::move(*object), std::move(*version)};
}

/// What a start cannot make as the file says, and leaves as it is, is told.
result<void> apply_first(gateway& served, const std::shared_ptr<const config::model>& wanted) {
  const auto done = served.start(wanted);
  if (!done) return tl::unexpected(done.error());
  for (const config::refusal& no : done->refused) return fail(errc::invalid_argument, no.key + ": " + no.reason);
  for (const config::warning& but : served.plan(served.seen()->model).warnings)
    SLUICE_LOG(warning, "control", "not as the file says", {"key", but.key}, {"what", but.text});
  return {};
}

/// Runs until a signal; `ready` is called when every port takes logins.
int run(const config::model& model, const config::serve_options& options, const config::known_types& known,
        const sigset_t& signals, state::state_store& state, const std::function<void(gateway&)>& ready) {
  raise_descriptor_limit();
  auto hardware = machine::start(options_of(model.gateway));
  if (!hardware) return give_up(hardware.error().message);
  const store::changed medium_changed = [waiter = ::pthread_self()] { ::pthread_kill(waiter, medium_signal); };
  auto cluster = join_cluster(model);
  if (!cluster) return give_up(cluster.error().message);
  auto as_shared = load_with_cluster(model, *cluster, options, known);
  if (!as_shared) return give_up(as_shared.error());
  std::optional<cluster_neighbours> neighbours;
  std::optional<relay::links> links;
  if (*cluster && model.cluster->listen) {
    neighbours.emplace(*cluster);
    links.emplace((*hardware)->cores(), *neighbours);
    if (const auto bound = links->listen({model.cluster->listen->host, model.cluster->listen->port}); !bound)
      return give_up("cluster.listen: " + bound.error().message);
  }
  auto made = gateway::make({(*hardware)->cores(),
                             state,
                             all_stores(),
                             all_fabrics(),
                             {},
                             medium_changed,
                             *cluster,
                             links ? &*links : nullptr});
  if (!made) return give_up(made.error().message);
  gateway& served = **made;
  const auto wanted = std::make_shared<const config::model>(std::move(as_shared->model));
  if (auto done = apply_first(served, wanted); !done) {
    served.stop();
    return give_up(done.error().message);
  }
  service commands(served, **hardware, known,
                   {options.config_file, options.control, as_shared->object, std::move(as_shared->version),
                    *cluster ? (*cluster)->events() : nullptr});
  control::control_server endpoint(
      model.gateway.control,
      [&](const std::string& command, const nlohmann::json& arguments) { return commands.handle(command, arguments); });
  std::optional<control::http_server> window;
  if (model.gateway.http)
    window.emplace(*model.gateway.http, [&](const std::string& command, const nlohmann::json& arguments) {
      return commands.handle(command, arguments);
    });
  auto opened = endpoint.start();
  if (opened && window) opened = window->start();
  if (!opened) {
    commands.interrupt();
    endpoint.stop();
    commands.stop();
    served.stop();
    return give_up(opened.error().message);
  }
  ready(served);
  notify("READY=1");
  std::vector<reactor::loop*> loops;
  for (runtime::core* core : (*hardware)->cores()) loops.push_back(&core->loop());
  watchdog watch(std::move(loops));
  follow_signals(signals, watch, commands, options.config_file);
  notify("STOPPING=1");
  SLUICE_LOG(info, "gateway", "stopping");
  commands.interrupt();
  window.reset();
  endpoint.stop();
  commands.stop();
  served.stop();
  const int status = served.has_lost_data() ? 1 : 0;
  if (!served.is_stranded()) return status;
  observe::drain_log();
  ::_exit(status);  // all that must last has been made durable when it was agreed
}

void say_ready() {
  std::cout << "sluice: ready" << std::endl;
}

/// The configuration of the demo, as an operator would write it.
std::string demo_text(const std::string& directory, const std::string& control, const std::string& listen) {
  return "[gateway]\n"
         "name = \"demo\"\n"
         "control = \"" +
         control +
         "\"\n"
         "\n"
         "[store.ram]\n"
         "type = \"ram\"\n"
         "size = \"1GiB\"\n"
         "\n"
         "[store.disk]\n"
         "type = \"file\"\n"
         "path = \"" +
         directory +
         "/disk.raw\"\n"
         "size = \"4GiB\"\n"
         "\n"
         "[target.demo]\n"
         "luns = { 0 = \"ram\", 1 = \"disk\" }\n"
         "\n"
         "[[target.demo.port]]\n"
         "fabric = \"iscsi\"\n"
         "name = \"iqn.2026-11.io.sluice:demo\"\n"
         "listen = [\"" +
         listen + "\"]\n";
}

/// What a person who looks at the demo does next.
void print_how_to_connect(const std::string& portal, const std::string& control) {
  const std::string url = "iscsi://" + portal + "/iqn.2026-11.io.sluice:demo";
  std::cout << "\n"
            << "LUN 0 is 1 GiB of RAM, LUN 1 a sparse file of 4 GiB. Connect with\n"
            << "  libiscsi   iscsi-ls -s iscsi://" << portal << "\n"
            << "  QEMU       qemu-img info " << url << "/0\n"
            << "             qemu-system-x86_64 -drive file=" << url << "/1,format=raw,if=virtio ...\n"
            << "  Linux      iscsiadm -m discovery -t sendtargets -p " << portal << "\n"
            << "             iscsiadm -m node -T iqn.2026-11.io.sluice:demo -p " << portal << " --login\n"
            << "and look at it with\n"
            << "  sluice status --control " << control << "\n"
            << "Ctrl-C ends it.\n"
            << std::endl;
}

}  // namespace

int demo(const config::demo_options& options, const config::known_types& known) {
  std::string directory = options.directory;
  std::string temporary;
  if (directory.empty()) {
    temporary = (std::filesystem::temp_directory_path() / "sluice-demo-XXXXXX").string();
    if (::mkdtemp(temporary.data()) == nullptr) return give_up("cannot make a folder in " + temporary);
    directory = temporary;
  }
  const std::string control = options.control.value_or(directory + "/control.sock");
  const std::string listen = reactor::endpoint{options.listen.host, options.listen.port}.to_string();
  const sigset_t signals = block_signals();
  const observe::offloaded_log log;
  const auto model = config::load_text(demo_text(directory, control, listen), "demo", directory, known);
  int status = 1;
  if (model) {
    set_log_of(model->gateway);
    const auto state = state::make_memory_store();
    status = run(*model, {"", control}, known, signals, *state, [&](gateway& served) {
      say_ready();
      print_how_to_connect(served.seen()->ports.at(0)->addresses.at(0), control);
    });
  } else {
    give_up(model.error().to_string());
  }
  std::error_code ignored;
  if (!temporary.empty()) std::filesystem::remove_all(temporary, ignored);
  return status;
}

int serve(const config::model& model, const config::serve_options& options, const config::known_types& known) {
  const sigset_t signals = block_signals();
  const observe::offloaded_log log;
  set_log_of(model.gateway);
  auto state = state::open_rocksdb_store(model.gateway.state_dir);
  if (!state) return give_up(state.error().message);
  return run(model, options, known, signals, **state, [](gateway&) { say_ready(); });
}

}  // namespace sluice::daemon
