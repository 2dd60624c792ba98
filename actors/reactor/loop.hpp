#pragma once
#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"
#include "actors/memory/slab.hpp"

/// The event loop of one core behind one seam with three implementations: io_uring, epoll with a small I/O pool,
/// and simulated (virtual time, seeded, faults). Time, randomness, disk and network reach the gateway through here
/// only, so that the whole gateway also runs inside the simulator.
namespace sluice::reactor {

/// An open socket or file of the loop: a file descriptor, or the simulator's number for one.
using handle = int;
inline constexpr handle no_handle = -1;

/// One asynchronous operation. The caller owns it, the iovec array and the buffers, and keeps all of them alive and
/// still until on_complete() has been entered; one operation carries one request at a time.
class operation {
 public:
  operation() = default;
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  /// Called exactly once per request, on the loop's thread, never from within the call that started it.
  /// `result` >= 0 as the operation documents, or -errno (-ECANCELED after cancel()).
  virtual void on_complete(std::int64_t result) noexcept = 0;

  bool in_flight() const { return in_flight_; }

  /// Belongs to the loop while in flight.
  struct {
    operation* next;
    operation* previous;
    void* pointer;
    std::uint64_t words[4];
  } scratch{};
  bool in_flight_ = false;
  bool drained_ = false;  // the loop's: the last receive took all that the socket had

 protected:
  ~operation() = default;
};

/// A unit of work that the loop runs once. Must be alive until it runs.
class runnable {
 public:
  virtual void run() noexcept = 0;
  runnable* next_ = nullptr;  // the loop's, while queued
  bool queued_ = false;       // the loop's: set by defer() and at_turn_end()

 protected:
  ~runnable() = default;
};

/// A timer of the loop's wheel (1 ms ticks): arming and disarming cost O(1).
class timer {
 public:
  virtual void on_timer() noexcept = 0;
  bool armed() const { return next_ != nullptr; }
  timer* next_ = nullptr;      // the wheel's
  timer* previous_ = nullptr;  // the wheel's
  std::uint64_t deadline_tick_ = 0;

 protected:
  ~timer() = default;
};

/// An IP endpoint in text: host is "127.0.0.1", "::1" or "fe80::1%eth0" (no brackets); port 0 lets the system choose.
struct endpoint {
  std::string host;
  std::uint16_t port = 0;
  bool is_ipv6() const { return host.find(':') != std::string::npos; }
  bool is_loopback() const;
  std::string to_string() const;  // 127.0.0.1:3260 or [::1]:3260
  /// Parses "127.0.0.1:3260" or "[::1]:3260"; numeric addresses only.
  static result<endpoint> parse(const std::string& text);
  bool operator==(const endpoint&) const = default;
};

struct open_flags {
  bool writable = true;
  bool create = false;     // create when absent (mode 0600)
  bool direct = false;     // O_DIRECT
  bool exclusive = false;  // errc::busy when in use: O_EXCL on a block device; a lock held by another open on a file
};

struct file_info {
  std::uint64_t size_bytes = 0;  // of a file, or of a block device
  bool is_block_device = false;
  std::uint32_t logical_block = 512;  // alignment that direct I/O needs, octets
  std::uint32_t physical_block = 4096;
  std::uint64_t discard_granularity = 0;  // 0: the device cannot discard
  bool rotational = false;
  bool read_only = false;
};

enum class allocate_mode : std::uint8_t { punch_hole, zero_range };

enum class backend : std::uint8_t { automatic, uring, epoll };

/// What a descriptor is polled for, and what a poll found; several are or-ed.
struct poll_event {
  static constexpr unsigned readable = 1;
  static constexpr unsigned writable = 4;
  static constexpr unsigned broken = 8;  // found only, asked for or not: an error, or hung up
};

class message_sockets;

class loop {
 public:
  /// After run() has returned. Nothing may be in flight but what waits for a peer (accept, connect, receive,
  /// wait_readable, wait_writable, poll); that is forgotten, as is work still queued.
  virtual ~loop() = default;

  // -- identity, time, chance ------------------------------------------------------------------------------
  /// This loop's number, 0 … reactors-1.
  virtual unsigned index() const noexcept = 0;
  virtual const char* kind() const noexcept = 0;  // "io_uring", "epoll", "simulated"
  /// True on the loop's own thread.
  virtual bool runs_here() const noexcept = 0;
  /// Monotonic nanoseconds, read anew at each call (about 20 ns on real hardware).
  virtual std::uint64_t now_ns() noexcept = 0;
  /// Unpredictable 64 bits (getrandom) on real loops; from the seed in the simulator.
  virtual std::uint64_t random() noexcept = 0;
  virtual memory::pool& buffers() noexcept = 0;

  // -- running ---------------------------------------------------------------------------------------------
  /// Serves until stop(). Called on the thread that becomes the loop's own; the same one when called again.
  virtual void run() = 0;
  virtual void stop() noexcept = 0;  // any thread
  /// Runs `work` later in this or the next turn, first in first out; a no-op when it is queued already. Home only.
  virtual void defer(runnable& work) noexcept = 0;
  /// Runs `work` once after everything else of this turn: where connections send what the turn made ready. A no-op
  /// when queued already. Home only.
  virtual void at_turn_end(runnable& work) noexcept = 0;
  /// Runs `work` on its own thread; from any thread, wakes the loop if it sleeps. `work` must not be posted again
  /// before it began to run, nor be deferred meanwhile. What was posted before stop() still runs.
  virtual void post(runnable& work) noexcept = 0;
  /// As post(), for control paths: allocates.
  void post(std::function<void()> work);

  virtual void arm(timer& t, std::uint64_t delay_ns) noexcept = 0;  // re-arms when armed; own thread only
  virtual void disarm(timer& t) noexcept = 0;                       // a no-op when not armed; own thread only

  // -- sockets (all non-blocking, close-on-exec, TCP_NODELAY) ------------------------------------------------
  // At most one accept, receive or wait_readable and one wait_writable of a handle in flight; closed by the loop that
  // used it.
  virtual result<handle> listen(const endpoint& where, int backlog) = 0;
  /// The endpoint that a handle is bound to; the peer's endpoint of a connection.
  virtual result<endpoint> local_endpoint(handle h) = 0;
  virtual result<endpoint> peer_endpoint(handle h) = 0;
  /// Result: the handle of one accepted connection, which any loop of the gateway may use from then on.
  virtual void accept(operation& op, handle listener) noexcept = 0;
  /// Result: the handle of the connection.
  virtual void connect(operation& op, const endpoint& to) noexcept = 0;
  /// Result: octets received, 0 at the end of the stream.
  virtual void receive(operation& op, handle h, bytes into) noexcept = 0;
  /// Takes what has come without waiting. Returns octets received, 0 at the end of the stream, or -errno; -EAGAIN when
  /// nothing is there. Not while a receive of the handle is in flight.
  virtual std::int64_t receive_now(handle h, bytes into) noexcept = 0;
  /// Sends what fits without waiting. Returns octets sent, or -errno; -EAGAIN when nothing fits.
  virtual std::int64_t send_now(handle h, const iovec* parts, unsigned count) noexcept = 0;
  /// Completes with 0 when something can be received (or the end of the stream, an error) without waiting.
  virtual void wait_readable(operation& op, handle h) noexcept = 0;
  /// Completes with 0 when send_now() can make progress (or the connection broke).
  virtual void wait_writable(operation& op, handle h) noexcept = 0;
  /// Ends both directions: pending operations of the handle complete (end of stream or an error).
  virtual void shutdown(handle h) noexcept = 0;
  /// Closes a socket or file. No operation of it may be in flight.
  virtual void close(handle h) noexcept = 0;
  /// Sockets that carry more than a stream: local ones that pass descriptors, frames, netlink; events.
  virtual message_sockets& messages() noexcept = 0;

  // -- descriptors of others ---------------------------------------------------------------------------------
  /// Completes with the poll_events that a descriptor has, as soon as it has one of `events`, or is broken. For a
  /// descriptor that a library owns (a completion channel, a device, an event), not for sockets of this loop, and one
  /// poll of a descriptor in flight on a loop. Between polls the loop knows nothing of it, so that its owner may
  /// close it at any time but during a poll: it cancels that first, and closes when it has completed.
  virtual void poll(operation& op, handle foreign, unsigned events) noexcept = 0;

  // -- files and block devices -------------------------------------------------------------------------------
  /// Blocking, for control paths at start and apply.
  virtual result<handle> open_file(const std::string& path, open_flags flags) = 0;
  /// A file without a name, of zeroes, in memory that is taken as it is written; it is gone when it is closed, or when
  /// the process ends.
  virtual result<handle> open_memory(std::uint64_t size_bytes) = 0;
  virtual result<file_info> info(handle h) = 0;
  virtual result<void> resize_file(handle h, std::uint64_t size_bytes) = 0;
  /// Octets read into `to`: fewer than asked only at the end of the file.
  virtual result<std::uint64_t> read_now(handle h, bytes to, std::uint64_t offset) = 0;
  /// Writes all of it; it is on the medium when this returns.
  virtual result<void> write_now(handle h, const_bytes from, std::uint64_t offset) = 0;
  /// As sync().
  virtual result<void> sync_now(handle h) = 0;
  /// A short note kept with a file (an extended attribute); empty when there is none. errc::unsupported where the file
  /// system keeps no notes, and on block devices.
  virtual result<std::string> attribute_of(handle h, const std::string& name) = 0;
  virtual result<void> set_attribute(handle h, const std::string& name, const std::string& text) = 0;
  /// Result: octets read; fewer than asked only at the end of the file.
  virtual void read(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset) noexcept = 0;
  /// Result: octets written. `durable` returns only when the data is on the medium (RWF_DSYNC).
  virtual void write(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset,
                     bool durable) noexcept = 0;
  /// fdatasync: everything whose write completed before is on the medium. Result: 0.
  virtual void sync(operation& op, handle h) noexcept = 0;
  /// Frees or zeroes a range so that it reads as zeroes. Result: 0; -EOPNOTSUPP where the medium cannot.
  virtual void allocate(operation& op, handle h, allocate_mode mode, std::uint64_t offset,
                        std::uint64_t length) noexcept = 0;
  /// The first range at or after `offset` that holds data (lseek SEEK_DATA/SEEK_HOLE). Result: 0 with *begin and *end
  /// set; *begin == *end == file size when only a hole is left. -EOPNOTSUPP where the medium cannot tell.
  virtual void find_data(operation& op, handle h, std::uint64_t offset, std::uint64_t* begin,
                         std::uint64_t* end) noexcept = 0;

  /// Best effort; on_complete() is still called, with -ECANCELED when it took effect. Home only.
  virtual void cancel(operation& op) noexcept = 0;
};

/// The operation or timer whose handler is a member function: `member_operation<T, &T::on_received> received_{*this}`.
template <class Owner, void (Owner::*Handler)(std::int64_t) noexcept>
class member_operation final : public operation {
 public:
  explicit member_operation(Owner& owner) : owner_(owner) {}
  void on_complete(std::int64_t result) noexcept override { (owner_.*Handler)(result); }

 private:
  Owner& owner_;
};
template <class Owner, void (Owner::*Handler)() noexcept>
class member_timer final : public timer {
 public:
  explicit member_timer(Owner& owner) : owner_(owner) {}
  void on_timer() noexcept override { (owner_.*Handler)(); }

 private:
  Owner& owner_;
};
template <class Owner, void (Owner::*Handler)() noexcept>
class member_runnable final : public runnable {
 public:
  explicit member_runnable(Owner& owner) : owner_(owner) {}
  void run() noexcept override { (owner_.*Handler)(); }

 private:
  Owner& owner_;
};

struct loop_options {
  unsigned index = 0;
  int core = -1;                           // pin the thread to this core; -1: do not pin
  backend kind = backend::automatic;       // io_uring when the kernel allows it, else epoll
  std::uint64_t buffer_bytes = 256 * mib;  // the limit of buffers()
  std::uint64_t spin_ns = 20 * ns_per_us;  // spins at most this long after work before it sleeps; 0: never
};

/// Makes a loop on real hardware; nothing runs yet. With backend::automatic a host that forbids io_uring gets epoll,
/// and `why` (optional) receives the reason in a sentence for the log.
result<std::unique_ptr<loop>> make_loop(const loop_options& options, std::string* why = nullptr);

}  // namespace sluice::reactor
