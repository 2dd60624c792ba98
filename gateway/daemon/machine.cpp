#include "gateway/daemon/machine.hpp"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <caf/all.hpp>
#include <optional>

#include "actors/observe/log.hpp"

namespace sluice::daemon {

namespace {

unsigned usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace

struct machine::actors {
  actors() {
    // The pool carries control-path actors only.
    config.set("scheduler.max-threads", 1);
    config.set("scheduler.policy", caf::atom("sharing"));
    config.set("logger.verbosity", caf::atom("quiet"));
    system.emplace(config);
  }
  caf::actor_system_config config;
  std::optional<caf::actor_system> system;
};

machine::machine() : actors_(std::make_unique<actors>()) {}

result<std::unique_ptr<machine>> machine::start(const machine_options& options) {
  std::unique_ptr<machine> made(new machine);
  const unsigned count = options.reactors ? options.reactors : usable_cores();
  for (unsigned i = 0; i < count; ++i) {
    std::string why;
    auto loop = reactor::make_loop({.index = i,
                                    .core = i < options.pin.size() ? static_cast<int>(options.pin[i]) : -1,
                                    .kind = options.backend,
                                    .buffer_bytes = options.buffer_bytes,
                                    .spin_ns = options.spin_ns},
                                   &why);
    if (!loop) return tl::unexpected(loop.error());
    if (i == 0) {
      SLUICE_LOG(info, "reactor", "event loops start", {"count", count}, {"kind", (*loop)->kind()}, {"why", why});
    }
    made->loops_.push_back(std::move(*loop));
    made->cores_.push_back(std::make_unique<runtime::core>(*made->actors_->system, *made->loops_.back()));
    made->core_pointers_.push_back(made->cores_.back().get());
  }
  for (auto& loop : made->loops_) {
    made->threads_.emplace_back([serve = loop.get()] { serve->run(); });
    pthread_setname_np(made->threads_.back().native_handle(), ("reactor-" + std::to_string(loop->index())).c_str());
  }
  return made;
}

machine::~machine() {
  actors_->system->await_all_actors_done();
  for (auto& loop : loops_) loop->stop();
  for (std::thread& thread : threads_) thread.join();
  cores_.clear();
  loops_.clear();
}

double machine::cpu_seconds(unsigned index) const {
  clockid_t clock;
  timespec used{};
  if (pthread_getcpuclockid(const_cast<std::thread&>(threads_.at(index)).native_handle(), &clock) != 0) return 0;
  ::clock_gettime(clock, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace sluice::daemon
