#include "bench/load.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <random>

#include "bench/pattern.hpp"
#include "bench/session.hpp"

namespace sluice::bench {
namespace {

constexpr std::uint64_t drain_ns = 10 * ns_per_s;
constexpr unsigned max_verified_slots = 1u << 28;

/// What to do next, and to whom: places, directions, generations.
class workload {
 public:
  workload(const load_settings& s, std::uint64_t slots) : settings_(s), slots_(slots), random_(s.seed) {
    for (unsigned i = 0; i < s.sessions; ++i) cursors_.push_back(slots / s.sessions * i);
    if (s.verify) {
      generations_.resize(slots);
      busy_.resize(slots);
    }
  }

  void choose(io& x, unsigned session_index) {
    x.write = settings_.write_percent >= 100 || random_() % 100 < settings_.write_percent;
    x.slot = place(session_index);
    if (!settings_.verify) return;
    while (busy_[x.slot]) x.slot = (x.slot + 1) % slots_;
    prepare(x);
  }

  /// Makes `x` a read of the next slot that was written; false when all have been read back.
  bool choose_read_back(io& x) {
    while (read_back_ < slots_ && generations_[read_back_] == 0) ++read_back_;
    if (read_back_ == slots_) return false;
    x.write = false;
    x.readback = true;
    x.slot = read_back_++;
    prepare(x);
    return true;
  }

  void finished(const io& x) {
    if (settings_.verify) busy_[x.slot] = false;
  }

 private:
  std::uint64_t place(unsigned session_index) {
    if (settings_.random) return random_() % slots_;
    auto& cursor = cursors_[session_index];
    auto chosen = cursor;
    cursor = (cursor + 1) % slots_;
    return chosen;
  }

  void prepare(io& x) {
    busy_[x.slot] = true;
    if (x.write) ++generations_[x.slot];
    x.generation = generations_[x.slot];
    if (x.generation) fill_pattern(x.data, x.slot, x.generation);
  }

  const load_settings& settings_;
  std::uint64_t slots_;
  std::mt19937_64 random_;
  std::vector<std::uint64_t> cursors_;
  std::vector<std::uint32_t> generations_;  // how often a slot was written; 0: contents unknown
  std::vector<bool> busy_;                  // a verified slot takes one command at a time
  std::uint64_t read_back_ = 0;
};

class load {
 public:
  explicit load(const load_settings& s) : settings_(s) {}
  ~load() {
    if (epoll_ >= 0) ::close(epoll_);
  }
  load(const load&) = delete;
  load& operator=(const load&) = delete;

  result<load_report> run();

 private:
  enum class phase { warm_up, measured, draining, read_back, over };

  result<> connect_all();
  result<> add_session(unsigned number, connection c, std::uint32_t block_size);
  void fill(std::size_t index, std::uint64_t now);
  void completed(session& from, io& x);
  void turn();
  int wait(epoll_event* events, int capacity);
  void handle(std::size_t index, std::uint32_t what);
  void advance(std::uint64_t now);
  void start_measuring(std::uint64_t now);
  void stop_measuring(std::uint64_t now);
  bool idle() const;

  const load_settings& settings_;
  int epoll_ = -1;
  std::vector<std::uint8_t> scratch_ = std::vector<std::uint8_t>(scratch_bytes);
  std::vector<std::uint8_t> static_data_;
  std::unique_ptr<workload> work_;
  std::vector<std::unique_ptr<session>> sessions_;
  std::vector<bool> polled_for_output_;
  phase phase_ = phase::warm_up;
  std::uint64_t phase_began_ns_ = 0, submitted_ = 0;
  double due_ns_ = 0;  // open loop: when the next command is due
  bool failed_ = false;
  load_report report_;
};

result<> load::connect_all() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  static_data_.resize(settings_.extent_bytes);
  fill_pattern(static_data_, 0, 1);
  for (unsigned i = 0; i < settings_.sessions; ++i) {
    auto c = log_in(settings_.target, i);
    if (!c) return tl::unexpected(c.error());
    auto size = make_ready(*c, settings_.target.lun);
    if (!size) {
      ::close(c->fd);
      return tl::unexpected(size.error());
    }
    if (auto added = add_session(i, *c, size->block_size); !added) return added;
    if (work_) continue;
    auto region = size->blocks * size->block_size;
    if (settings_.region_bytes) region = std::min(region, settings_.region_bytes);
    auto slots = region / settings_.extent_bytes;
    if (slots < std::uint64_t{settings_.sessions} * settings_.depth)
      return fail(errc::invalid_argument, "the region is smaller than what shall be outstanding");
    if (settings_.verify && slots > max_verified_slots)
      return fail(errc::invalid_argument, "too large to verify; give a smaller region");
    work_ = std::make_unique<workload>(settings_, slots);
  }
  return {};
}

result<> load::add_session(unsigned number, connection c, std::uint32_t block_size) {
  sessions_.push_back(std::make_unique<session>(
      c, settings_.target.lun, settings_.depth, settings_.extent_bytes, block_size ? block_size : 512, settings_.verify,
      settings_.fua, static_data_.data(), [this](session& from, io& x) { completed(from, x); }));
  polled_for_output_.push_back(false);
  if (block_size == 0 || settings_.extent_bytes % block_size)
    return fail(errc::invalid_argument, "the unit's blocks have " + std::to_string(block_size) + " octets");
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = number;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &wanted) != 0) return fail_errno(errno, "epoll_ctl");
  return {};
}

/// Gives a session all the commands it may have now.
void load::fill(std::size_t index, std::uint64_t now) {
  auto& s = *sessions_[index];
  while (phase_ != phase::draining && phase_ != phase::over) {
    if (phase_ != phase::read_back && settings_.count && submitted_ == settings_.count) return;
    if (phase_ != phase::read_back && settings_.rate > 0 && due_ns_ > static_cast<double>(now)) return;
    io* x = s.free_io();
    if (!x) return;
    x->readback = false;
    x->start_ns = now;
    if (phase_ == phase::read_back) {
      if (!work_->choose_read_back(*x)) return;
    } else {
      work_->choose(*x, static_cast<unsigned>(index));
      ++submitted_;
      if (settings_.rate > 0) {
        x->start_ns = static_cast<std::uint64_t>(due_ns_);
        due_ns_ += 1e9 / settings_.rate;
      }
    }
    s.submit(*x);
  }
}

void load::completed(session& from, io& x) {
  work_->finished(x);
  if (x.readback) ++report_.read_back;
  if (phase_ != phase::measured || x.readback) return;
  ++(x.write ? report_.writes : report_.reads);
  report_.latency_ns.add(from.turn_ns() - x.start_ns);
}

int load::wait(epoll_event* events, int capacity) {
  auto begin = now_ns();
  for (auto now = begin;; now = now_ns()) {
    bool open_loop = settings_.rate > 0 && phase_ < phase::draining;
    bool poll = open_loop || now - begin < settings_.spin_ns;
    int ready = epoll_wait(epoll_, events, capacity, poll ? 0 : 100);
    if (ready != 0 || !poll || (open_loop && due_ns_ <= static_cast<double>(now))) return ready;
  }
}

void load::handle(std::size_t index, std::uint32_t what) {
  auto& s = *sessions_[index];
  auto now = now_ns();
  bool alive = !(what & (EPOLLIN | EPOLLHUP | EPOLLERR)) || s.receive(scratch_, now);
  if (alive) fill(index, now);
  if (!alive || !s.flush()) {
    failed_ = true;
    return;
  }
  if (s.wants_to_send() == polled_for_output_[index]) return;
  polled_for_output_[index] = s.wants_to_send();
  epoll_event wanted{};
  wanted.events = EPOLLIN | (s.wants_to_send() ? std::uint32_t{EPOLLOUT} : 0u);
  wanted.data.u64 = index;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, s.fd(), &wanted);
}

void load::turn() {
  epoll_event events[64];
  int ready = wait(events, 64);
  for (int i = 0; i < ready && !failed_; ++i) handle(events[i].data.u64, events[i].events);
  if (settings_.rate > 0)
    for (std::size_t i = 0; i < sessions_.size() && !failed_; ++i) handle(i, 0);
}

bool load::idle() const {
  return std::all_of(sessions_.begin(), sessions_.end(), [](const auto& s) { return s->outstanding() == 0; });
}

void load::start_measuring(std::uint64_t now) {
  phase_ = phase::measured;
  phase_began_ns_ = now;
  report_.client = *cpu_account(0);
  if (settings_.target_pid) report_.target = cpu_account(settings_.target_pid).value_or(cpu_time{});
}

void load::stop_measuring(std::uint64_t now) {
  report_.seconds = static_cast<double>(now - phase_began_ns_) / 1e9;
  report_.client = *cpu_account(0) - report_.client;
  if (settings_.target_pid)
    report_.target = cpu_account(settings_.target_pid).value_or(report_.target) - report_.target;
  phase_ = phase::draining;
  phase_began_ns_ = now;
}

/// From phase to phase: warm-up, measured, draining, when verified read back, over.
void load::advance(std::uint64_t now) {
  auto passed = static_cast<double>(now - phase_began_ns_) / 1e9;
  bool counted = settings_.count && submitted_ == settings_.count && idle();
  if (phase_ == phase::warm_up && passed >= settings_.warm_up_seconds) return start_measuring(now);
  bool stopped = settings_.stop && settings_.stop->load(std::memory_order_relaxed);
  if (phase_ == phase::measured && (counted || stopped || (settings_.seconds > 0 && passed >= settings_.seconds)))
    return stop_measuring(now);
  if (phase_ == phase::draining && idle() && settings_.verify) {
    phase_ = phase::read_back;
    for (std::size_t i = 0; i < sessions_.size(); ++i) handle(i, 0);
  } else if (phase_ >= phase::draining && idle()) {
    phase_ = phase::over;
  } else if (phase_ == phase::draining && now - phase_began_ns_ > drain_ns) {
    ++report_.errors;
    report_.first_error = "commands were not answered within 10 s";
    phase_ = phase::over;
  }
}

result<load_report> load::run() {
  if (auto ready = connect_all(); !ready) return tl::unexpected(ready.error());
  auto now = now_ns();
  phase_began_ns_ = now;
  due_ns_ = static_cast<double>(now);
  if (settings_.warm_up_seconds <= 0 || settings_.count) start_measuring(now);
  for (std::size_t i = 0; i < sessions_.size(); ++i) handle(i, 0);
  while (!failed_ && phase_ != phase::over) {
    if (!idle() || settings_.rate > 0) turn();
    now = now_ns();
    advance(now);
  }
  if (failed_ && phase_ == phase::measured) stop_measuring(now);
  for (auto& s : sessions_) {
    report_.errors += s->count().errors;
    report_.mismatches += s->count().mismatches;
    if (report_.first_error.empty()) report_.first_error = s->count().first_error;
    s->end();
  }
  return std::move(report_);
}

}  // namespace

result<load_report> run_load(const load_settings& settings) {
  if (settings.sessions == 0 || settings.depth == 0 || settings.extent_bytes == 0 || settings.extent_bytes % 512)
    return fail(errc::invalid_argument, "sessions, depth and extent must be positive, the extent a multiple of 512");
  if (settings.seconds <= 0 && settings.count == 0) return fail(errc::invalid_argument, "needs seconds or a count");
  if (auto pinned = pin_to_core(settings.core); !pinned) return tl::unexpected(pinned.error());
  return load(settings).run();
}

}  // namespace sluice::bench
