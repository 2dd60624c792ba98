#include "actors/reactor/uring_loop.hpp"

#include <liburing.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "actors/reactor/blocking_pool.hpp"
#include "actors/reactor/files.hpp"
#include "actors/reactor/loop_base.hpp"
#include "actors/reactor/sockets.hpp"

namespace sluice::reactor {
namespace {

constexpr unsigned submission_entries = 1024;
constexpr unsigned completion_entries = 4096;
constexpr std::size_t largest_receive = 1 << 30;  // a ring counts octets of a request in 32 bits

/// What a completion is for: the address of its operation, or one of these.
constexpr std::uint64_t ignored_tag = 0;
constexpr std::uint64_t wake_tag = 1;
constexpr std::uint64_t alarm_tag = 2;
constexpr std::uint64_t no_alarm = ~std::uint64_t{0};

class uring_loop final : public loop_base {
 public:
  explicit uring_loop(const loop_options& options) : loop_base(options), helpers_(*this) {}
  ~uring_loop() override;
  result<void> set_up();

  const char* kind() const noexcept override { return "io_uring"; }
  void accept(operation& op, handle listener) noexcept override;
  void connect(operation& op, const endpoint& to) noexcept override;
  void receive(operation& op, handle h, bytes into) noexcept override;
  void wait_readable(operation& op, handle h) noexcept override;
  void wait_writable(operation& op, handle h) noexcept override;
  void poll(operation& op, handle foreign, unsigned events) noexcept override;
  void read(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset) noexcept override;
  void write(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset,
             bool durable) noexcept override;
  void sync(operation& op, handle h) noexcept override;
  void allocate(operation& op, handle h, allocate_mode mode, std::uint64_t offset,
                std::uint64_t length) noexcept override;
  void find_data(operation& op, handle h, std::uint64_t offset, std::uint64_t* begin,
                 std::uint64_t* end) noexcept override;
  void cancel(operation& op) noexcept override;

 protected:
  void enter() override;
  void leave() override;
  unsigned collect() noexcept override;
  bool collectable() noexcept override;
  unsigned collect_waiting(std::optional<std::uint64_t> until_ns) noexcept override;

 private:
  template <class Prepare>
  void submit(std::uint64_t tag, Prepare prepare) noexcept;
  io_uring_sqe* next_entry() noexcept;
  template <class Prepare>
  void start(operation& op, const request& asked, Prepare prepare) noexcept;
  void start_transfer(operation& op, const request& asked) noexcept;
  void prepare_transfer(io_uring_sqe* entry, const request& asked) noexcept;
  unsigned registered_buffer(const request& asked) noexcept;
  void wait_for(operation& op, const request& asked, unsigned events) noexcept;
  void help(operation& op, const request& asked) noexcept;
  void watch_wake() noexcept;
  void feed_backlog() noexcept;
  void set_alarm(std::uint64_t until_ns) noexcept;
  unsigned reap() noexcept;
  void complete(operation& op, int result, unsigned flags) noexcept;
  bool needs_entering() const;

  io_uring ring_{};
  bool made_ = false;
  bool entered_ = false;
  bool polls_first_ = false;  // the kernel can wait for a socket's data without trying to receive some before
  std::uint64_t wake_count_ = 0;
  std::uint64_t alarm_ns_ = no_alarm;  // when the ring's timeout in flight ends
  __kernel_timespec alarm_at_{};       // read by the kernel when it takes the request
  std::vector<bool> registered_;       // by region of buffers(); empty: the kernel takes none
  std::vector<io_uring_sqe> backlog_;  // what found the submission queue full, or came before run()
  blocking_pool helpers_;
};

result<void> uring_loop::set_up() {
  // From the kernel of today back to 5.15. Completions are posted when this thread asks for them, not by
  // interrupting it, and a flag in the shared ring tells a spinning loop when asking is worth it.
  constexpr unsigned always = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
  constexpr unsigned choices[] = {
      always | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
          IORING_SETUP_TASKRUN_FLAG,
      always | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
      always,
  };
  int problem = 0;
  for (const unsigned flags : choices) {
    io_uring_params parameters{};
    parameters.flags = flags;
    parameters.cq_entries = completion_entries;
    problem = ::io_uring_queue_init_params(submission_entries, &ring_, &parameters);
    if (problem != -EINVAL) break;
  }
  if (problem < 0) return fail_errno(-problem, "set up an io_uring");
  made_ = true;
  polls_first_ = (ring_.flags & IORING_SETUP_DEFER_TASKRUN) != 0;  // of Linux 6.1; the other came with 5.19
  if (!(ring_.features & IORING_FEAT_EXT_ARG) || !(ring_.features & IORING_FEAT_NODROP))
    return fail(errc::unsupported, "the kernel's io_uring is older than Linux 5.11");
  io_uring_probe* known = ::io_uring_get_probe_ring(&ring_);
  if (!known) return fail(errc::unsupported, "the kernel does not tell which io_uring requests it knows");
  constexpr int needed[] = {IORING_OP_READ, IORING_OP_READV,     IORING_OP_WRITEV,   IORING_OP_FSYNC,
                            IORING_OP_RECV, IORING_OP_FALLOCATE, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};
  const bool complete = std::all_of(std::begin(needed), std::end(needed),
                                    [&](int code) { return ::io_uring_opcode_supported(known, code) != 0; });
  ::io_uring_free_probe(known);
  if (!complete) return fail(errc::unsupported, "the kernel's io_uring lacks a request that the gateway needs");
  const unsigned regions = buffers().region_limit();
  if (regions > 0 && ::io_uring_register_buffers_sparse(&ring_, regions) == 0) registered_.resize(regions);
  return {};
}

uring_loop::~uring_loop() {
  if (made_) ::io_uring_queue_exit(&ring_);
}

void uring_loop::enter() {
  if (!std::exchange(entered_, true)) {
    // The thread that enables a ring becomes its only submitter. (Not every liburing exports its wrapper.)
    SLUICE_CHECK(::syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) == 0);
    watch_wake();
  }
  ::io_uring_register_ring_fd(&ring_);  // spares a look-up per system call; harmless where it is unknown
}

void uring_loop::leave() {
  if (ring_.enter_ring_fd != ring_.ring_fd) ::io_uring_unregister_ring_fd(&ring_);
}

template <class Prepare>
void uring_loop::submit(std::uint64_t tag, Prepare prepare) noexcept {
  io_uring_sqe* entry = next_entry();
  prepare(entry);
  entry->user_data = tag;
}

io_uring_sqe* uring_loop::next_entry() noexcept {
  if (!backlog_.empty()) return &backlog_.emplace_back();  // nothing overtakes: a cancel must follow its request
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
  if (!entry && entered_) {
    ::io_uring_submit(&ring_);
    entry = ::io_uring_get_sqe(&ring_);
  }
  return entry ? entry : &backlog_.emplace_back();
}

void uring_loop::feed_backlog() noexcept {
  std::size_t moved = 0;
  while (moved < backlog_.size()) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    if (!entry) break;
    *entry = backlog_[moved++];
  }
  backlog_.erase(backlog_.begin(), backlog_.begin() + static_cast<std::ptrdiff_t>(moved));
}

template <class Prepare>
void uring_loop::start(operation& op, const request& asked, Prepare prepare) noexcept {
  begin(op);
  asked.store(op);
  submit(reinterpret_cast<std::uint64_t>(&op), prepare);
}

void uring_loop::wait_for(operation& op, const request& asked, unsigned events) noexcept {
  start(op, asked, [&](io_uring_sqe* entry) { ::io_uring_prep_poll_add(entry, asked.on, events); });
}

void uring_loop::accept(operation& op, handle listener) noexcept {
  // Polling, then accepting: before Linux 6 a ring's own accept of a non-blocking listener does not wait.
  wait_for(op, {verb::accept, listener}, POLLIN);
}

void uring_loop::connect(operation& op, const endpoint& to) noexcept {
  const int started = socket_begin_connect(to);
  if (started >= 0) return wait_for(op, {verb::connect, started}, POLLOUT);
  begin(op);
  complete_later(op, started);
}

void uring_loop::wait_readable(operation& op, handle h) noexcept {
  wait_for(op, {verb::wait_readable, h}, POLLIN);
}

void uring_loop::wait_writable(operation& op, handle h) noexcept {
  wait_for(op, {verb::wait_writable, h}, POLLOUT);
}

void uring_loop::poll(operation& op, handle foreign, unsigned events) noexcept {
  wait_for(op, {verb::poll, foreign}, to_system_events(events));
}

void uring_loop::receive(operation& op, handle h, bytes into) noexcept {
  const std::size_t size = std::min(into.size(), largest_receive);
  start(op, {verb::receive, h}, [&](io_uring_sqe* entry) {
    ::io_uring_prep_recv(entry, h, into.data(), size, 0);
    if (polls_first_ && op.drained_) entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
  });
}

void uring_loop::start_transfer(operation& op, const request& asked) noexcept {
  if (asked.count > IOV_MAX) return help(op, asked);
  start(op, asked, [&](io_uring_sqe* entry) { prepare_transfer(entry, asked); });
}

void uring_loop::prepare_transfer(io_uring_sqe* entry, const request& asked) noexcept {
  const int durable = asked.what == verb::write_durable ? RWF_DSYNC : 0;
  const unsigned buffer = registered_buffer(asked);
  if (buffer == memory::pool::no_region) {
    if (asked.what == verb::read) return ::io_uring_prep_readv(entry, asked.on, asked.iov(), asked.count, asked.offset);
    return ::io_uring_prep_writev2(entry, asked.on, asked.iov(), asked.count, asked.offset, durable);
  }
  const iovec& part = *asked.iov();
  const auto octets = static_cast<unsigned>(part.iov_len);
  if (asked.what == verb::read)
    return ::io_uring_prep_read_fixed(entry, asked.on, part.iov_base, octets, asked.offset, static_cast<int>(buffer));
  ::io_uring_prep_write_fixed(entry, asked.on, part.iov_base, octets, asked.offset, static_cast<int>(buffer));
  entry->rw_flags = durable;
}

/// The slot of the ring's registered buffers that holds the request's memory: direct I/O then pins no pages. A slab is
/// registered when a file first uses it, because that makes all of it resident.
unsigned uring_loop::registered_buffer(const request& asked) noexcept {
  if (registered_.empty() || asked.count != 1) return memory::pool::no_region;
  const unsigned region = buffers().region_of(*asked.iov());
  if (region == memory::pool::no_region || registered_[region]) return region;
  const iovec all = buffers().region(region);
  const __u64 no_tag = 0;
  if (::io_uring_register_buffers_update_tag(&ring_, region, &all, &no_tag, 1) != 1) {
    registered_.clear();  // most likely more than RLIMIT_MEMLOCK allows; what is registered stays so, unused
    return memory::pool::no_region;
  }
  registered_[region] = true;
  return region;
}

void uring_loop::read(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset) noexcept {
  start_transfer(op, transfer_request(verb::read, h, parts, count, offset));
}

void uring_loop::write(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset,
                       bool durable) noexcept {
  start_transfer(op, transfer_request(durable ? verb::write_durable : verb::write, h, parts, count, offset));
}

void uring_loop::sync(operation& op, handle h) noexcept {
  start(op, {verb::sync, h}, [&](io_uring_sqe* entry) { ::io_uring_prep_fsync(entry, h, IORING_FSYNC_DATASYNC); });
}

void uring_loop::allocate(operation& op, handle h, allocate_mode mode, std::uint64_t offset,
                          std::uint64_t length) noexcept {
  const request asked{
      mode == allocate_mode::punch_hole ? verb::punch_hole : verb::zero_range, h, 0, nullptr, offset, length};
  start(op, asked, [&](io_uring_sqe* entry) {
    ::io_uring_prep_fallocate(entry, h, allocation_flags(asked.what), static_cast<off_t>(offset),
                              static_cast<off_t>(length));
  });
}

void uring_loop::find_data(operation& op, handle h, std::uint64_t offset, std::uint64_t* begin_at,
                           std::uint64_t* end_at) noexcept {
  help(op, {verb::find_data, h, 0, begin_at, offset, reinterpret_cast<std::uint64_t>(end_at)});
}

void uring_loop::help(operation& op, const request& asked) noexcept {
  begin(op);
  asked.store(op);
  helpers_.submit(op);
}

void uring_loop::cancel(operation& op) noexcept {
  if (!op.in_flight()) return;
  if (helpers_.withdraw(op)) return complete_later(op, -ECANCELED);
  submit(ignored_tag,
         [&](io_uring_sqe* entry) { ::io_uring_prep_cancel64(entry, reinterpret_cast<std::uint64_t>(&op), 0); });
}

void uring_loop::watch_wake() noexcept {
  submit(wake_tag, [&](io_uring_sqe* entry) {
    ::io_uring_prep_read(entry, wake_descriptor(), &wake_count_, sizeof wake_count_, 0);
  });
}

bool uring_loop::needs_entering() const {
  // Shared with the kernel: completions wait for this thread to enter, or found the queue full.
  return (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool uring_loop::collectable() noexcept {
  return ::io_uring_cq_ready(&ring_) != 0 || needs_entering();
}

unsigned uring_loop::collect() noexcept {
  if (!backlog_.empty()) feed_backlog();
  if (::io_uring_sq_ready(&ring_) != 0 || needs_entering()) ::io_uring_submit_and_get_events(&ring_);
  return reap();
}

/// A ring's timeout outlives the waits that it does not end, so that a busy loop, which sleeps for microseconds, sets
/// none for most of them. One that ends before anything is due costs a turn.
void uring_loop::set_alarm(std::uint64_t until_ns) noexcept {
  if (until_ns >= alarm_ns_) return;
  alarm_at_ = {static_cast<long long>(until_ns / ns_per_s), static_cast<long long>(until_ns % ns_per_s)};
  submit(alarm_ns_ == no_alarm ? alarm_tag : ignored_tag, [&](io_uring_sqe* entry) {
    if (alarm_ns_ == no_alarm)
      ::io_uring_prep_timeout(entry, &alarm_at_, 0, IORING_TIMEOUT_ABS);
    else
      ::io_uring_prep_timeout_update(entry, &alarm_at_, alarm_tag, IORING_TIMEOUT_ABS);
  });
  alarm_ns_ = until_ns;
}

unsigned uring_loop::collect_waiting(std::optional<std::uint64_t> until_ns) noexcept {
  if (!backlog_.empty()) feed_backlog();
  if (until_ns == 0) {
    ::io_uring_submit_and_get_events(&ring_);
  } else {
    if (until_ns) set_alarm(*until_ns);
    ::io_uring_submit_and_wait(&ring_, 1);
  }
  return reap();
}

unsigned uring_loop::reap() noexcept {
  unsigned total = 0;
  unsigned alarms = 0;  // are no work: nobody spins after them
  io_uring_cqe* ready[64];
  while (const unsigned count = ::io_uring_peek_batch_cqe(&ring_, ready, 64)) {
    for (unsigned i = 0; i < count; ++i) {
      const std::uint64_t tag = ready[i]->user_data;
      if (tag == wake_tag)
        watch_wake();
      else if (tag == alarm_tag)
        alarm_ns_ = no_alarm, ++alarms;
      else if (tag != ignored_tag)
        complete(*reinterpret_cast<operation*>(tag), ready[i]->res, ready[i]->flags);
    }
    ::io_uring_cq_advance(&ring_, count);
    total += count;
    if (total >= completion_entries) break;
  }
  return total - alarms;
}

void uring_loop::complete(operation& op, int result, unsigned flags) noexcept {
  request asked = request::load(op);
  switch (asked.what) {
    case verb::accept: {
      const std::int64_t accepted = result < 0 ? result : socket_accept(asked.on);
      if (accepted != -EAGAIN) return finish(op, accepted);
      op.in_flight_ = false;  // another loop was faster: wait again
      return wait_for(op, asked, POLLIN);
    }
    case verb::connect:
      if (result >= 0) return finish(op, socket_end_connect(asked.on));
      close(asked.on);
      break;
    case verb::receive:
      op.drained_ = (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
      break;
    case verb::wait_readable:
    case verb::wait_writable:
      return finish(op, std::min(result, 0));
    case verb::poll:
      if (result < 0) break;
      return finish(op, from_system_events(static_cast<unsigned>(result)));
    case verb::read:
    case verb::write:
    case verb::write_durable:
      if (result <= 0 || static_cast<std::uint64_t>(result) == asked.length) break;
      asked.done = static_cast<std::uint64_t>(result);  // short: the end of the file, or a rest to do
      op.in_flight_ = false;
      return help(op, asked);
    default:
      break;
  }
  finish(op, result);
}

}  // namespace

result<std::unique_ptr<loop>> make_uring_loop(const loop_options& options) {
  auto made = std::make_unique<uring_loop>(options);
  if (auto ready = made->set_up(); !ready) return tl::unexpected(ready.error());
  return made;
}

}  // namespace sluice::reactor
