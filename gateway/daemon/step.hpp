#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/schema/plan.hpp"
#include "gateway/daemon/running.hpp"

namespace sluice::daemon {

/// An apply: what is wanted, what its steps have made and not yet put to use, and what they leave to be ended. What
/// steps share lies here, so that a step knows no other step.
struct change {
  change(running& now_, std::shared_ptr<const config::model> wanted_)
      : now(now_), before(now_.seen()), wanted(std::move(wanted_)), next(*before) {
    next.runs = true;
    next.model = wanted;
  }

  running& now;
  std::shared_ptr<const running_snapshot> before;  // until all is in force
  const std::shared_ptr<const config::model> wanted;
  running_snapshot next;  // commits put into it what prepare() made; shown when all have

  std::map<std::string, std::shared_ptr<store::store>> stores;  // new, or in the place of one that runs
  std::map<std::string, std::shared_ptr<running_unit>> units;   // likewise
  std::vector<std::shared_ptr<const running_port>> ports;       // new
  std::shared_ptr<access::directory> directory;                 // null: as before

  std::set<std::string> opening, handing_over;        // stores: opened (anew), and that let go of what they hold
  std::set<std::string> concerned;                    // units to look at again
  std::set<std::string> emptied;                      // stores that must hold nothing back to change
  std::vector<std::shared_ptr<store::store>> voided;  // leave; pass on what comes, keep nothing
  std::vector<std::shared_ptr<running_unit>> leaving, replaced;  // to be stopped after commits
  std::vector<std::shared_ptr<running_unit>> unused;             // likewise, when undone
  std::vector<std::shared_ptr<running_unit>>
      frozen;  // go on when it is undone, after those that were to take their place

  /// The store of that name as it will be.
  const std::shared_ptr<store::store>& medium(const std::string& name) const {
    const auto fresh = stores.find(name);
    return fresh != stores.end() ? fresh->second : before->stores.at(name);
  }
  /// The units, as they will be, that use a store, themselves or through others.
  const std::vector<const config::unit_config*>& users_of(const std::string& store);
  const std::shared_ptr<running_unit>& unit(const std::string& name) const {
    const auto fresh = units.find(name);
    return fresh != units.end() ? fresh->second : before->units.at(name);
  }

 private:
  std::map<std::string, std::vector<const config::unit_config*>> users_;  // by store, once somebody has asked
};

/// One step from what runs to what is wanted. Control thread. Of the four, either check() alone is called, or
/// prepare(), and then commit() and finish(), or undo().
class step {
 public:
  explicit step(change& in, config::step told = {}) : in_(in), told_(std::move(told)) {}
  virtual ~step() = default;
  step(const step&) = delete;
  step& operator=(const step&) = delete;

  /// For people; without text it is a part of others, and nobody's concern.
  const config::step& told() const { return told_; }
  /// What prepare() may meet and nobody can know before; of check().
  const std::vector<config::warning>& doubts() const { return doubts_; }

  /// Whether prepare() would do, as far as that can be known without doing it, and how many sessions the step ends.
  virtual result<void> check() { return {}; }
  /// All that may fail, and nothing that an initiator could see. Leaves nothing behind when it fails. May block.
  virtual result<void> prepare() { return {}; }
  /// Takes back what prepare() did.
  virtual void undo() {}
  /// Puts it in force.
  virtual void commit() {}
  /// Ends what nobody uses any more; after all commits, the last step first. May block.
  virtual void finish() {}

 protected:
  void doubt(std::string key, std::string sentence) {
    doubts_.push_back({std::move(key), "cannot be known before: " + std::move(sentence)});
  }

  change& in_;
  config::step told_;
  std::vector<config::warning> doubts_;
};

using steps = std::vector<std::unique_ptr<step>>;

/// How steps are carried out.
struct driving {
  /// Looked at between two steps: true ends the preparation, all is undone.
  std::function<bool()> interrupted = {};
  /// Which step comes next, for people who wait.
  std::function<void(const std::string& text)> tell = {};
  /// Asked when all are prepared: whether to go on. An error undoes them; it may wait for others who have a say.
  std::function<result<void>()> agree = {};
  /// For tests: fails in the place of the step of that number; at their count, after all of them.
  std::optional<std::size_t> trip = {};
};

/// Prepares each step in turn. When one cannot be, or it is not agreed to, those before it are undone, the last first,
/// and all is as it was.
result<void> prepare(const steps& all, const driving& how);
/// Puts all in force, then ends what was left over. Cannot fail.
void commit(const steps& all);

}  // namespace sluice::daemon
