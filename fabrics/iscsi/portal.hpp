#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "fabrics/iscsi/portal_table.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::iscsi {

struct connection_facts;
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

/// How connections come: by TCP, or by RDMA. It outlives its portals. Control thread.
class transport {
 public:
  virtual ~transport() = default;
  /// What a port offers where its configuration says nothing, and everybody before the port is known.
  virtual offer ours() const { return {}; }
  /// Listens on the first core; connections are served from now on, by what options.shared->board says, on the cores of
  /// `spread` one after the other; the first of these is of the first core.
  virtual result<std::unique_ptr<portal>> listen(const reactor::endpoint& where, connection_options options,
                                                 std::vector<std::shared_ptr<core_connections>> spread) = 0;
};

/// TCP; `first` is the first core.
std::unique_ptr<transport> tcp(runtime::core& first);

/// What a portal notes of a connection that comes to it; its peer as "192.0.2.1:50000".
std::shared_ptr<connection_facts> facts_of(portal_id portal, const std::string& peer, std::uint64_t now_ns);
/// Whether a portal may take one more connection; counts and tells the operator that it may not. Who comes when there
/// are enough sessions is told so by a login; those that were told to go for it are still among these.
bool has_place(const connection_options& options);

}  // namespace sluice::iscsi
