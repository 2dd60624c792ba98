#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/base/result.hpp"
#include "actors/reactor/loop.hpp"
#include "fabrics/port/port_id.hpp"
#include "fabrics/port/task.hpp"

/// How a fabric asks the core about targets and opens I_T nexuses.
namespace sluice::port {

/// What a fabric keeps with an initiator's access table, e.g. its CHAP secrets; made by fabric::read_access, read by
/// the same fabric only. Immutable.
struct credentials {
  virtual ~credentials() = default;
  /// Whether they are the same; `other` is of the same fabric.
  virtual bool equals(const credentials& other) const = 0;
};

/// What access control says of an initiator at one port.
struct access {
  bool allowed = false;
  std::shared_ptr<const port::credentials> credentials;  // null: none are configured
};

struct login {
  port_id port;  // the target port asked for
  /// Who asks. A port whose initiators have no names (port_descriptor) gives its own name here.
  scsi::transport_id initiator;
  capabilities caps;
  std::string peer;         // "127.0.0.1:50000", for status
  std::string description;  // e.g. negotiated digests, for status
};

enum class loss_reason : std::uint8_t {
  logout,
  connection_lost,
  reinstated,
  kicked,
  port_removed,
  unit_removed,
  shutdown
};
const char* to_string(loss_reason reason);  // in an operator's words

/// An open I_T nexus, used on the core where it was opened.
class nexus {
 public:
  virtual const std::shared_ptr<const i_t_nexus>& identity() const noexcept = 0;
  /// Hands a task to the logical unit that the LUN map names; also answers for LUNs that are not there.
  virtual void submit(task& t) noexcept = 0;
  /// Starts a task management function; the answer comes to request.reply_to.
  virtual void manage(task_management& request) noexcept = 0;
  /// Ends the nexus: its tasks are completed silently, one by one; then `closed` runs, on this core, and the nexus and
  /// the endpoints may be destroyed. Call once.
  virtual void close(loss_reason reason, std::function<void()> closed) noexcept = 0;
  virtual ~nexus() = default;
};

/// The core's side of login and discovery, as one core's fabrics see it. All calls and callbacks on this loop.
class gateway {
 public:
  virtual ~gateway() = default;
  /// Access control for one initiator at one port; nullopt when there is no such port. At once.
  virtual std::optional<access> check(const port_id& port, const std::string& initiator_name) = 0;
  /// Opens a nexus. A live nexus of the same initiator port at the same target port is reinstated first: its `evict`
  /// has been called and its close() has finished before `opened` runs [RFC7143 6.3.5]. `evict` tells the fabric to
  /// drop its connections and close() the nexus; it may come any time until then.
  virtual void open(const login& who, std::function<void(loss_reason)> evict,
                    std::function<void(result<std::unique_ptr<nexus>>)> opened) = 0;
};

/// Limits that every fabric keeps; from the config.
struct limits {
  std::uint32_t max_connections = 4096;  // logged in
  std::uint64_t login_timeout_ns = 15ull * 1000 * 1000 * 1000;
  std::uint32_t max_tasks_per_nexus = 128;        // the iSCSI command window
  std::uint32_t max_connections_per_address = 0;  // logged in, from one address; 0: a quarter of all, at least 64
};

}  // namespace sluice::port
