#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "actors/reactor/loop.hpp"

/// RDMA as a target needs it, behind one seam with two implementations: `verbs` (librdmacm, libibverbs) and `simulated`
/// (a network in a simulated world). Reliable connections; protection domains, keys of local memory and completion
/// queues stay on the other side of the seam.
namespace sluice::rdma {

/// How a posted chain or receive ended. Everything that was posted ends once, in the order of its queue.
enum class outcome : std::uint8_t {
  done,
  failed,   // the first one that a broken queue pair could not do: what of it took effect is not known
  flushed,  // not done: the connection ends
};
const char* to_string(outcome how);

/// Something posted; its owner keeps it until it ends.
class work {
 public:
  /// On the loop of the connection's host, never within the call that posted it. `octets`: received.
  virtual void on_done(outcome how, std::uint32_t octets) noexcept = 0;

 protected:
  ~work() = default;
};

/// A piece of the peer's memory, as it names it.
struct remote_piece {
  std::uint64_t address = 0;
  std::uint32_t key = 0;
  std::uint32_t length = 0;
  bool operator==(const remote_piece&) const = default;
};

/// One entry of the send queue. Local parts lie in the loop's buffers (memory::pool) and stay as they are until the
/// chain ends.
struct request {
  enum class kind : std::uint8_t { send, read, write };
  static constexpr unsigned max_parts = 6;  // few, as they take room in the queue of every connection
  kind what = kind::send;
  std::uint8_t part_count = 0;
  std::uint32_t remote_key = 0;      // of read and write; of a send: one that it invalidates at the peer, or 0
  std::uint64_t remote_address = 0;  // likewise
  std::array<iovec, max_parts> parts{};
};

/// How deep the queues of a connection are: entries, not octets.
struct queue_depths {
  std::uint32_t receives = 0;
  std::uint32_t sends = 0;
};

class host;

/// A connection that a peer has asked for: answered by accept() or reject(), or just destroyed. Used on the loop of its
/// host; of the listener's host until it has moved.
class connection {
 public:
  class handler {
   public:
    /// The peer knows that it was accepted. What it sent may have been received before.
    virtual void on_established() noexcept = 0;
    /// The peer has gone, or the queue pair is broken; once, and not after close(). close() follows.
    virtual void on_lost(const std::string& why) noexcept = 0;
    /// After close(): all that was posted has ended, and no memory is touched any more. Nothing comes after it.
    virtual void on_drained() noexcept = 0;

   protected:
    ~handler() = default;
  };

  /// Never opened, or drained.
  virtual ~connection() = default;
  virtual std::string peer() const = 0;   // "192.0.2.1:50000"
  virtual std::string local() const = 0;  // the address that it asked for
  virtual const_bytes private_data() const = 0;
  /// The most that queues may have here.
  virtual queue_depths limits() const = 0;
  /// Which parts a request of a kind may have.
  virtual unsigned max_parts(request::kind what) const = 0;
  /// Whether a send can invalidate a key of the peer's.
  virtual bool can_invalidate() const = 0;

  /// Hands it to another core: from here on it is used there alone. Before open(). May wait for the system, shortly.
  virtual result<void> move_to(host& other) = 0;
  /// Makes the queue pair; errc::no_space when the device has no more.
  virtual result<void> open(const queue_depths& depths, handler& told) = 0;
  /// After open(), also before accept(): what the peer sends first must find a buffer.
  virtual void receive(work& w, const iovec& into) noexcept = 0;
  virtual result<void> accept(const_bytes private_data) = 0;
  /// Answers the request with a refusal.
  virtual void reject(const_bytes private_data) noexcept = 0;
  /// Posts a chain, which ends when its last entry has, or flushed with the connection; at most send_room() entries.
  virtual void send(work& w, std::span<const request> chain) noexcept = 0;
  virtual std::uint32_t send_room() const noexcept = 0;
  /// Disconnects, in order where that is possible, and takes the queue pair down: handler::on_drained() follows, never
  /// within the call. A no-op when called again.
  virtual void close() noexcept = 0;
};

/// Takes connections at an address until it is destroyed. Used on its host's loop.
class listener {
 public:
  using asked = std::function<void(std::unique_ptr<connection>)>;
  virtual ~listener() = default;
  virtual std::string local() const = 0;
};

/// RDMA as one core has it. Used on its loop; outlives its listeners and connections.
class host {
 public:
  virtual ~host() = default;
  /// errc::not_found when no RDMA device has the address.
  virtual result<std::unique_ptr<listener>> listen(const reactor::endpoint& where, listener::asked told) = 0;
  /// Ends what waits for the system, so that the host can be destroyed: `ended` runs in a step of the loop. No listener
  /// or connection is left.
  virtual void close(std::function<void()> ended) = 0;
};

/// Makes the hosts of a gateway, one for each core, on that core's loop.
using host_maker = std::function<result<std::unique_ptr<host>>(reactor::loop& on)>;

}  // namespace sluice::rdma
