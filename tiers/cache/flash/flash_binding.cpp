#include "tiers/cache/flash/flash_binding.hpp"

#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::cache {

flash_binding::flash_binding(std::shared_ptr<store::store> medium, reactor::offload offload)
    : medium_(std::move(medium)), calls_(std::move(offload)) {}

result<bool> flash_binding::confirm(std::uint64_t flash) {
  const std::lock_guard lock(guard_);
  const auto named = medium_->read_binding();
  if (!named && named.error().code != errc::unsupported) return tl::unexpected(named.error());
  if (!named || *named == 0) return false;
  if (*named == flash) {
    named_ = flash;
    return true;
  }
  // Nobody writes to what is read only: then the other one is as good as before.
  if (medium_->describe().read_only) return false;
  if (auto cleared = medium_->write_binding(0); !cleared)
    return fail(cleared.error().code,
                "the medium cannot note that another flash may be stale from now on: " + cleared.error().message);
  return false;
}

bool flash_binding::forget() {
  return clear(named_.exchange(0));
}

void flash_binding::set_tenure(bool holds) {
  const std::lock_guard lock(guard_);
  has_tenure_ = holds;
}

void flash_binding::name_off_loop(std::uint64_t flash) {
  named_ = flash;
  calls_.run([this, flash] {
    const std::lock_guard lock(guard_);
    if (named_ != flash || !has_tenure_) return;
    const auto done = medium_->write_binding(flash);
    if (!done && done.error().code != errc::unsupported)
      SLUICE_LOG(warning, "cache", "the medium cannot note which flash knows of all writes: it begins empty next time",
                 {"why", done.error().message});
  });
}

void flash_binding::forget_off_loop(std::function<void(bool)> answered) {
  calls_.run([this, flash = named_.exchange(0), answered = std::move(answered)] { answered(clear(flash)); });
}

/// Another flash that the medium names by now is none of ours.
bool flash_binding::clear(std::uint64_t flash) {
  if (flash == 0) return true;
  const std::lock_guard lock(guard_);
  const auto named = medium_->read_binding();
  const bool forgotten =
      named ? *named != flash || medium_->write_binding(0).has_value() : named.error().code == errc::unsupported;
  // It may be tried again.
  std::uint64_t none = 0;
  if (!forgotten) named_.compare_exchange_strong(none, flash);
  return forgotten;
}

}  // namespace sluice::cache
