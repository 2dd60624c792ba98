#include "tiers/block/size_watch.hpp"

#include <utility>

namespace sluice::block {
namespace {

/// Lives on the control loop. The store may go at any time on any thread; the watch follows by way of the loop.
class size_watch final : public reactor::timer {
 public:
  explicit size_watch(reactor::loop& loop) : loop_(loop) {}

  void start(std::weak_ptr<store::descriptor_store> watched) {
    store_ = std::move(watched);
    loop_.arm(*this, size_watch_period_ns);
  }
  void stop() {
    loop_.disarm(*this);
    store_.reset();  // whose deleter holds the watch
  }

  void on_timer() noexcept override {
    const auto alive = store_.lock();
    if (!alive) return;
    alive->look_again();
    loop_.arm(*this, size_watch_period_ns);
  }

 private:
  reactor::loop& loop_;
  std::weak_ptr<store::descriptor_store> store_;
};

}  // namespace

std::shared_ptr<store::store> watched(std::unique_ptr<store::descriptor_store> opened, reactor::loop& control_loop) {
  const auto watch = std::make_shared<size_watch>(control_loop);
  const std::shared_ptr<store::descriptor_store> shared(opened.release(),
                                                        [watch, &control_loop](store::descriptor_store* going) {
                                                          control_loop.post([watch] { watch->stop(); });
                                                          delete going;
                                                        });
  control_loop.post([watch, weak = std::weak_ptr(shared)] { watch->start(weak); });
  return shared;
}

}  // namespace sluice::block
