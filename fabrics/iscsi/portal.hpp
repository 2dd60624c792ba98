#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "fabrics/iscsi/portal_table.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::iscsi {

struct connection_options;

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

/// Listens; connections are served from now on, by what options.shared->board says.
result<std::unique_ptr<portal>> open_portal(const reactor::endpoint& where, connection_options options,
                                            const std::vector<port::core_door>& cores);

}  // namespace sluice::iscsi
