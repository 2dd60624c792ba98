#include "actors/reactor/epoll_loop.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "actors/reactor/blocking_pool.hpp"
#include "actors/reactor/files.hpp"
#include "actors/reactor/loop_base.hpp"
#include "actors/reactor/sockets.hpp"

namespace sluice::reactor {
namespace {

constexpr std::uint32_t wake_key = ~0u;
constexpr std::uint64_t foreign_key = std::uint64_t{1} << 32;  // with the descriptor that is polled

/// Sockets are registered once, edge triggered, for both directions: one system call in a connection's life. A
/// request first tries; only what would block waits for an edge.
class epoll_loop final : public loop_base {
 public:
  explicit epoll_loop(const loop_options& options) : loop_base(options), helpers_(*this) {}
  ~epoll_loop() override;
  result<void> set_up();

  const char* kind() const noexcept override { return "epoll"; }
  void accept(operation& op, handle listener) noexcept override;
  void connect(operation& op, const endpoint& to) noexcept override;
  void receive(operation& op, handle h, bytes into) noexcept override;
  void wait_readable(operation& op, handle h) noexcept override;
  void wait_writable(operation& op, handle h) noexcept override;
  void poll(operation& op, handle foreign, unsigned events) noexcept override;
  void close(handle h) noexcept override;
  void forget_socket(handle h) noexcept override;
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
  unsigned collect() noexcept override;
  bool collectable() noexcept override;
  unsigned collect_waiting(std::optional<std::uint64_t> until_ns) noexcept override;

 private:
  /// What is known about a descriptor, and the requests that wait for its edges.
  struct socket_state {
    bool registered = false;
    bool readable = true;  // a receive or accept may succeed: nothing was seen that says otherwise
    bool hung_up = false;  // the end of the stream is in sight, so a short receive does not mean "drained"
    operation* reader = nullptr;
    operation* writer = nullptr;
    operation* poller = nullptr;  // of a foreign descriptor, which is none of the sockets
  };
  /// Requests to be tried, doubly linked through their scratch so that they can be cancelled.
  struct attempt_list {
    operation* first = nullptr;
    operation* last = nullptr;
    void push(operation& op);
    void remove(operation& op);
  };

  void start(operation& op, const request& asked) noexcept;
  void help(operation& op, const request& asked) noexcept;
  int register_socket(handle h) noexcept;
  socket_state& state_of(handle h);
  operation*& waiter(socket_state& of, verb what) { return is_reading(what) ? of.reader : of.writer; }
  static bool is_reading(verb what) {
    return what == verb::accept || what == verb::receive || what == verb::wait_readable;
  }
  operation* end_poll(handle foreign) noexcept;
  void try_again(operation*& waiting) noexcept;
  void on_event(const epoll_event& event) noexcept;
  unsigned attempt_all() noexcept;
  bool attempt(operation& op) noexcept;
  std::int64_t attempt_receive(const request& asked) noexcept;
  unsigned poll_kernel(int timeout_ms) noexcept;

  int epoll_ = -1;
  std::vector<socket_state> sockets_;  // by descriptor
  attempt_list attempts_;
  std::array<epoll_event, 256> events_;
  blocking_pool helpers_;
};

result<void> epoll_loop::set_up() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return fail_errno(errno, "create an epoll");
  // Edge triggered: every wake is an edge, so nobody has to read the counter.
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u32 = wake_key;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_descriptor(), &event) != 0) return fail_errno(errno, "watch an eventfd");
  return {};
}

epoll_loop::~epoll_loop() {
  if (epoll_ >= 0) ::close(epoll_);
}

void epoll_loop::attempt_list::push(operation& op) {
  op.scratch.next = nullptr;
  op.scratch.previous = last;
  (last ? last->scratch.next : first) = &op;
  last = &op;
}

void epoll_loop::attempt_list::remove(operation& op) {
  (op.scratch.previous ? op.scratch.previous->scratch.next : first) = op.scratch.next;
  (op.scratch.next ? op.scratch.next->scratch.previous : last) = op.scratch.previous;
}

epoll_loop::socket_state& epoll_loop::state_of(handle h) {
  const auto at = static_cast<std::size_t>(h);
  if (at >= sockets_.size()) sockets_.resize(std::max(at + 1, sockets_.size() * 2));
  return sockets_[at];
}

int epoll_loop::register_socket(handle h) noexcept {
  if (h < 0) return -EBADF;
  socket_state& state = state_of(h);
  if (state.registered) return 0;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u32 = static_cast<std::uint32_t>(h);
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, h, &event) != 0 && errno != EEXIST) return -errno;
  state = {};
  state.registered = true;
  return 0;
}

void epoll_loop::start(operation& op, const request& asked) noexcept {
  begin(op);
  if (const int problem = register_socket(asked.on); problem != 0) return complete_later(op, problem);
  asked.store(op);
  socket_state& state = state_of(asked.on);
  if (is_reading(asked.what) && !state.readable) {
    SLUICE_CHECK(!state.reader);
    state.reader = &op;
  } else {
    attempts_.push(op);
  }
}

void epoll_loop::accept(operation& op, handle listener) noexcept {
  start(op, {verb::accept, listener});
}

void epoll_loop::connect(operation& op, const endpoint& to) noexcept {
  const int started = socket_begin_connect(to);
  if (started >= 0) {
    state_of(started) = {};
    return start(op, {verb::connect, started});
  }
  begin(op);
  complete_later(op, started);
}

void epoll_loop::receive(operation& op, handle h, bytes into) noexcept {
  start(op, {verb::receive, h, 0, into.data(), 0, into.size()});
}

void epoll_loop::wait_writable(operation& op, handle h) noexcept {
  start(op, {verb::wait_writable, h});
}

void epoll_loop::wait_readable(operation& op, handle h) noexcept {
  start(op, {verb::wait_readable, h});
}

/// Watched for one event and then no more, so that nothing is left of a descriptor that its owner closes.
void epoll_loop::poll(operation& op, handle foreign, unsigned events) noexcept {
  begin(op);
  epoll_event event{};
  event.events = to_system_events(events) | EPOLLONESHOT;
  event.data.u64 = foreign_key | static_cast<std::uint32_t>(foreign);
  if (foreign < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, foreign, &event) != 0) {
    const int problem = foreign < 0 ? EBADF : errno;
    SLUICE_CHECK(problem != EEXIST);  // one poll of a descriptor at a time, and none of the loop's own sockets
    return complete_later(op, problem == EPERM ? static_cast<std::int64_t>(events) : -problem);  // a file: ready
  }
  request{verb::poll, foreign}.store(op);
  state_of(foreign).poller = &op;
}

operation* epoll_loop::end_poll(handle foreign) noexcept {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, foreign, nullptr);
  return std::exchange(state_of(foreign).poller, nullptr);
}

void epoll_loop::close(handle h) noexcept {
  if (h >= 0 && static_cast<std::size_t>(h) < sockets_.size()) sockets_[static_cast<std::size_t>(h)] = {};
  loop_base::close(h);
}

void epoll_loop::forget_socket(handle h) noexcept {
  socket_state& state = state_of(h);
  SLUICE_CHECK(!state.reader && !state.writer && !state.poller);
  if (state.registered) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, h, nullptr);
  state = {};
}

void epoll_loop::help(operation& op, const request& asked) noexcept {
  begin(op);
  asked.store(op);
  helpers_.submit(op);
}

void epoll_loop::read(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset) noexcept {
  help(op, transfer_request(verb::read, h, parts, count, offset));
}

void epoll_loop::write(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset,
                       bool durable) noexcept {
  help(op, transfer_request(durable ? verb::write_durable : verb::write, h, parts, count, offset));
}

void epoll_loop::sync(operation& op, handle h) noexcept {
  help(op, {verb::sync, h});
}

void epoll_loop::allocate(operation& op, handle h, allocate_mode mode, std::uint64_t offset,
                          std::uint64_t length) noexcept {
  help(op, {mode == allocate_mode::punch_hole ? verb::punch_hole : verb::zero_range, h, 0, nullptr, offset, length});
}

void epoll_loop::find_data(operation& op, handle h, std::uint64_t offset, std::uint64_t* begin_at,
                           std::uint64_t* end_at) noexcept {
  help(op, {verb::find_data, h, 0, begin_at, offset, reinterpret_cast<std::uint64_t>(end_at)});
}

void epoll_loop::cancel(operation& op) noexcept {
  if (!op.in_flight()) return;
  const verb what = request::verb_of(op);
  if (what == verb::none) return;  // complete already, about to be told
  if (what >= verb::read) {
    if (helpers_.withdraw(op)) complete_later(op, -ECANCELED);
    return;
  }
  const request asked = request::load(op);
  if (what == verb::poll) {
    end_poll(asked.on);
    return complete_later(op, -ECANCELED);
  }
  operation*& waiting = waiter(state_of(asked.on), asked.what);
  if (waiting == &op)
    waiting = nullptr;
  else
    attempts_.remove(op);
  if (asked.what == verb::connect) close(asked.on);
  complete_later(op, -ECANCELED);
}

void epoll_loop::try_again(operation*& waiting) noexcept {
  if (waiting) attempts_.push(*std::exchange(waiting, nullptr));
}

void epoll_loop::on_event(const epoll_event& event) noexcept {
  if (event.data.u32 == wake_key) return;
  if (event.data.u64 & foreign_key) {
    // Completed later: a handler that polls again must not meet what was found of an earlier poll in this batch.
    if (operation* const op = end_poll(static_cast<handle>(event.data.u32)))
      complete_later(*op, from_system_events(event.events));
    return;
  }
  socket_state& state = sockets_[event.data.u32];
  constexpr std::uint32_t ending = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  if (event.events & ending) state.hung_up = true;
  if (event.events & (EPOLLIN | ending)) {
    state.readable = true;
    try_again(state.reader);
  }
  if (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) try_again(state.writer);
}

std::int64_t epoll_loop::attempt_receive(const request& asked) noexcept {
  auto* into = static_cast<std::uint8_t*>(const_cast<void*>(asked.parts));
  const std::int64_t got = socket_receive(asked.on, {into, asked.length});
  socket_state& state = state_of(asked.on);
  // A short receive drained the stream: what comes next makes an edge.
  if (got == -EAGAIN || (got > 0 && static_cast<std::uint64_t>(got) < asked.length && !state.hung_up))
    state.readable = false;
  return got;
}

/// True when the request is over; otherwise it waits for an edge.
bool epoll_loop::attempt(operation& op) noexcept {
  const request asked = request::load(op);
  std::int64_t result = -EAGAIN;
  switch (asked.what) {
    case verb::accept:
      result = socket_accept(asked.on);
      break;
    case verb::receive:
      result = attempt_receive(asked);
      break;
    case verb::connect:
      if (socket_ready(asked.on, POLLOUT)) result = socket_end_connect(asked.on);
      break;
    default:
      if (socket_ready(asked.on, asked.what == verb::wait_readable ? POLLIN : POLLOUT)) result = 0;
      break;
  }
  if (result != -EAGAIN) {
    if (asked.what == verb::accept && result >= 0) state_of(static_cast<handle>(result)) = {};
    finish(op, result);
    return true;
  }
  socket_state& state = state_of(asked.on);
  if (asked.what == verb::accept || asked.what == verb::wait_readable) state.readable = false;
  operation*& waiting = waiter(state, asked.what);
  SLUICE_CHECK(!waiting);  // one request per handle and direction
  waiting = &op;
  return false;
}

unsigned epoll_loop::attempt_all() noexcept {
  unsigned completed = 0;
  // Only what is on the list now: a handler that starts its next receive at once must not keep the turn for itself.
  operation* const last = attempts_.last;
  while (operation* op = attempts_.first) {
    const bool was_last = op == last;
    attempts_.remove(*op);
    if (attempt(*op)) ++completed;
    if (was_last) break;
  }
  return completed;
}

unsigned epoll_loop::poll_kernel(int timeout_ms) noexcept {
  const int count = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout_ms);
  for (int i = 0; i < count; ++i) on_event(events_[static_cast<std::size_t>(i)]);
  return attempt_all();
}

unsigned epoll_loop::collect() noexcept {
  return poll_kernel(0);
}

bool epoll_loop::collectable() noexcept {
  return attempts_.first || socket_ready(epoll_, POLLIN);
}

unsigned epoll_loop::collect_waiting(std::optional<std::uint64_t> until_ns) noexcept {
  if (attempts_.first) return poll_kernel(0);
  if (!until_ns) return poll_kernel(-1);
  const std::uint64_t now = now_ns();
  const std::uint64_t left_ns = *until_ns > now ? *until_ns - now : 0;
  // Rounded up: waking before the tick would only mean to wait again.
  return poll_kernel(static_cast<int>(std::min<std::uint64_t>((left_ns + ns_per_ms - 1) / ns_per_ms, 60'000)));
}

}  // namespace

result<std::unique_ptr<loop>> make_epoll_loop(const loop_options& options) {
  auto made = std::make_unique<epoll_loop>(options);
  if (auto ready = made->set_up(); !ready) return tl::unexpected(ready.error());
  return made;
}

}  // namespace sluice::reactor
