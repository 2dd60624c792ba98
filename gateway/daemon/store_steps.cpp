#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "actors/observe/log.hpp"
#include "gateway/daemon/kept_binding.hpp"
#include "gateway/daemon/starting.hpp"
#include "gateway/daemon/steps.hpp"
#include "tiers/journal/journal_store.hpp"
#include "tiers/store/probe.hpp"

namespace sluice::daemon {

namespace {

/// A name that steps of stores begin their sentences with.
tl::unexpected<error> about(const std::string& store, const error& why) {
  return fail(why.code, "store." + store + ": " + why.message);
}

/// Whoever looks at what runs is through in an instant; the store closes here and not on another thread. Units that
/// were left behind keep what they use, for as long as that takes.
void close(std::shared_ptr<store::store>& medium, const running& now) {
  const bool waits = !now.made_of.wait && now.stranded.empty();
  for (int patience = 1000; waits && medium.use_count() > 1 && patience > 0; --patience)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  medium.reset();
}

class store_step : public step {
 public:
  using step::step;

 protected:
  const std::string& name() const { return told_.name; }
  const config::store_config& wanted() const { return *config::find_named(in_.wanted->stores, told_.name); }
  running& now() const { return in_.now; }
};

/// add_store, replace_store: both are open for a while.
class open_step final : public store_step {
 public:
  using store_step::store_step;

  result<void> check() override {
    const store::factory* factory = now().made_of.stores.find(wanted().type);
    if (!factory) return no_type();
    if (auto free = check_path(); !free) return free;
    if (auto free = check_no_journal(); !free) return free;
    if (auto known = check_unit_known(*factory); !known) return known;
    if (!factory->probe) return {};
    auto found = factory->probe(wanted().settings);
    if (!found && (in_.before->runs || wanted().over.empty())) return about(name(), found.error());
    // When a gateway starts, a tier may do without flash that is dead.
    if (!found) doubt("store." + name(), found.error().message + ": whether it can do without is seen then");
    for (const std::string& key : wanted().settings.names())
      if (const std::string* path = key.ends_with(".path") ? wanted().settings.text(key) : nullptr)
        if (std::error_code ignored; std::filesystem::exists(*path, ignored))
          doubt("store." + name() + "." + key, "what lies on " + *path + " is read when it is opened");
    return {};
  }

  result<void> prepare() override {
    const config::store_config& config = wanted();
    const store::factory* factory = now().made_of.stores.find(config.type);
    if (!factory) return no_type();
    if (auto free = check_path(); !free) return free;
    if (auto free = check_no_journal(); !free) return free;
    if (auto known = check_unit_known(*factory); !known) return known;
    const bool is_new = is_absent(*factory);
    auto opened = factory->open(config.settings, now().made_of.cores.front()->loop(),
                                [&](const std::string& below) { return in_.medium(below); });
    if (!opened) return about(name(), opened.error());
    if (is_new)
      SLUICE_LOG(info, "control", "made an empty store", {"store", name()}, {"path", *config.settings.text("path")});
    if (config.over.empty() && (*opened)->describe().keeps_data)
      (*opened)->keep_binding_in(
          std::make_shared<kept_binding>(*now().authority, *now().made_of.cores.front(), now().made_of.state, config));
    if (now().made_of.medium_changed) (*opened)->on_change(now().made_of.medium_changed);
    // Until all is in force others may write to what lies below it.
    if (!in_.before->stores.empty()) (*opened)->hand_over();
    in_.stores[name()] = std::move(*opened);
    return {};
  }
  void undo() override { in_.stores.erase(name()); }
  void commit() override {
    std::shared_ptr<store::store>& place = in_.next.stores[name()];
    if (place) in_.voided.push_back(place);
    old_ = std::exchange(place, in_.stores.at(name()));
  }
  void finish() override {
    if (old_) close(old_, now());
  }

 private:
  tl::unexpected<error> no_type() const {
    return fail(errc::unsupported, "store." + name() + ": no store type '" + wanted().type + "' in this build");
  }

  /// Whether opening it would make a file.
  bool is_absent(const store::factory& factory) const {
    const auto makes = [](const config::key& key) { return key.name == "create"; };
    const std::string* path = wanted().settings.text("path");
    if (!path || std::none_of(factory.keys.begin(), factory.keys.end(), makes)) return false;
    reactor::loop& loop = now().made_of.cores.front()->loop();
    const auto found = loop.open_file(*path, {.writable = false});
    if (found) loop.close(*found);
    return !found && found.error().code == errc::not_found;
  }

  /// To initiators an empty file under a unit that they know would be their disk, wiped.
  result<void> check_unit_known(const store::factory& factory) const {
    if (wanted().settings.flag("create", false) || !is_absent(factory)) return {};
    for (const config::unit_config* unit : in_.users_of(name())) {
      if (!is_known(now().made_of.state, unit->name)) continue;
      return fail(errc::not_found, "store." + name() + ": " + *wanted().settings.text("path") +
                                       " is absent, and initiators know unit " + unit->name +
                                       " over it: bring the file back, or write create = true to begin with an empty "
                                       "one");
    }
    return {};
  }

  /// A medium has one user at a time, and the one that runs lets go of it only after this step has taken it.
  result<void> check_path() const {
    for (const config::store_config& other : in_.before->model->stores)
      if (const auto path = shared_path(other))
        return fail(errc::busy, "store." + name() + ": " + *path + " is in use by store " + other.name +
                                    " as it runs; take that away in one step, and add this one in the next");
    for (const ending_unit& unit : in_.before->ending)
      for (const config::store_config& other : unit.media)
        if (const auto path = shared_path(other))
          return fail(errc::busy, "store." + name() + ": " + *path + " is in use by unit " + unit.name +
                                      ", which was taken away and has not ended, for its medium owes it answers: try "
                                      "again when status no longer shows it as ending");
    return {};
  }
  /// The flash of a cache is no medium as long as it holds what is nowhere else.
  result<void> check_no_journal() const {
    const std::string* path = wanted().over.empty() ? wanted().settings.text("path") : nullptr;
    std::error_code unknown;
    const auto what = path ? std::filesystem::status(*path, unknown).type() : std::filesystem::file_type::none;
    if (what != std::filesystem::file_type::regular && what != std::filesystem::file_type::block) return {};
    reactor::loop& loop = now().made_of.cores.front()->loop();
    const auto opened = loop.open_file(*path, {.writable = false});
    if (!opened) return {};  // that is seen when it is opened
    auto free = journal::check_no_data(loop, *opened, *path);
    loop.close(*opened);
    if (!free) return about(name(), free.error());
    return {};
  }
  std::optional<std::string> shared_path(const config::store_config& other) const {
    const auto only_reads = [](const config::store_config& store) { return store.settings.flag("read_only", false); };
    if (only_reads(other) && only_reads(wanted())) return std::nullopt;
    const auto is_path = [](const std::string& key) { return key == "path" || key.ends_with(".path"); };
    std::optional<std::string> shared;
    wanted().settings.for_each_text([&](const std::string& key, const std::string& path) {
      if (shared || !is_path(key)) return;
      other.settings.for_each_text([&](const std::string& their, const std::string& used) {
        if (used == path && is_path(their)) shared = path;
      });
    });
    return shared;
  }

  std::shared_ptr<store::store> old_;
};

/// change_store: other settings while requests are under way.
class settings_step final : public store_step {
 public:
  using store_step::store_step;

  result<void> check() override {
    const store::factory* factory = now().made_of.stores.find(wanted().type);
    if (factory && factory->probe)
      if (auto found = factory->probe(wanted().settings); !found) return about(name(), found.error());
    if (!takes_another_medium()) return ready().map([](const store::prepared&) {});
    doubt("store." + name(), "what lies on the medium that it is to use is read when it is opened");
    return {};
  }

  result<void> prepare() override {
    auto settings = ready();
    if (!settings) return tl::unexpected(settings.error());
    settings_ = std::move(*settings);
    if (settings_.after_hand_over) in_.emptied.insert(name());
    return {};
  }
  void undo() override { settings_ = {}; }
  void commit() override {
    settings_();
    concern_users(in_, name());
  }

 private:
  /// Changes nothing until it is put in force; a plan drops it.
  result<store::prepared> ready() const {
    const std::lock_guard hold(now().preparing_settings);
    auto made = in_.medium(name())->prepare_settings(wanted().settings);
    if (!made) return about(name(), made.error());
    if (!*made) return fail(errc::unsupported, "store." + name() + ": cannot change while it runs");
    return made;
  }
  /// Opening it may make a file.
  bool takes_another_medium() const {
    const auto differing = config::find_named(in_.before->model->stores, name())->settings.differing(wanted().settings);
    return std::any_of(differing.begin(), differing.end(),
                       [&](const std::string& key) { return key.ends_with(".path") && wanted().settings.text(key); });
  }

  store::prepared settings_;
};

class remove_store_step final : public store_step {
 public:
  using store_step::store_step;

  void commit() override {
    const auto place = in_.next.stores.find(name());
    old_ = place->second;
    in_.voided.push_back(old_);
    in_.next.stores.erase(place);
  }
  void finish() override { close(old_, now()); }

 private:
  std::shared_ptr<store::store> old_;
};

/// The last to be prepared: the only step that an initiator could notice.
class resize_step final : public store_step {
 public:
  using store_step::store_step;

  result<void> check() override {
    if (auto fits = in_.medium(name())->check_size(size()); !fits) return about_size(fits.error());
    return {};
  }
  result<void> prepare() override {
    store::store& medium = *in_.medium(name());
    before_ = medium.describe().size_bytes;
    if (auto done = medium.resize(size()); !done) return about_size(done.error());
    return {};
  }
  void commit() override { concern_users(in_, name()); }
  void undo() override {
    if (auto back = in_.medium(name())->resize(before_); !back)
      SLUICE_LOG(error, "gateway", "could not undo a resize", {"store", name()}, {"why", back.error().message});
  }

 private:
  std::uint64_t size() const { return wanted().settings.number("size", 0); }
  tl::unexpected<error> about_size(const error& why) const {
    return fail(why.code, "store." + name() + ".size: " + why.message);
  }

  std::uint64_t before_ = 0;
};

class hand_over_step final : public step {
 public:
  hand_over_step(change& in, std::string store, bool leaves) : step(in), store_(std::move(store)), leaves_(leaves) {}

  result<void> check() override {
    if (leaves_ && !in_.before->stores.at(store_)->holder().empty())
      doubt("store." + store_, "what it holds is brought below first, and the store below may not take it");
    return {};
  }
  result<void> prepare() override {
    if (!leaves_ && !in_.emptied.contains(store_)) return {};
    store::store& medium = *in_.before->stores.at(store_);
    medium.begin_hand_over();
    auto done = wait(medium);
    if (done) return {};
    medium.take_over();
    return fail(done.error().code, "store." + store_ + ": cannot be " + (leaves_ ? "taken away" : "changed") + ": " +
                                       done.error().message);
  }
  void undo() override {
    if (leaves_ || in_.emptied.contains(store_)) in_.before->stores.at(store_)->take_over();
  }

 private:
  /// While the loops go on. A medium that takes nothing for a while is not waited for to the end: whoever applies has
  /// to mend it first, and all goes on as before meanwhile.
  result<void> wait(store::store& medium) const {
    reactor::loop& clock = in_.now.made_of.cores.front()->loop();
    const runtime::let_run& let_run = in_.now.made_of.wait;
    const std::uint64_t end_ns = clock.now_ns() + 300 * ns_per_s;
    const std::uint64_t ownership = medium.destage();
    std::uint64_t min_left = UINT64_MAX, moved_ns = clock.now_ns();
    for (;;) {
      auto done = medium.handed_over();
      if (done || done.error().code != errc::busy) return done;
      if (in_.now.interrupted) return fail(errc::closed, "the gateway stops");
      const std::uint64_t now_ns = clock.now_ns();
      if (const std::uint64_t left = medium.undestaged_bytes(ownership); left < min_left) {
        min_left = left;
        moved_ns = now_ns;
      }
      if (now_ns > end_ns || now_ns - moved_ns > standstill_ns) return fail(errc::timeout, done.error().message);
      if (let_run)
        let_run();
      else
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  static constexpr std::uint64_t standstill_ns = 20 * ns_per_s;

  const std::string store_;
  const bool leaves_;
};

class claim_step final : public step {
 public:
  claim_step(change& in, std::string tier) : step(in), tier_(std::move(tier)) {}

  result<void> check() override {
    const auto ownership = look_at_ownership(in_, config::find_named(in_.wanted->stores, tier_)->over);
    if (ownership && !ownership->holder.empty())
      doubt("store." + tier_, "the medium below lacks data that are in " + ownership->holder +
                                  "; whether that is this store is seen when it is opened");
    return {};
  }

  result<void> prepare() override {
    // What passes the mark on is no user: who lies over it is asked.
    if (in_.medium(tier_)->read_ownership()) return {};
    const config::store_config& config = *config::find_named(in_.wanted->stores, tier_);
    return check_ownership(in_, "store." + tier_, config.over, in_.medium(tier_)->holder());
  }

 private:
  const std::string tier_;
};

class take_over_step final : public step {
 public:
  using step::step;

  void finish() override { take_over(in_.now); }
};

tl::unexpected<error> lacks_data(const std::string& user, const std::string& used, const std::string& holder) {
  return fail(errc::busy, user + ": the medium of store." + used + " lacks data that are in " + holder +
                              ": use it through that cache, or give them up with: sluice cache resolve --store " +
                              used + " --config FILE --discard");
}

}  // namespace

result<void> check_ownership(const change& in, const std::string& user, const std::string& used,
                             const std::string& holder) {
  const auto ownership = in.medium(used)->read_ownership();
  if (!ownership && ownership.error().code == errc::unsupported) return {};
  if (!ownership) return fail(ownership.error().code, user + ": store." + used + ": " + ownership.error().message);
  if (ownership->holder.empty() || ownership->holder == holder) return {};
  return lacks_data(user, used, ownership->holder);
}

result<void> check_unmarked(const change& in, const std::string& user, const std::string& used) {
  const auto ownership = look_at_ownership(in, used);
  if (!ownership || ownership->holder.empty()) return {};  // what cannot be looked at is seen when it is opened
  return lacks_data(user, used, ownership->holder);
}

result<store::ownership> look_at_ownership(const change& in, const std::string& used) {
  const auto runs = in.before->stores.find(used);
  result<store::ownership> ownership = fail(errc::unsupported, "it cannot be looked at");
  if (runs != in.before->stores.end() && !in.opening.contains(used)) {
    ownership = runs->second->read_ownership();
  } else if (const config::store_config* store = config::find_named(in.wanted->stores, used)) {
    // Only files have marks that can be seen without opening them, and what lies over another store hides its mark.
    if (const std::string* path = store->over.empty() ? store->settings.text("path") : nullptr)
      ownership = store::probe_file_ownership(*path);
  }
  if (!ownership) return ownership;
  for (const std::string& leaves : in.handing_over)
    if (const auto tier = in.before->stores.find(leaves);
        tier != in.before->stores.end() && !ownership->holder.empty() && tier->second->holder() == ownership->holder)
      ownership->holder.clear();
  return ownership;
}

void take_over(running& now) {
  const std::size_t left = now.stranded.size();
  now.stranded = stop_units(std::exchange(now.stranded, {}), now.made_of.cores, now.made_of.wait, patience::at_once);
  if (now.stranded.size() != left) show_ending(now);
  // Requests of units that were left behind may still come to what lies below.
  std::set<std::string> used;
  for (const auto& unit : now.stranded)
    for (const config::store_config& each : unit->media) used.insert(each.name);
  const auto seen = now.seen();
  const config::by_name<config::store_config> stores(seen->model->stores);
  for (const auto& [name, medium] : seen->stores) {
    bool alone = true;
    for (const config::store_config* at = stores.find(name); at && alone;
         at = at->over.empty() ? nullptr : stores.find(at->over))
      alone = !used.contains(at->name);
    if (alone) medium->take_over();
  }
}

void show_ending(running& now) {
  running_snapshot next = *now.seen();
  next.ending.clear();
  for (const auto& unit : now.stranded) next.ending.push_back({unit->name, unit->media});
  now.show(std::move(next));
}

void concern_users(change& in, const std::string& store) {
  for (const config::unit_config* unit : in.users_of(store)) in.concerned.insert(unit->name);
}

std::unique_ptr<step> make_store_step(change& in, const config::step& told) {
  switch (told.what) {
    case config::action::change_store:
      return std::make_unique<settings_step>(in, told);
    case config::action::remove_store:
      return std::make_unique<remove_store_step>(in, told);
    case config::action::resize_store:
      return std::make_unique<resize_step>(in, told);
    default:
      return std::make_unique<open_step>(in, told);
  }
}

std::unique_ptr<step> make_hand_over_step(change& in, const std::string& store, bool leaves) {
  return std::make_unique<hand_over_step>(in, store, leaves);
}

std::unique_ptr<step> make_claim_step(change& in, const std::string& tier) {
  return std::make_unique<claim_step>(in, tier);
}

std::unique_ptr<step> make_take_over_step(change& in) {
  return std::make_unique<take_over_step>(in);
}

}  // namespace sluice::daemon
