#include "gateway/daemon/medium_tenure.hpp"

#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::daemon {

medium_tenure::medium_tenure(std::string unit, std::shared_ptr<store::store> medium, reactor::loop& loop,
                             std::mutex& changing)
    : unit_(std::move(unit)),
      medium_(std::move(medium)),
      loop_(loop),
      changing_(changing),
      calls_(reactor::offload_of(loop)) {
  medium_->end_tenure();
}

void medium_tenure::begin(std::function<void(const result<void>&)> done) {
  enqueue([this, done = std::move(done)] {
    const result<void> how = try_begin();
    tell(how);
    loop_.post([done, how] { done(how); });
  });
}

/// Not while what runs is being changed: that may take a tier away, or give it other settings.
result<void> medium_tenure::try_begin() {
  const std::unique_lock hold(changing_, std::try_to_lock);
  if (!hold) return fail(errc::busy, "the configuration is being changed");
  if (auto forgotten = forget_flash_of(*medium_); !forgotten) return forgotten;
  return medium_->begin_tenure();
}

/// What is only not yet is no trouble.
void medium_tenure::tell(const result<void>& how) {
  if (!how && how.error().code == errc::busy) return;
  const std::string now = how ? std::string() : how.error().message;
  {
    const std::lock_guard lock(guard_);
    if (std::exchange(trouble_, now) == now) return;
  }
  if (how)
    SLUICE_LOG(info, "unit", "the store is ready for its owner again", {"unit", unit_});
  else
    SLUICE_LOG(error, "unit", "this gateway owns the unit, and its store is not ready for that", {"unit", unit_},
               {"why", now});
}

void medium_tenure::end(std::function<void()> done) {
  enqueue([this, done = std::move(done)] {
    medium_->end_tenure();
    loop_.post(done);
  });
}

void medium_tenure::end_now() {
  medium_->end_tenure();
}

std::string medium_tenure::trouble() const {
  const std::lock_guard lock(guard_);
  return trouble_;
}

void medium_tenure::enqueue(std::function<void()> what) {
  {
    const std::lock_guard lock(guard_);
    queue_.push_back(std::move(what));
    if (std::exchange(at_work_, true)) return;
  }
  calls_.run([this] { work(); });
}

void medium_tenure::work() {
  for (;;) {
    std::function<void()> next;
    {
      const std::lock_guard lock(guard_);
      if (queue_.empty()) {
        at_work_ = false;
        return;
      }
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    next();
  }
}

result<void> forget_flash_of(store::store& medium) {
  if (medium.describe().read_only) return {};
  const auto named = medium.read_binding();
  if (named ? *named == 0 : named.error().code == errc::unsupported) return {};
  return named ? medium.write_binding(0) : tl::unexpected(named.error());
}

}  // namespace sluice::daemon
