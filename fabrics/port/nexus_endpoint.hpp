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
  /// The nexus may get a channel on each of several cores. It pays a lock for a moment per command where a single
  /// channel pays none.
  bool several_channels = false;
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

/// Something happened at a logical unit. A unit attention with this code waits for the nexus there in any case: a
/// fabric that can tells the initiator without being asked [SPC-4 5.14.5], any other ignores it.
struct unit_event {
  port::lun lun = 0;
  scsi::additional_sense code = 0;  // REPORTED LUNS DATA HAS CHANGED comes once, with LUN 0, for the whole nexus
};

/// What the core tells a fabric of a channel; on the channel's core, in a step of the loop of its own.
struct channel_events {
  /// Drop the connections that use the channel and close() it. May come until then.
  std::function<void(loss_reason)> evict;
  std::function<void(const unit_event&)> report;  // null: the fabric has no way to tell its initiator
};

/// An event of the transport that ends tasks without a task management function [SAM-5 6.3].
enum class transport_reset : std::uint8_t {
  nexus_loss,  // of this nexus alone: its tasks end, its RESERVE ends, I_T NEXUS LOSS OCCURRED waits
  hard_reset,  // as of a bus: every logical unit that the nexus sees is reset, for all initiators
};

/// An I_T nexus as one of its channels has it, used on the core where that was opened. A nexus has one channel at most
/// on a core: connections that share the core share it. Tasks of all channels are in the same task sets; task
/// management covers them wherever they came from.
class nexus {
 public:
  virtual const std::shared_ptr<const i_t_nexus>& identity() const noexcept = 0;
  /// Hands a task to the logical unit that the LUN map names; also answers for LUNs that are not there.
  virtual void submit(task& t) noexcept = 0;
  /// Starts a task management function; the answer comes to request.reply_to.
  virtual void manage(task_management& request) noexcept = 0;
  /// The transport has been reset; `done` runs on this core when the tasks concerned are gone.
  virtual void reset(transport_reset what, std::function<void()> done) noexcept = 0;
  /// Another connection carries the channel now: what status shows of it, as in port::login.
  virtual void reached_from(const std::string& peer, const std::string& description) noexcept {
    (void)peer, (void)description;
  }
  /// Ends the channel, and with the last one the nexus: its tasks are completed silently, one by one; then `closed`
  /// runs, on this core, and this object and the endpoints may be destroyed. Call once.
  virtual void close(loss_reason reason, std::function<void()> closed) noexcept = 0;
  virtual ~nexus() = default;
};

/// The core's side of login and discovery, as one core's fabrics see it. All calls and callbacks on this loop.
class gateway {
 public:
  virtual ~gateway() = default;
  /// Access control for one initiator at one port; nullopt when there is no such port. At once.
  virtual std::optional<access> check(const port_id& port, const std::string& initiator_name) = 0;
  /// Another number whenever check() may answer otherwise than before.
  virtual std::uint64_t access_epoch() const noexcept = 0;
  /// Opens a nexus. A live nexus of the same initiator port at the same target port is reinstated first: each of its
  /// channels' `evict` has been called and each close() has finished before `opened` runs [RFC7143 6.3.5].
  virtual void open(const login& who, channel_events events,
                    std::function<void(result<std::unique_ptr<nexus>>)> opened) = 0;
  /// Opens a channel on this core to the live nexus of that id, which `who` opened with several_channels.
  /// errc::not_found: there is no such nexus, or it ends; errc::already_exists: it has a channel on this core.
  virtual void join(std::uint64_t nexus_id, const login& who, channel_events events,
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
