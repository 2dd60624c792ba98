#include "gateway/state/local_authority.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>

#include "actors/base/check.hpp"
#include "actors/observe/log.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/crc.hpp"

namespace sluice::state {

namespace {

constexpr const char* epochs_key = "epochs";

// magic 4, version 1, epoch 8, CRC32C of these 4, content
constexpr std::uint32_t magic = 0x534c4152;  // SLAR
constexpr std::uint8_t version = 1;
constexpr std::size_t checked_bytes = 13, head_bytes = 17;

class local_seat;

struct pending {
  std::weak_ptr<local_seat*> from;  // empty: the seat is gone, the change is made all the same
  reactor::loop* on;
  proposal what;
  std::function<void(const verdict&)> decided;
};

/// What is agreed under one name, and who has a seat there.
struct entry {
  record now;
  bool writing = false;
  std::deque<pending> waiting;  // behind the write that is under way
  struct listener {
    std::weak_ptr<local_seat*> seat;
    reactor::loop* on;
  };
  std::vector<listener> listeners;
};

}  // namespace

std::string frame(const record& kept) {
  std::uint8_t head[head_bytes];
  wire::store32(head, 0, magic);
  wire::store8(head, 4, version);
  wire::store64(head, 5, kept.epoch);
  wire::store32(head, checked_bytes, wire::crc32c(const_bytes(head, checked_bytes)));
  return std::string(as_text(head)) + kept.content;
}

result<record> parse_frame(std::string_view stored) {
  const const_bytes all = as_bytes(stored);
  if (all.size() < head_bytes || wire::load32(all, 0) != magic || all[4] != version ||
      wire::load32(all, checked_bytes) != wire::crc32c(all.first(checked_bytes)))
    return fail(errc::corrupt, "the record in the state directory is damaged, or of a newer version");
  return record{wire::load64(all, 5), std::string(stored.substr(head_bytes))};
}

namespace {

/// What of a record can be read.
record read_frame(std::string_view stored) {
  auto parsed = parse_frame(stored);
  if (parsed) return std::move(*parsed);
  return {0, std::string(stored.substr(std::min(stored.size(), head_bytes))), parsed.error().message};
}

/// A count of epochs that is beyond all that starts can have taken, when theirs cannot be read: as if there had been
/// one start in each second since 1970.
std::uint64_t epochs_of_the_clock() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(since).count());
  return seconds * local_authority::epochs_of_a_start;
}

/// nullopt: damaged.
std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return count;
}

}  // namespace

/// Everything that seats share. Seats live on several loops: one mutex guards it all, and nothing is called under it.
class local_authority::table : public std::enable_shared_from_this<table> {
 public:
  /// `taken`: the range that begins at `first` is written.
  table(state_store& kept, std::uint64_t first, std::uint64_t range, bool taken)
      : kept_(kept), first_(first), limit_(taken ? first + range : first), range_(range) {}

  result<void> add(const std::string& name) {
    const std::lock_guard hold(mutex_);
    if (entries_.contains(name)) return {};
    const auto stored = kept_.load(name);
    if (!stored && stored.error().code != errc::corrupt) return tl::unexpected(stored.error());
    record now;
    if (!stored)
      now.damage = stored.error().message;
    else if (*stored)
      now = read_frame(**stored);
    // Others of this start have used none of the range for this name yet.
    now.epoch = std::max(now.epoch, first_);
    entries_[name].now = std::move(now);
    return {};
  }

  record current(const std::string& name) {
    const std::lock_guard hold(mutex_);
    return entries_.at(name).now;
  }

  void listen(const std::string& name, entry::listener who) {
    const std::lock_guard hold(mutex_);
    entries_.at(name).listeners.push_back(std::move(who));
  }

  void propose(const std::string& name, pending p);

 private:
  using answers = std::vector<std::function<void()>>;
  void run(const std::string& name, entry& e, pending p, answers& later);
  void commit(const std::string& name, entry& e, const pending& p, answers& later);
  void written(const std::string& name, pending p, std::uint64_t limit, const result<void>& outcome);
  void answer(const pending& p, verdict how, answers& later);

  state_store& kept_;
  const std::uint64_t first_;
  std::uint64_t limit_;  // durable: epochs below may be used
  const std::uint64_t range_;
  std::mutex mutex_;
  std::map<std::string, entry> entries_;
};

namespace {

class local_seat final : public seat {
 public:
  local_seat(std::shared_ptr<local_authority::table> all, std::string name, reactor::loop& on)
      : table_(std::move(all)), name_(std::move(name)), on_(on) {
    table_->listen(name_, {self_, &on_});
  }
  void read(std::function<void(result<record>)> done) override { done(table_->current(name_)); }
  void propose(proposal what, std::function<void(const verdict&)> decided) override {
    table_->propose(name_, {self_, &on_, std::move(what), std::move(decided)});
  }
  void watch(gateway_id, std::uint64_t, watcher* tells) override { watcher_ = tells; }
  void in_force(std::uint64_t) override {}
  void confirm(std::uint64_t, std::function<void()> done) override { done(); }
  void barrier(std::function<void()> done) override {
    on_.post([self = std::weak_ptr(self_), done = std::move(done)] {
      if (!self.expired()) done();
    });
  }
  void tell(const record& newer) const {
    if (watcher_) watcher_->on_committed(newer);
  }

 private:
  const std::shared_ptr<local_authority::table> table_;
  const std::string name_;
  reactor::loop& on_;
  watcher* watcher_ = nullptr;
  std::shared_ptr<local_seat*> self_ = std::make_shared<local_seat*>(this);
};

}  // namespace

void local_authority::table::propose(const std::string& name, pending p) {
  answers later;
  {
    const std::lock_guard hold(mutex_);
    entry& e = entries_.at(name);
    if (e.writing)
      e.waiting.push_back(std::move(p));
    else
      run(name, e, std::move(p), later);
  }
  for (const auto& each : later) each();
}

/// Answers what need not be written; starts the write of what must be. An epoch beyond the range needs a new range,
/// which is written with it.
void local_authority::table::run(const std::string& name, entry& e, pending p, answers& later) {
  if (p.what.expected != e.now.epoch) return answer(p, {verdict::kind::conflict, e.now, {}}, later);
  SLUICE_CHECK(!p.what.content.empty());
  const std::uint64_t epoch = p.what.expected + 1;
  const bool takes_range = epoch >= limit_, has_range = limit_ > first_;
  if (!p.what.lasts && (!takes_range || !has_range)) {
    commit(name, e, p, later);
    return answer(p, {}, later);
  }
  std::vector<update> updates{{name, frame({epoch, p.what.content})}};
  for (const std::string& key : p.what.replaces) updates.push_back({key, std::nullopt});
  const std::uint64_t limit = takes_range ? epoch + range_ : limit_;
  if (takes_range) updates.push_back({epochs_key, std::to_string(limit)});
  e.writing = true;
  reactor::loop& on = *p.on;
  later.push_back(
      [self = shared_from_this(), name, p = std::move(p), updates = std::move(updates), limit, &on]() mutable {
        state_store& kept = self->kept_;
        kept.change(std::move(updates), on, [self, name, p = std::move(p), limit](const result<void>& outcome) {
          self->written(name, p, limit, outcome);
        });
      });
}

void local_authority::table::written(const std::string& name, pending p, std::uint64_t limit,
                                     const result<void>& outcome) {
  answers later;
  {
    const std::lock_guard hold(mutex_);
    entry& e = entries_.at(name);
    e.writing = false;
    if (outcome) {
      limit_ = std::max(limit_, limit);
      commit(name, e, p, later);
      answer(p, {}, later);
    } else {
      answer(p, {verdict::kind::failed, {}, outcome.error()}, later);
    }
    while (!e.writing && !e.waiting.empty()) {
      pending next = std::move(e.waiting.front());
      e.waiting.pop_front();
      // Of another loop, perhaps.
      next.decided = [on = next.on, from = next.from, decided = std::move(next.decided)](const verdict& how) {
        on->post([from, decided, how] {
          if (!from.expired()) decided(how);
        });
      };
      run(name, e, std::move(next), later);
    }
  }
  for (const auto& each : later) each();
}

void local_authority::table::commit(const std::string&, entry& e, const pending& p, answers& later) {
  e.now = {p.what.expected + 1, p.what.content};
  std::erase_if(e.listeners, [](const entry::listener& each) { return each.seat.expired(); });
  const auto same = [&](const entry::listener& each) {
    return !each.seat.owner_before(p.from) && !p.from.owner_before(each.seat);
  };
  for (const entry::listener& each : e.listeners) {
    if (same(each)) continue;
    later.push_back([each, newer = e.now] {
      each.on->post([seat = each.seat, newer] {
        if (const auto there = seat.lock()) (*there)->tell(newer);
      });
    });
  }
}

void local_authority::table::answer(const pending& p, verdict how, answers& later) {
  later.push_back([from = p.from, decided = p.decided, how = std::move(how)] {
    if (!from.expired()) decided(how);
  });
}

local_authority::local_authority(std::shared_ptr<table> all) : table_(std::move(all)) {}
local_authority::~local_authority() = default;

result<std::unique_ptr<local_authority>> local_authority::make(state_store& kept, std::uint64_t range) {
  const auto stored = kept.load(epochs_key);
  if (!stored && stored.error().code != errc::corrupt) return tl::unexpected(stored.error());
  auto first = stored ? parse_count(stored->value_or("0")) : std::nullopt;
  if (!first || *first > UINT64_MAX - 2 * range) {
    first = epochs_of_the_clock();
    SLUICE_LOG(error, "state", "the count of epochs is damaged: it goes on far beyond all that were used",
               {"from", *first});
  }
  const bool taken = kept.save(epochs_key, std::to_string(*first + range)).has_value();
  return std::unique_ptr<local_authority>(new local_authority(std::make_shared<table>(kept, *first, range, taken)));
}

result<std::unique_ptr<seat>> local_authority::open(const std::string& name, reactor::loop& on) {
  if (auto added = table_->add(name); !added) return tl::unexpected(added.error());
  return std::unique_ptr<seat>(new local_seat(table_, name, on));
}

}  // namespace sluice::state
