#include "tests/sim/tapped_store.hpp"

#include <functional>
#include <utility>

namespace sluice::sim {
namespace {

/// Of all channels of one store.
struct tap {
  flush_log& log;
  plant bug;
  std::function<bool()> selecting;
  bool has_failed = false;

  /// Whether a planted bug answers GOOD in the place of the medium.
  bool skips() const {
    switch (bug) {
      case plant::unsynced_flush:
        return true;
      case plant::unflushed_mode_select:
        return selecting && selecting();
      case plant::forgotten_loss:
        return has_failed;
      default:
        return false;
    }
  }
};

/// Lives for the one request.
class tapped_flush final : public store::request {
 public:
  tapped_flush(store::request& original, tap& into, reactor::loop& on)
      : original_(original), tap_(into), loop_(on), number_(into.log.begins()) {
    ask_as(original);
  }
  void done(store::status outcome) noexcept override {
    tap_.log.ends(number_, outcome, loop_.now_ns());
    tap_.has_failed = tap_.has_failed || outcome == store::status::medium_error;
    original_.answer_as(*this);
    original_.done(outcome);
    delete this;
  }

 private:
  store::request& original_;
  tap& tap_;
  reactor::loop& loop_;
  const std::size_t number_;
};

class tapped_channel final : public store::channel {
 public:
  tapped_channel(std::unique_ptr<store::channel> below, reactor::loop& on, tap& into)
      : below_(std::move(below)), loop_(on), tap_(into) {}

  void submit(store::request& r) noexcept override {
    if (r.what != store::verb::flush) return below_->submit(r);
    auto* made = new tapped_flush(r, tap_, loop_);
    if (tap_.skips()) return loop_.post([made] { made->done(store::status::good); });
    below_->submit(*made);
  }
  bool borrow(std::uint64_t offset_bytes, std::uint64_t length_bytes,
              std::vector<memory::slice>& out) noexcept override {
    return below_->borrow(offset_bytes, length_bytes, out);
  }
  void will_read(std::uint64_t offset_bytes) noexcept override { below_->will_read(offset_bytes); }
  bool try_now(store::request& r, store::status& outcome) noexcept override {
    return r.what != store::verb::flush && below_->try_now(r, outcome);
  }
  store::availability available() const noexcept override { return below_->available(); }
  bool idle() noexcept override { return below_->idle(); }

 private:
  std::unique_ptr<store::channel> below_;
  reactor::loop& loop_;
  tap& tap_;
};

class tapped_store final : public store::store {
 public:
  using below_type = std::shared_ptr<sluice::store::store>;
  tapped_store(below_type below, tap how) : below_(std::move(below)), tap_(std::move(how)) {}

  const char* type() const noexcept override { return below_->type(); }
  sluice::store::properties describe() const override { return below_->describe(); }
  std::string health() const override { return below_->health(); }
  std::vector<sluice::store::figure> figures() const override { return below_->figures(); }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& on) override {
    return std::make_unique<tapped_channel>(below_->attach(on), on, tap_);
  }
  result<void> resize(std::uint64_t size_bytes) override { return below_->resize(size_bytes); }
  result<void> check_size(std::uint64_t size_bytes) const override { return below_->check_size(size_bytes); }
  void on_change(sluice::store::changed callback) override { below_->on_change(std::move(callback)); }
  result<sluice::store::prepared> prepare_settings(const config::settings& wanted) override {
    return below_->prepare_settings(wanted);
  }
  result<void> drop() override { return below_->drop(); }
  std::uint64_t destage() override { return below_->destage(); }
  std::uint64_t undestaged_bytes(std::uint64_t mark) const override { return below_->undestaged_bytes(mark); }
  void take_over() override { below_->take_over(); }
  void hand_over() override { below_->hand_over(); }
  void begin_hand_over() override { below_->begin_hand_over(); }
  result<void> handed_over() override { return below_->handed_over(); }
  result<std::uint64_t> give_up_lost() override { return below_->give_up_lost(); }
  result<sluice::store::ownership> read_ownership() override { return below_->read_ownership(); }
  result<void> write_ownership(const sluice::store::ownership& wanted) override {
    return below_->write_ownership(wanted);
  }
  std::string holder() const override { return below_->holder(); }

 protected:
  result<std::uint64_t> read_own_binding() override { return below_->read_binding(); }
  result<void> write_own_binding(std::uint64_t flash) override { return below_->write_binding(flash); }

 private:
  below_type below_;
  tap tap_;
};

}  // namespace

std::shared_ptr<store::store> tap_flushes(std::shared_ptr<store::store> below, flush_log& into, plant bug,
                                          std::function<bool()> selecting) {
  return std::make_shared<tapped_store>(std::move(below), tap{into, bug, std::move(selecting)});
}

}  // namespace sluice::sim
