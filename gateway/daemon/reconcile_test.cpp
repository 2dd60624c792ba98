#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <filesystem>
#include <random>

#include "actors/observe/log.hpp"
#include "gateway/daemon/gateway.hpp"
#include "gateway/daemon/machine.hpp"
#include "gateway/daemon/registrations.hpp"
#include "gateway/daemon/test_wire.hpp"

// One gateway on real loops, changed by apply: what a plan says, what an apply does, and what is left when it fails.
namespace sluice::daemon {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

machine_options two_loops() {
  machine_options how;
  how.reactors = 2;
  how.backend = reactor::backend::epoll;
  how.buffer_bytes = 16 * mib;
  return how;
}

class reconcile : public testing::Test {
 protected:
  reconcile() {
    observe::set_log_sink([](std::string_view) {});
    char pattern[] = "/tmp/sluice-reconcile-XXXXXX";
    folder_ = mkdtemp(pattern);
    register_everything(stores_, real_fabrics_);
    fabrics_.add(wire_.fabric());
    machine_ = std::move(*machine::start(two_loops()));
    gateway_ = std::move(*gateway::make({machine_->cores(), *state_, stores_, fabrics_}));
  }
  ~reconcile() override {
    for (const auto& each : sessions_) each->end();
    gateway_->stop();
    gateway_.reset();
    machine_.reset();
    fs::remove_all(folder_);
    observe::set_log_sink(nullptr);
  }

  config::store_config store(const std::string& name, const std::string& type, std::uint64_t size) const {
    config::store_config made;
    made.name = name;
    made.type = type;
    if (size) made.settings.set("size", size);
    if (type == "file") made.settings.set("path", (folder_ / name).string());
    return made;
  }
  static config::store_config cache(const std::string& name, const std::string& over, std::uint64_t ram) {
    config::store_config made;
    made.name = name;
    made.type = "cache";
    made.over = over;
    made.settings.set("over", over);
    made.settings.set("ram", ram);
    return made;
  }
  static config::unit_config unit(const std::string& name, const std::string& over) {
    config::unit_config made;
    made.name = name;
    made.store = over;
    return made;
  }
  static config::port_config port(const std::string& name, std::uint16_t number, std::uint16_t group = 1) {
    config::port_config made;
    made.fabric = "wire";
    made.name = name;
    made.settings.set("listen", std::vector<std::string>{"127.0.0.1:" + std::to_string(number)});
    made.group = group;
    return made;
  }
  static config::access_config access(const std::string& initiator) {
    config::access_config made;
    made.initiator = initiator;
    return made;
  }

  /// What stands before most changes: stores of three kinds, two targets.
  config::model first() const {
    config::model m;
    m.stores = {store("a", "ram", mib), store("b", "file", mib), store("c", "file", mib), cache("c-hot", "c", mib),
                store("d", "ram", mib)};
    m.units = {unit("a", "a"), unit("b", "b"), unit("c", "c-hot"), unit("d", "d")};
    config::target_config one, two;
    one.name = "one";
    one.luns = {{0, "a", {}}, {1, "b", {}}, {2, "c", {}}};
    one.ports = {port("one", 1)};
    two.name = "two";
    two.luns = {{0, "d", {}}};
    two.access = {access("iqn.x"), access("iqn.y")};
    two.ports = {port("two", 2)};
    m.targets = {one, two};
    return m;
  }
  /// A change of every kind against first().
  config::model second() const {
    config::model m = first();
    m.gateway.log_level = config::log_threshold::error;
    m.stores[0].settings.set("size", std::uint64_t{2 * mib});  // resized
    m.stores[1] = store("b", "ram", mib);                      // opened anew, and the unit over it
    m.stores[3].settings.set("ram", std::uint64_t{2 * mib});   // changed
    m.stores[4] = store("e", "file", mib);                     // d goes, e comes
    m.units[2].read_only = true;                               // changed
    m.units[3] = unit("e", "e");                               // d goes, e comes
    m.targets[0].luns = {{0, "a", {}}, {1, "b", {}}, {3, "c", {}}, {4, "e", {}}};
    m.targets[0].ports = {port("one", 5), port("one-more", 3, 2)};  // changed, comes
    m.targets[1].luns = {{0, "e", {}}};                             // another disk
    m.targets[1].access = {access("iqn.x"), access("iqn.z")};
    config::target_config three;
    three.name = "three";
    three.ports = {port("three", 4)};
    m.targets.push_back(three);
    std::sort(m.targets.begin(), m.targets.end(), [](const auto& x, const auto& y) { return x.name < y.name; });
    return m;
  }

  config::plan plan(const config::model& m) { return gateway_->plan(std::make_shared<const config::model>(m)); }
  void must_apply(const config::model& m) {
    const auto done = gateway_->apply(m);
    ASSERT_TRUE(done) << done.error().message;
  }

  /// What runs, by identity: nothing of it may be another one after an apply that failed.
  struct standing {
    config::model model;
    std::vector<const void*> things;
    std::vector<std::uint64_t> sizes;
    std::multiset<std::string> taken;
    std::vector<std::string> open_files;
    bool operator==(const standing&) const = default;
  };
  standing stands() {
    const auto seen = gateway_->seen();
    standing now{*seen->model, {seen->directory.get()}, {}, wire_.taken(), {}};
    for (const auto& [name, each] : seen->stores) {
      now.things.push_back(each.get());
      now.sizes.push_back(each->describe().size_bytes);
    }
    for (const auto& [name, each] : seen->units) {
      now.things.push_back(each.get());
      now.sizes.push_back(each->facts.capacity_blocks);
    }
    for (const auto& each : seen->ports) now.things.push_back(each.get());
    for (const auto& each : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string to = fs::read_symlink(each.path(), gone).string();
      if (to.starts_with(folder_.string())) now.open_files.push_back(to);
    }
    std::sort(now.open_files.begin(), now.open_files.end());
    return now;
  }

  std::shared_ptr<wire::session> log_in(const std::string& to, const std::string& initiator, std::size_t core = 0) {
    auto made = wire_.log_in(to, 1, initiator, core);
    if (made) sessions_.push_back(made);
    return made;
  }

  fs::path folder_;
  store::registry stores_;
  port::registry real_fabrics_, fabrics_;
  wire wire_;
  const std::unique_ptr<state::state_store> state_ = state::make_memory_store();
  std::unique_ptr<machine> machine_;
  std::unique_ptr<gateway> gateway_;
  std::vector<std::shared_ptr<wire::session>> sessions_;
};

TEST_F(reconcile, whichever_step_fails_everything_is_as_it_was) {
  must_apply(first());
  const auto host = log_in("one", "iqn.host");
  const auto other = log_in("two", "iqn.y", 1);
  ASSERT_TRUE(host && other);
  for (std::uint16_t lun = 0; lun < 3; ++lun) {
    host->attentions(lun);
    ASSERT_TRUE(host->write(lun, 1, static_cast<std::uint8_t>(0xa0 + lun)));
  }
  other->attentions(0);
  const standing before = stands();
  std::size_t step = 0;
  for (;; ++step) {
    ASSERT_LT(step, 200U);
    gateway_->trip_at(step);
    const auto done = gateway_->apply(second());
    if (done) break;
    ASSERT_THAT(done.error().message, HasSubstr("tripped at step " + std::to_string(step)));
    ASSERT_EQ(stands(), before) << "step " << step;
    for (std::uint16_t lun = 0; lun < 3; ++lun) {
      ASSERT_THAT(host->attentions(lun), IsEmpty()) << "step " << step << " LUN " << lun;
      ASSERT_TRUE(host->holds(lun, 1, static_cast<std::uint8_t>(0xa0 + lun))) << "step " << step;
      ASSERT_TRUE(host->write(lun, 2, static_cast<std::uint8_t>(step)));
      ASSERT_TRUE(host->holds(lun, 2, static_cast<std::uint8_t>(step)));
    }
    ASSERT_THAT(other->attentions(0), IsEmpty());
    ASSERT_TRUE(host->is_live() && other->is_live());
  }
  EXPECT_GT(step, 20U) << "the change has steps of every kind";
  gateway_->trip_at(std::nullopt);
  EXPECT_TRUE(plan(second()).empty());
  EXPECT_TRUE(host->is_live());
  EXPECT_FALSE(other->is_live()) << "its access table went";
  host->attentions(0);
  EXPECT_TRUE(host->holds(0, 1, 0xa0)) << "a resized store keeps what it holds";
  host->attentions(3);
  EXPECT_TRUE(host->holds(3, 1, 0xa2)) << "and so does one whose cache changed";
}

TEST_F(reconcile, what_is_prepared_is_undone_when_others_do_not_agree) {
  must_apply(first());
  const auto host = log_in("one", "iqn.host");
  ASSERT_TRUE(host);
  host->attentions(0);
  ASSERT_TRUE(host->write(0, 1, 0xa0));
  const standing before = stands();
  std::string told;
  const auto wanted = std::make_shared<const config::model>(second());
  const auto refused = gateway_->apply(wanted, {}, [&](const config::plan& what) -> result<void> {
    told = to_text(what);
    EXPECT_TRUE(host->holds(0, 1, 0xa0)) << "hosts go on meanwhile";
    return fail(errc::busy, "another gateway does not");
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "another gateway does not");
  EXPECT_EQ(stands(), before);
  EXPECT_TRUE(host->holds(0, 1, 0xa0));
  const auto done = gateway_->apply(wanted, {}, [](const config::plan&) { return result<void>{}; });
  ASSERT_TRUE(done);
  EXPECT_EQ(to_text(*done), told) << "what was asked about is what is done";
}

TEST_F(reconcile, the_plan_is_what_the_apply_does_and_says_whom_it_ends) {
  must_apply(first());
  const auto host = log_in("one", "iqn.host");
  const auto other = log_in("two", "iqn.y", 1);
  const config::plan told = plan(second());
  EXPECT_THAT(told.refused, IsEmpty());
  const auto done = gateway_->apply(std::make_shared<const config::model>(second()), {});
  ASSERT_TRUE(done);
  EXPECT_EQ(to_text(told), to_text(*done));
  EXPECT_THAT(to_text(told), HasSubstr("- target two: access of iqn.y (ends 1 session)\n"));
  EXPECT_THAT(to_text(told), HasSubstr("~ target two: LUN 0 = d -> e: another disk behind the same LUN\n"));
  config::model fewer = second();
  fewer.targets[0].ports.erase(fewer.targets[0].ports.begin());
  EXPECT_THAT(to_text(plan(fewer)), HasSubstr("- target one: port wire one on 127.0.0.1:5 (ends 1 session)\n"));
  must_apply(fewer);
  EXPECT_FALSE(host->is_live());
}

TEST_F(reconcile, a_lun_that_comes_is_nobodys_business_but_its_targets) {
  must_apply(first());
  const auto host = log_in("one", "iqn.host");
  const auto other = log_in("two", "iqn.x", 1);
  host->attentions(0);
  other->attentions(0);
  config::model more = first();
  more.stores.push_back(store("f", "ram", mib));
  more.units.push_back(unit("f", "f"));
  more.targets[0].luns.push_back({7, "f", {}});
  must_apply(more);
  EXPECT_THAT(host->attentions(0), ElementsAre(scsi::asc::reported_luns_changed));
  EXPECT_THAT(other->attentions(0), IsEmpty());
}

TEST_F(reconcile, another_disk_behind_a_lun_is_told_to_who_had_the_lun) {
  must_apply(first());
  const auto host = log_in("one", "iqn.host");
  host->attentions(0);
  config::model other = first();
  std::swap(other.targets[0].luns[0].unit, other.targets[0].luns[1].unit);
  must_apply(other);
  EXPECT_THAT(host->attentions(0), testing::Contains(scsi::asc::inquiry_data_changed));
}

TEST_F(reconcile, what_a_command_resized_is_what_a_plan_compares_with) {
  must_apply(first());
  ASSERT_TRUE(gateway_->resize("b", 4 * mib));
  const config::plan again = plan(first());
  EXPECT_TRUE(again.empty());
  ASSERT_EQ(again.warnings.size(), 1U);
  EXPECT_THAT(again.warnings[0].text, HasSubstr("write size = \"4MiB\""));
  must_apply(first());
  EXPECT_EQ(gateway_->seen()->stores.at("b")->describe().size_bytes, 4 * mib) << "only a command cuts a store";
  config::model said = first();
  said.stores[1].settings.set("size", std::uint64_t{4 * mib});
  EXPECT_TRUE(plan(said).empty());
  said.stores[1].settings.set("size", std::uint64_t{3 * mib});
  EXPECT_EQ(plan(said).refused.size(), 1U);
}

TEST_F(reconcile, an_interrupted_apply_is_undone) {
  must_apply(first());
  const standing before = stands();
  gateway_->interrupt();
  const auto refused = gateway_->apply(second());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::closed);
  EXPECT_EQ(stands(), before);
}

/// Any configuration that a file could ask for, media and addresses that cannot be had among it.
class some_model {
 public:
  some_model(std::mt19937_64& chance, const fs::path& folder) : chance_(chance), folder_(folder) {}

  config::model make() {
    for (const char* name : {"a", "b", "c", "d"})
      if (one_in(2)) add_store(name);
    for (const char* name : {"one", "two"})
      if (!one_in(4)) add_target(name);
    m_.gateway.log_level = one_in(2) ? config::log_threshold::info : config::log_threshold::error;
    sort(m_.stores);
    sort(m_.units);
    return std::move(m_);
  }

 private:
  bool one_in(unsigned n) { return chance_() % n == 0; }
  template <class T>
  static void sort(std::vector<T>& all) {
    std::sort(all.begin(), all.end(), [](const T& x, const T& y) { return x.name < y.name; });
  }

  void add_store(const std::string& name) {
    config::store_config made;
    made.name = name;
    made.type = one_in(2) ? "ram" : "file";
    if (made.type == "file") {
      // Some files are another store's, or lie where nothing can be made.
      const std::string file = one_in(6) ? "a" : name;
      const fs::path where = one_in(12) ? folder_ / "nowhere" / file : folder_ / file;
      if (std::any_of(m_.stores.begin(), m_.stores.end(), [&](const config::store_config& each) {
            return each.settings.text("path") && *each.settings.text("path") == where.string();
          }))
        return;
      made.settings.set("path", where.string());
      if (one_in(4)) made.settings.set("direct", true);
    }
    made.settings.set("size", (1 + chance_() % 2) * mib);
    m_.stores.push_back(made);
    std::string top = name;
    if (one_in(3)) {
      config::store_config tier;
      tier.name = top = name + "-hot";
      tier.type = "cache";
      tier.over = name;
      tier.settings.set("over", name);
      tier.settings.set("ram", (1 + chance_() % 2) * mib);
      if (one_in(6)) {
        tier.settings.set("flash.path", (folder_ / "nowhere" / name).string());
        tier.settings.set("flash.size", 64 * mib);
      }
      m_.stores.push_back(tier);
    }
    config::unit_config unit;
    unit.name = one_in(6) ? name + "-unit" : name;
    unit.store = top;
    unit.read_only = one_in(4);
    unit.block_size = one_in(4) ? 4096 : 512;
    m_.units.push_back(unit);
  }

  config::lun_map some_luns() {
    config::lun_map luns;
    for (std::uint16_t lun = 0; lun < 4 && !m_.units.empty(); ++lun)
      if (one_in(2)) luns.push_back({lun, m_.units[chance_() % m_.units.size()].name, {}});
    return luns;
  }

  void add_target(const std::string& name) {
    config::target_config made;
    made.name = name;
    made.luns = some_luns();
    made.open = one_in(4);
    for (const char* initiator : {"iqn.x", "iqn.y"}) {
      if (!one_in(3)) continue;
      config::access_config access;
      access.initiator = initiator;
      if (one_in(2)) access.luns = some_luns();
      made.access.push_back(access);
    }
    for (std::uint16_t number = 0; number < 2; ++number) {
      if (!one_in(2)) continue;
      config::port_config port;
      port.fabric = "wire";
      port.name = name + std::to_string(number);
      port.group = static_cast<std::uint16_t>(1 + chance_() % 2);
      const unsigned at = one_in(12) ? 0 : 1 + static_cast<unsigned>(chance_() % 4);
      port.settings.set("listen", std::vector<std::string>{"127.0.0.1:" + std::to_string(at)});
      made.ports.push_back(port);
    }
    m_.targets.push_back(made);
  }

  std::mt19937_64& chance_;
  const fs::path& folder_;
  config::model m_;
};

TEST_F(reconcile, any_plan_refuses_what_its_apply_refuses_and_an_apply_leaves_no_difference) {
  constexpr int rounds = 300;
  int applied = 0;
  std::mt19937_64 chance(20261128);
  for (int round = 0; round < rounds; ++round) {
    const config::model wanted = some_model(chance, folder_).make();
    const standing before = stands();
    const config::plan told = plan(wanted);
    const bool fails = round % 5 == 4;
    if (fails) gateway_->trip_at(chance() % 12);
    const auto done = gateway_->apply(wanted);
    gateway_->trip_at(std::nullopt);
    if (!fails) {
      ASSERT_EQ(told.refused.empty(), done.has_value()) << "round " << round << ":\n"
                                                        << to_text(told) << (done ? "" : done.error().message);
    }
    if (!done) {
      ASSERT_EQ(stands(), before) << "round " << round << ": " << done.error().message;
      continue;
    }
    ++applied;
    ASSERT_TRUE(plan(wanted).empty()) << "round " << round << ":\n" << to_text(plan(wanted));
    for (const config::target_config& target : wanted.targets) {
      if (target.ports.empty()) continue;
      const auto host = wire_.log_in(target.ports[0].name, target.ports[0].group, "iqn.x", chance() % 2);
      const bool admitted = target.open || target.access.empty() || target.access[0].initiator == "iqn.x";
      ASSERT_EQ(host != nullptr, admitted) << "round " << round;
      if (!host) continue;
      const config::lun_map& luns =
          !target.access.empty() && target.access[0].initiator == "iqn.x" && target.access[0].luns
              ? *target.access[0].luns
              : target.luns;
      for (const config::lun_config& lun : luns) {
        host->attentions(lun.lun);
        const auto ready = host->execute(lun.lun, std::vector<std::uint8_t>(6), {}, 0);
        ASSERT_EQ(ready.status, scsi::status::good) << "round " << round;
      }
      host->end();
    }
  }
  EXPECT_GT(applied, rounds / 4);
}

}  // namespace
}  // namespace sluice::daemon
