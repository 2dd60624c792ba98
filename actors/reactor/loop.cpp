#include "actors/reactor/loop.hpp"

#include <sched.h>

#include <utility>

#include "actors/reactor/epoll_loop.hpp"
#include "actors/reactor/posted_function.hpp"
#include "actors/reactor/uring_loop.hpp"

namespace sluice::reactor {
namespace {

result<void> check_core(int core) {
  cpu_set_t allowed;
  if (core < 0 || ::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  if (core < CPU_SETSIZE && CPU_ISSET(static_cast<unsigned>(core), &allowed)) return {};
  return fail(errc::invalid_argument, "core " + std::to_string(core) + " is not among the cores this process may use");
}

}  // namespace

void loop::post(std::function<void()> work) {
  post(*new posted_function(std::move(work)));
}

result<std::unique_ptr<loop>> make_loop(const loop_options& options, std::string* why) {
  if (auto checked = check_core(options.core); !checked) return tl::unexpected(checked.error());
  if (options.kind == backend::epoll) return make_epoll_loop(options);
  result<std::unique_ptr<loop>> ring = make_uring_loop(options);
  if (ring || options.kind == backend::uring) return ring;
  if (why) *why = "using epoll: " + ring.error().message;
  return make_epoll_loop(options);
}

}  // namespace sluice::reactor
