#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "fabrics/iscsi/portal_table.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::iscsi {

struct connection_options;
class core_connections;

/// A listening socket with the connections that came by it, spread over the cores. Control thread.
class portal {
 public:
  virtual ~portal() = default;  // after close()
  /// Where it listens, with the port number that the system chose.
  virtual const reactor::endpoint& local() const = 0;
  /// Takes no more connections, ends those that there are. `released` runs on a loop's thread when the address is free,
  /// `ended` when the last connection has gone. Once.
  virtual void close(std::function<void()> released, std::function<void()> ended) = 0;
};

/// Listens on the first core; connections are served from now on, by what options.shared->board says, on the cores of
/// `spread` one after the other; the first of these is of the first core.
result<std::unique_ptr<portal>> open_portal(const reactor::endpoint& where, connection_options options,
                                            runtime::core& first,
                                            std::vector<std::shared_ptr<core_connections>> spread);

}  // namespace sluice::iscsi
