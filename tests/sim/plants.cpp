#include "tests/sim/plants.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "tests/sim/stamp.hpp"
#include "tiers/journal/journal_format.hpp"

namespace sluice::sim {
namespace {

constexpr std::pair<plant, const char*> names[] = {{plant::none, "none"},
                                                   {plant::lost_write, "lost-write"},
                                                   {plant::stale_read, "stale-read"},
                                                   {plant::double_completion, "double-completion"},
                                                   {plant::reservation_breach, "reservation-breach"},
                                                   {plant::fencing_waits, "fencing-waits"},
                                                   {plant::unsynced_flush, "unsynced-flush"},
                                                   {plant::unflushed_mode_select, "unflushed-mode-select"},
                                                   {plant::forgotten_loss, "forgotten-loss"},
                                                   {plant::deferred_to_one, "deferred-to-one"},
                                                   {plant::deferred_twice, "deferred-twice"},
                                                   {plant::forgotten_losses, "forgotten-losses"}};
constexpr unsigned one_in = 40;  // requests that suffer

using sector = std::array<std::uint8_t, sector_bytes>;

/// What sectors held before their last write. Of all channels of one store.
struct past {
  std::map<std::uint64_t, sector> now, before;
  unsigned reads = 0, writes = 0;

  void remember(const store::request& r) {
    std::uint64_t at = r.offset_bytes;
    for (unsigned i = 0; i < r.part_count; ++i) {
      const auto* from = static_cast<const std::uint8_t*>(r.parts[i].iov_base);
      if (r.parts[i].iov_len % sector_bytes != 0) return;
      for (std::size_t done = 0; done < r.parts[i].iov_len; done += sector_bytes, at += sector_bytes) {
        sector content;
        std::copy_n(from + done, sector_bytes, content.begin());
        const auto known = now.find(at);
        if (known != now.end()) before[at] = known->second;
        now[at] = content;
      }
    }
  }
  void bring_back(const store::request& r) const {
    std::uint64_t at = r.offset_bytes;
    for (unsigned i = 0; i < r.part_count; ++i) {
      auto* to = static_cast<std::uint8_t*>(r.parts[i].iov_base);
      if (r.parts[i].iov_len % sector_bytes != 0) return;
      for (std::size_t done = 0; done < r.parts[i].iov_len; done += sector_bytes, at += sector_bytes) {
        const auto known = before.find(at);
        if (known != before.end()) std::copy(known->second.begin(), known->second.end(), to + done);
      }
    }
  }
};

/// A read on its way to be spoilt; lives for the one request.
class spoilt_read final : public store::request {
 public:
  spoilt_read(store::request& original, const past& of) : original_(original), past_(of) {
    what = original.what;
    offset_bytes = original.offset_bytes;
    length_bytes = original.length_bytes;
    parts = original.parts;
    part_count = original.part_count;
  }
  void done(store::status outcome) noexcept override {
    original_.answer_as(*this);
    if (outcome == store::status::good) past_.bring_back(original_);
    original_.done(outcome);
    delete this;
  }

 private:
  store::request& original_;
  const past& past_;
};

class planted_channel final : public store::channel {
 public:
  planted_channel(std::unique_ptr<store::channel> below, reactor::loop& on, plant bug, past& of)
      : below_(std::move(below)), loop_(on), bug_(bug), past_(of) {}

  void submit(store::request& r) noexcept override {
    if (r.what == store::verb::write) past_.remember(r);
    if (bug_ == plant::lost_write && r.what == store::verb::write && ++past_.writes % one_in == 0)
      return loop_.post([&r] { r.done(store::status::good); });
    if (bug_ == plant::stale_read && r.what == store::verb::read && ++past_.reads % one_in == 0)
      return below_->submit(*new spoilt_read(r, past_));
    below_->submit(r);
  }

 private:
  std::unique_ptr<store::channel> below_;
  reactor::loop& loop_;
  plant bug_;
  past& past_;
};

class planted_store final : public store::store {
 public:
  planted_store(std::shared_ptr<sluice::store::store> below, plant bug) : below_(std::move(below)), bug_(bug) {}
  const char* type() const noexcept override { return below_->type(); }
  sluice::store::properties describe() const override { return below_->describe(); }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& on) override {
    return std::make_unique<planted_channel>(below_->attach(on), on, bug_, past_);
  }
  result<void> resize(std::uint64_t size_bytes) override { return below_->resize(size_bytes); }
  void on_change(sluice::store::changed callback) override { below_->on_change(std::move(callback)); }

 private:
  std::shared_ptr<sluice::store::store> below_;
  plant bug_;
  past past_;
};

}  // namespace

std::optional<plant> parse_plant(std::string_view name) {
  for (const auto& [value, text] : names)
    if (name == text) return value;
  return std::nullopt;
}

const char* to_string(plant p) {
  for (const auto& [value, text] : names)
    if (value == p) return text;
  return "?";
}

std::string plant_names() {
  std::string all;
  for (const auto& [value, text] : names) all += (all.empty() ? "" : ", ") + std::string(text);
  return all;
}

void forget_losses(reactor::sim_world& world, const std::string& flash) {
  constexpr unsigned loop_of_its_own = 99;
  const auto loop = world.make_loop(loop_of_its_own);
  const auto file = loop->open_file(flash, {});
  if (!file) return;
  std::vector<std::uint8_t> block(journal::block_bytes);
  for (std::uint64_t copy = 0; copy < journal::superblock_copies; ++copy) {
    const std::uint64_t at = copy * journal::block_bytes;
    auto super = loop->read_now(*file, block, at) ? journal::decode_superblock(block) : std::nullopt;
    if (!super || super->lost.size() < journal::lost_limit) continue;
    for (journal::block_range& each : super->lost) each.count = 1;
    journal::encode(*super, block);
    static_cast<void>(loop->write_now(*file, block, at));
  }
  loop->close(*file);
}

store::registry with_plant(const store::registry& healthy, plant bug) {
  if (bug != plant::lost_write && bug != plant::stale_read) return healthy;
  store::registry spoilt;
  for (store::factory each : healthy.all()) {
    each.open = [open = each.open, bug](const config::settings& s, reactor::loop& loop,
                                        const auto& below) -> result<std::shared_ptr<store::store>> {
      auto opened = open(s, loop, below);
      if (!opened) return opened;
      return std::make_shared<planted_store>(std::move(*opened), bug);
    };
    spoilt.add(std::move(each));
  }
  return spoilt;
}

}  // namespace sluice::sim
