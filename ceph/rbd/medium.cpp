#include "ceph/rbd/medium.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::rbd {
namespace {

constexpr std::uint64_t probe_every_ns = 2 * ns_per_s;
constexpr std::uint64_t silent_after_ns = 5 * ns_per_s;
constexpr std::uint64_t writes_wait_after_ns = 5 * ns_per_s;
constexpr std::uint64_t space_after_ns = 10 * ns_per_s;
constexpr std::uint64_t open_every_ns = 2 * ns_per_s;
constexpr std::uint64_t rescue_every_ns = 15 * ns_per_s;
constexpr std::uint64_t smallest_block = 512;
constexpr std::uint64_t zero_granularity = 64 * kib;

std::uint64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
}

}  // namespace

/// A question to the OSD that has the image's header: whether it answers, and whether the image is still there.
struct medium::probe {
  std::weak_ptr<medium> owner;
  std::shared_ptr<image> through;
  std::uint64_t sent_ns;
  std::uint64_t size = 0;
  time_t changed = 0;
};

result<std::shared_ptr<medium>> medium::open(cluster::connections& all, const options& wanted) {
  auto connected = all.get(wanted.cluster);
  if (!connected) return tl::unexpected(connected.error());
  auto opened = image::open(*connected, wanted, open_limit);
  if (!opened) return tl::unexpected(opened.error());
  std::shared_ptr<medium> made(new medium(all, wanted));
  made->facts_ = (*opened)->facts();
  if (auto ready = made->install(*opened); !ready) return tl::unexpected(ready.error());
  all.beats().add(made.get(), [m = made.get()] { m->beat(); });
  return made;
}

void medium::close() {
  connections_.beats().remove(this);
  const std::lock_guard lock(guard_);
  closed_ = true;
  image_.reset();
}

result<void> medium::install(const std::shared_ptr<image>& opened) {
  const auto size = opened->size();
  if (!size) return tl::unexpected(size.error());
  auto watched = opened->watch([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->look_again();
  });
  if (!watched) return watched;
  const std::string object_map = opened->object_map();
  const bool resized = size_bytes_.exchange(*size) != *size;
  {
    const std::lock_guard lock(guard_);
    if (closed_) return {};
    image_ = opened;
    object_map_ = object_map;
    probe_sent_ns_ = 0;
    next_probe_ns_ = now_ns() + probe_every_ns;
    last_failure_.clear();
  }
  if (resized) listeners_.tell();
  return {};
}

// -- what the cluster does behind our back -----------------------------------------------------------------------

medium::write_counts medium::count_writes() const {
  write_counts sum;
  const std::lock_guard lock(members_guard_);
  for (const member& each : members_) {
    sum.writing += each.figures->writing.load(std::memory_order_relaxed);
    sum.written += each.figures->written.load(std::memory_order_relaxed);
    sum.refused += each.figures->no_space.load(std::memory_order_relaxed);
  }
  return sum;
}

/// The cluster refuses writes that need space. It takes others all the while: only some time of writes of which none
/// is refused says that there is space again.
void medium::look_for_space(const write_counts& sum, std::uint64_t now) {
  if (sum.refused > refused_before_) {
    refused_before_ = sum.refused;
    taken_before_ = sum.written - sum.refused;
    refused_ns_ = now;
    if (!full_.exchange(true))
      SLUICE_LOG(warning, "rbd", "writes are refused: the pool or the cluster is full", {"image", wanted_.path()});
    return;
  }
  refused_before_ = sum.refused;  // less, when a channel has gone
  const bool takes = now - refused_ns_ > space_after_ns && sum.written - sum.refused != taken_before_;
  if (full_.load() && takes) {
    full_.store(false);
    SLUICE_LOG(info, "rbd", "there is space for writes again", {"image", wanted_.path()});
  }
}

/// librbd keeps writes back while the pool is full or another client does not let go of the exclusive lock, and says
/// nothing; reads go on.
void medium::look_at_writes(const write_counts& sum, std::uint64_t now) {
  if (sum.writing == 0 || std::exchange(written_before_, sum.written) != sum.written) writes_moved_ns_ = now;
  const bool wait = now - writes_moved_ns_ > writes_wait_after_ns && available() == store::availability::ready;
  if (writes_wait_.exchange(wait) == wait) return;
  if (wait)
    SLUICE_LOG(warning, "rbd",
               "writes get no answer although the cluster answers: the pool is full, or another client holds the "
               "image's exclusive lock",
               {"image", wanted_.path()}, {"waiting", sum.writing});
  else
    SLUICE_LOG(info, "rbd", "writes are answered again", {"image", wanted_.path()});
}

void medium::beat() {
  const std::uint64_t now = now_ns();
  const write_counts sum = count_writes();
  look_at_writes(sum, now);
  look_for_space(sum, now);
  std::shared_ptr<image> through, lost, silent;
  bool fell_silent = false;
  {
    const std::lock_guard lock(guard_);
    if (closed_) return;
    if (!image_) {
      if (opening_ || now < next_open_ns_) return;
      opening_ = true;
      return reopen();
    }
    if (image_->on().condemned()) {
      lost = image_;
    } else if (probe_sent_ns_ != 0) {
      fell_silent = now - probe_sent_ns_ > silent_after_ns && !silent_.exchange(true);
      if (fell_silent) next_rescue_ns_ = now + rescue_every_ns;
      if (silent_.load() && now >= next_rescue_ns_ && !opening_) {
        opening_ = true;
        silent = image_;
      }
    } else if (now >= next_probe_ns_) {
      probe_sent_ns_ = now;
      next_probe_ns_ = now + probe_every_ns;
      through = image_;
    }
  }
  if (lost) return fenced(*lost);
  if (fell_silent) SLUICE_LOG(warning, "rbd", "the cluster does not answer", {"image", wanted_.path()});
  if (through) send_probe(through);
  if (silent) look_for_another_connection(std::move(silent));
}

/// Called with opening_ set.
void medium::look_for_another_connection(std::shared_ptr<image> silent) {
  connections_.reopener().run([self = shared_from_this(), silent = std::move(silent)] {
    const auto header_answers = [&](const std::shared_ptr<cluster::connection>& over) {
      const auto in = cluster::pool::open(over, self->wanted_.pool, self->wanted_.name_space);
      std::uint64_t size = 0;
      time_t changed = 0;
      return in && rados_stat((*in)->handle(), silent->header_object().c_str(), &size, &changed) == 0;
    };
    const bool given_up =
        cluster::connections::abandon_if_given_up(silent->on(), header_answers, [&] { return self->silent_.load(); });
    {
      const std::lock_guard lock(self->guard_);
      self->opening_ = false;
      self->next_rescue_ns_ = now_ns() + rescue_every_ns;
    }
    if (given_up) self->fenced(*silent);
  });
}

void medium::send_probe(const std::shared_ptr<image>& through) {
  auto question = std::make_unique<probe>(probe{weak_from_this(), through, now_ns()});
  rados_completion_t completion = nullptr;
  const auto answered = [](rados_completion_t done, void* argument) {
    const std::unique_ptr<probe> asked(static_cast<probe*>(argument));
    const int result = rados_aio_get_return_value(done);
    if (const auto self = asked->owner.lock()) self->probed(asked->through, result, asked->sent_ns);
  };
  int started = rados_aio_create_completion2(question.get(), answered, &completion);
  if (started < 0) return probed(through, started, question->sent_ns);
  probe& sent = *question;
  started =
      rados_aio_stat(through->pool().handle(), through->header_object().c_str(), completion, &sent.size, &sent.changed);
  if (started == 0) static_cast<void>(question.release());  // the callback's, which may have run already
  rados_aio_release(completion);
  if (started < 0) probed(through, started, sent.sent_ns);
}

void medium::probed(const std::shared_ptr<image>& through, int result, std::uint64_t sent_ns) {
  if (result == -ESHUTDOWN) return fenced(*through);
  const std::uint64_t took = now_ns() - sent_ns;
  bool was_silent = false, went = false;
  {
    const std::lock_guard lock(guard_);
    if (image_ != through) return;
    probe_sent_ns_ = 0;
    probe_ns_.store(took);
    last_failure_ = result < 0 ? cluster::text_of(result) : "";
    went = result == -ENOENT && !gone_.load();
    gone_.store(result == -ENOENT);
    const bool refused = result < 0 && result != -ENOENT;
    was_silent = silent_.exchange(refused) && !refused;
  }
  if (went) SLUICE_LOG(error, "rbd", "the image is gone", {"image", wanted_.path()});
  if (was_silent) SLUICE_LOG(info, "rbd", "the cluster answers again", {"image", wanted_.path()});
}

void medium::look_again() {
  if (looking_.exchange(true)) return;
  const std::shared_ptr<image> through = current();
  if (!through) {
    looking_.store(false);
    return;
  }
  through->on().offload().run([weak = weak_from_this(), through] {
    const auto self = weak.lock();
    if (!self) return;
    self->looking_.store(false);  // what changes from here on needs another look
    const auto size = through->size();
    if (!size) return;
    const std::string object_map = through->object_map();
    {
      const std::lock_guard lock(self->guard_);
      if (self->image_ != through) return;
      self->object_map_ = object_map;
    }
    const std::uint64_t before = self->size_bytes_.exchange(*size);
    if (before == *size) return;
    SLUICE_LOG(info, "rbd", "the image was resized", {"image", self->wanted_.path()}, {"from_bytes", before},
               {"to_bytes", *size});
    self->listeners_.tell();
  });
}

// -- fenced, and opened anew ---------------------------------------------------------------------------------------

void medium::fenced(const image& through) {
  {
    const std::lock_guard lock(guard_);
    if (image_.get() != &through) return;  // known already
    fenced_.store(true);
    fences_.fetch_add(1);
    next_open_ns_ = 0;
    through.on().condemn();
    SLUICE_LOG(error, "rbd", "the connection is fenced (blocklist); opening the image anew", {"image", wanted_.path()},
               {"address", through.on().addresses()});
    image_.reset();
  }
  tell_members();
}

/// Called with guard_ held and opening_ set.
void medium::reopen() {
  connections_.reopener().run([self = shared_from_this()] {
    auto connected = self->connections_.get(self->wanted_.cluster);
    if (!connected) return self->reopened(tl::unexpected(connected.error()));
    (*connected)->offload().run([self, on = *connected]() mutable {
      options existing = self->wanted_;
      existing.create = false;
      self->reopened(image::open_now(std::move(on), existing));
    });
  });
}

void medium::reopened(result<std::shared_ptr<image>> outcome) {
  if (outcome && (*outcome)->facts().id != facts_.id)
    outcome = fail(errc::not_found, "the image of that name is another one now");
  if (outcome)
    if (auto ready = install(*outcome); !ready) outcome = tl::unexpected(ready.error());
  {
    const std::lock_guard lock(guard_);
    opening_ = false;
    next_open_ns_ = now_ns() + open_every_ns;
    if (!outcome) last_failure_ = outcome.error().message;
  }
  if (!outcome) {
    SLUICE_LOG(warning, "rbd", "cannot open the image anew yet", {"image", wanted_.path()},
               {"why", outcome.error().message});
    return;
  }
  fenced_.store(false);
  reopened_.fetch_add(1);
  SLUICE_LOG(info, "rbd", "image opened anew", {"image", wanted_.path()});
  tell_members();
}

std::shared_ptr<image> medium::current() const {
  const std::lock_guard lock(guard_);
  return image_;
}

void medium::join(const void* who, std::function<void()> renewed, std::shared_ptr<channel_figures> figures) {
  const std::lock_guard lock(members_guard_);
  members_.push_back({who, std::move(renewed), std::move(figures)});
}

void medium::leave(const void* who) {
  const std::lock_guard lock(members_guard_);
  std::erase_if(members_, [who](const member& m) { return m.who == who; });
}

void medium::tell_members() {
  const std::lock_guard lock(members_guard_);
  for (const member& each : members_) each.renewed();
}

// -- what there is to say ---------------------------------------------------------------------------------------

store::properties medium::describe() const {
  store::properties p;
  const std::uint64_t object = facts_.object_bytes;
  p.size_bytes = size_bytes() / smallest_block * smallest_block;
  p.optimal_io_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(object, UINT32_MAX));
  p.read_only = !wanted_.is_written();
  p.volatile_cache = false;  // without librbd's cache a write is on the OSDs before it is acknowledged
  p.discards = !p.read_only;
  p.discard_granularity = static_cast<std::uint32_t>(std::min(object, zero_granularity));
  p.maps = true;
  p.deadline_ns = wanted_.deadline_ns;
  return p;
}

store::availability medium::available() const noexcept {
  if (gone_.load(std::memory_order_relaxed)) return store::availability::gone;
  const bool away = silent_.load(std::memory_order_relaxed) || fenced_.load(std::memory_order_relaxed);
  return away ? store::availability::stalled : store::availability::ready;
}

std::string medium::health() const {
  const std::lock_guard lock(guard_);
  const std::string why = last_failure_.empty() ? "" : ": " + last_failure_;
  if (gone_.load()) return "the image " + wanted_.path() + " is gone";
  if (fenced_.load()) return "fenced by the cluster (blocklist); the image is being opened anew" + why;
  if (silent_.load()) return why.empty() ? "the cluster does not answer" : "the cluster refuses to serve" + why;
  if (writes_wait_.load())
    return "writes get no answer although the cluster answers: the pool is full, or another client holds the image's "
           "exclusive lock";
  if (full_.load()) return "writes are refused: the pool or the cluster is full";
  return "good";
}

std::vector<store::figure> medium::figures() const {
  std::uint64_t in_flight = 0, waiting = 0;
  counted_latencies reads, writes;
  {
    const std::lock_guard lock(members_guard_);
    for (const member& each : members_) {
      in_flight += each.figures->in_flight.load(std::memory_order_relaxed);
      waiting += each.figures->waiting.load(std::memory_order_relaxed);
      reads.add(each.figures->reads);
      writes.add(each.figures->writes);
    }
  }
  const std::lock_guard lock(guard_);
  return {{"image", wanted_.path()},
          {"object_bytes", facts_.object_bytes},
          {"object_map", object_map_},
          {"in_flight", in_flight},
          {"waiting", waiting},
          {"stalled", silent_.load()},
          {"blocklisted", fenced_.load()},
          store::counter("fences", fences_.load()),
          store::counter("reopened", reopened_.load()),
          {"probe_us", static_cast<double>(probe_ns_.load()) / 1e3},
          store::counter("reads", reads.count()),
          {"read_p50_us", reads.quantile_us(0.5)},
          {"read_p99_us", reads.quantile_us(0.99)},
          store::counter("writes", writes.count()),
          {"write_p50_us", writes.quantile_us(0.5)},
          {"write_p99_us", writes.quantile_us(0.99)}};
}

}  // namespace sluice::rbd
