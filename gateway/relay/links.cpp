#include "gateway/relay/links.hpp"

namespace sluice::relay {

namespace {

constexpr int backlog = 128;
/// After an accept that failed: there are no descriptors, say.
constexpr std::uint64_t pause_ns = 100 * ns_per_ms;

}  // namespace

links::links(std::vector<runtime::core*> cores, const neighbours& all) : cores_(std::move(cores)), all_(all) {
  for (runtime::core* core : cores_) parts_.push_back(std::make_unique<core_relay>(core->loop(), all_, coming_));
}

links::~links() {
  cores_.front()->call_async([this](const std::function<void()>& finished) {
    reactor::loop& loop = cores_.front()->loop();
    loop.disarm(pause_);
    if (listener_ == reactor::no_handle) return finished();
    const auto close = [this, &loop, finished] {
      loop.close(std::exchange(listener_, reactor::no_handle));
      finished();
    };
    if (!accepted_.in_flight()) return close();
    stopped_ = close;
    loop.cancel(accepted_);
  });
  for (std::size_t i = 0; i < cores_.size(); ++i)
    cores_[i]->call_async([&](const std::function<void()>& finished) { parts_[i]->stop(finished); });
  for (std::size_t i = 0; i < cores_.size(); ++i) cores_[i]->call([&] { parts_[i].reset(); });
}

result<reactor::endpoint> links::listen(const reactor::endpoint& at) {
  result<reactor::endpoint> bound = at;
  cores_.front()->call([&] {
    reactor::loop& loop = cores_.front()->loop();
    const auto opened = loop.listen(at, backlog);
    if (!opened) {
      bound = tl::unexpected(opened.error());
      return;
    }
    listener_ = *opened;
    bound = loop.local_endpoint(listener_);
    accept();
  });
  return bound;
}

void links::accept() {
  cores_.front()->loop().accept(accepted_, listener_);
}

void links::on_accepted(std::int64_t result) noexcept {
  reactor::loop& loop = cores_.front()->loop();
  if (stopped_) {
    if (result >= 0) loop.close(static_cast<reactor::handle>(result));
    return std::exchange(stopped_, {})();
  }
  if (result < 0) return loop.arm(pause_, pause_ns);
  const std::size_t core = next_core_++ % cores_.size();
  cores_[core]->loop().post([this, core, connection = static_cast<reactor::handle>(result)] {
    parts_[core]->take(connection, all_.own_secret());
  });
  accept();
}

void links::follow(const std::shared_ptr<const access::directory>& now) {
  for (std::size_t i = 0; i < cores_.size(); ++i) cores_[i]->call([&] { parts_[i]->follow(*now); });
}

}  // namespace sluice::relay
