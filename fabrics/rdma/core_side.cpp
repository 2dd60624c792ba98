#include "fabrics/rdma/core_side.hpp"

#include <utility>

#include "actors/runtime/core.hpp"

namespace sluice::rdma {

core_sides sides_of(const std::vector<port::core_endpoint>& cores) {
  core_sides made;
  for (const port::core_endpoint& each : cores) made.push_back(std::make_unique<core_side>(core_side{each, nullptr}));
  return made;
}

result<void> start_hosts(const core_sides& cores, const host_maker& make) {
  for (const auto& each : cores) {
    if (each->host) continue;
    result<std::unique_ptr<host>> made = fail(errc::unsupported, "");
    each->where.core->call([&] { made = make(each->where.core->loop()); });
    if (!made) return tl::unexpected(made.error());
    each->host = std::move(*made);
  }
  return {};
}

void close_hosts(const core_sides& cores) {
  for (const auto& each : cores)
    if (each->host)
      each->where.core->call_async([&](std::function<void()> finished) {
        each->host->close([&each, finished = std::move(finished)] {
          each->host.reset();
          finished();
        });
      });
}

}  // namespace sluice::rdma
