#include "tiers/journal/journal_store.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

#include "actors/observe/log.hpp"
#include "tiers/journal/journal_channel.hpp"

namespace sluice::journal {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::string when(std::uint64_t unix_seconds) {
  const auto at = static_cast<std::time_t>(unix_seconds);
  std::tm broken{};
  std::array<char, 32> text{};
  ::gmtime_r(&at, &broken);
  return std::string(text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &broken));
}

constexpr std::uint64_t deadline_ns = 30 * ns_per_s;

std::string resolve_hint(const std::string& path) {
  return "; decide with: sluice cache resolve " + path + " --keep or --discard";
}

const char* name_of(state s) {
  switch (s) {
    case state::journaling:
      return "journaling";
    case state::draining:
      return "draining";
    case state::passing:
      return "passing";
  }
  return "unknown";
}

/// What is for nobody to decide: no part of it can be used.
std::string replace_hint(const std::string& path, const std::string& medium) {
  return ": nothing that it held can be used: remove the file, or wipe the first 8 KiB of the device; what the medium "
         "lacks then is given up with: sluice cache resolve --store " +
         medium + " --config FILE --discard (instead of " + path + ")";
}

/// A journal of `wanted` that holds nothing.
superblock empty_journal(const options& wanted, reactor::loop& control_loop) {
  superblock super;
  super.id = control_loop.random() | 1;
  super.journal_bytes = wanted.journal_bytes;
  super.record_blocks = wanted.record_blocks;
  super.tail_sequence = wanted.first_sequence;
  super.tail_life = control_loop.random() | 1;
  super.acknowledged = wanted.first_sequence - 1;
  return super;
}

found_log empty_log(const superblock& super) {
  found_log log;
  log.next_sequence = super.tail_sequence;
  log.last_life = super.tail_life;
  return log;
}

void sign(superblock& super, const options& wanted) {
  super.medium = wanted.medium;
  super.owner = host_name() + ":" + wanted.path;
  super.changed_unix = static_cast<std::uint64_t>(std::time(nullptr));
}

/// Opens one journal, step by step.
class opening {
 public:
  opening(store::store& below, const options& wanted, journal_medium& flash)
      : below_(below), wanted_(wanted), flash_(flash), reader_(flash.control_loop, flash.handle) {}

  result<std::shared_ptr<journal_core>> run() {
    if (!is_layout(wanted_.journal_bytes, wanted_.record_blocks))
      return fail(errc::invalid_argument, "flash.dirty: too small for a journal, or too large");
    auto found_super = reader_.read_superblock();
    if (!found_super)
      return fail(found_super.error().code, "the journal in " + wanted_.path + ": " + found_super.error().message +
                                                replace_hint(wanted_.path, wanted_.medium));
    if (*found_super) {
      super_ = **found_super;
      auto walked = reader_.walk(super_);
      if (!walked) return refuse(walked.error().code, walked.error().message);
      log_ = std::move(*walked);
      if (log_.damaged_from != 0)
        return refuse(errc::corrupt, "acknowledged data are missing: record " + std::to_string(log_.damaged_from) +
                                         " and what follows cannot be used");
      if (auto same = check_layout(); !same) return tl::unexpected(same.error());
    }
    if (super_.id == 0) format();
    if (auto owned = check_owner(); !owned) return tl::unexpected(owned.error());
    sign(super_, wanted_);
    super_.life = flash_.control_loop.random() | 1;
    super_.claimed = false;
    super_.acknowledged = log_.next_sequence - 1;
    if (auto done = reader_.write_superblock(super_); !done)
      return fail(done.error().code, "flash.path: " + wanted_.path + ": " + done.error().message);
    return std::make_shared<journal_core>(wanted_, flash_, super_, log_, super_.life, below_.describe().size_bytes);
  }

 private:
  bool is_dirty() const { return !log_.records.empty() || !super_.lost.empty(); }

  tl::unexpected<error> refuse(errc code, const std::string& why) const {
    return fail(code, "the journal in " + wanted_.path + ": " + why + resolve_hint(wanted_.path));
  }

  void format() {
    super_ = empty_journal(wanted_, flash_.control_loop);
    log_ = empty_log(super_);
  }

  result<void> check_layout() {
    before_ = super_;
    if (super_.journal_bytes == wanted_.journal_bytes && super_.record_blocks == wanted_.record_blocks) return {};
    if (is_dirty())
      return fail(errc::busy, "flash.dirty: the journal in " + wanted_.path + " has " +
                                  std::to_string(super_.journal_bytes) +
                                  " octets and holds data that are not below yet: its size cannot change");
    super_.id = 0;
    return {};
  }

  /// Whether the medium is as the journal last left it. Each start raises the epoch, on flash first: the medium may
  /// lag behind a start that was cut off before it wrote anything under the new one.
  bool is_known_to(const store::ownership& ownership) const {
    const auto is_new = [&](const record_info& each) { return each.life == before_.life; };
    if (ownership.epoch == before_.epoch) return true;
    return ownership.epoch + 1 == before_.epoch && !before_.claimed && before_.life != 0 &&
           std::none_of(log_.records.begin(), log_.records.end(), is_new);
  }

  /// What the journal holds must belong to this medium, and what the medium lacks must be in this journal. The medium's
  /// mark (holder, epoch) beside the flash:
  ///
  ///   holder        log       known   outcome
  ///   another one   any       any     refused: the data are there
  ///   none          empty     any     used: a new beginning
  ///   none          dirty     any     refused, unless the operator said so: the medium was used without it
  ///   this one      any       yes     used: it goes on
  ///   this one      any       no      refused: one of the two is an older copy
  result<void> check_owner() {
    auto ownership = below_.read_ownership();
    if (!ownership && ownership.error().code != errc::unsupported) return tl::unexpected(ownership.error());
    const bool adopted = std::exchange(super_.adopted, false);
    const std::string whose = super_.medium + " (" + super_.owner + ", " + when(super_.changed_unix) + ")";
    if (!ownership) {
      if (is_dirty() && !adopted && super_.medium != wanted_.medium)
        return refuse(errc::busy, "it holds data of the store " + whose + ", not of " + wanted_.medium);
      return {};
    }
    if (!ownership->holder.empty() && !same_holder(ownership->holder, holder_name(before_)))
      return fail(errc::busy, "over: the medium lacks data that are in " + ownership->holder +
                                  ": open it through that" + give_up_hint());
    const bool known = adopted || is_known_to(*ownership);
    if (is_dirty() && (!known || (ownership->holder.empty() && !adopted)))
      return fail(errc::busy,
                  "the journal in " + wanted_.path + ": it holds data of " + whose +
                      ", but the medium does not wait for them: it is another one, or was used since, or this is an "
                      "older copy of the journal; give them up with: sluice cache resolve " +
                      wanted_.path + " --discard (--keep would put them over what the medium got since)");
    // A process that was killed may have left the medium to a journal that held nothing.
    if (!ownership->holder.empty() && !known)
      return fail(errc::busy, "over: the medium lacks data that " + ownership->holder +
                                  " had and has no more: the medium, or the journal, is an older copy; replace it" +
                                  give_up_hint());
    super_.epoch = ownership->epoch + 1;
    return {};
  }

  std::string give_up_hint() const {
    return ", or give them up with: sluice cache resolve --store " + wanted_.medium + " --config FILE --discard";
  }

  store::store& below_;
  const options& wanted_;
  journal_medium& flash_;
  log_reader reader_;
  superblock super_;
  found_log log_;
  superblock before_;  // as it was found
};

}  // namespace

result<void> check_use(reactor::loop& control_loop, reactor::handle opened, const std::string& path,
                       std::uint64_t journal_bytes) {
  log_reader reader(control_loop, opened);
  const auto super = reader.read_superblock();
  if (!super)
    return fail(super.error().code, "flash.path: " + path + ": " + super.error().message + replace_hint(path, "NAME"));
  if (!*super) return {};
  const auto info = control_loop.info(opened);
  if (!info) return tl::unexpected(info.error());
  const bool is_short = info->size_bytes < (*super)->journal_bytes;
  if (!is_short && (*super)->journal_bytes == journal_bytes) return {};
  const auto log = reader.walk(**super);
  if (log && log->damaged_from == 0 && log->records.empty() && (*super)->lost.empty()) return {};
  if (is_short)
    return fail(errc::busy, "flash.path: " + path + " was cut short: it has " + std::to_string(info->size_bytes) +
                                " octets, and its journal for " + (*super)->medium + " takes " +
                                std::to_string((*super)->journal_bytes) + resolve_hint(path));
  return fail(errc::busy, "flash.path: " + path + " has a journal of " + std::to_string((*super)->journal_bytes) +
                              " octets that holds data of " + (*super)->medium +
                              ": open it with mode = \"write-back\" and flash.dirty of this size" + resolve_hint(path));
}

result<void> check_no_data(reactor::loop& control_loop, reactor::handle opened, const std::string& path) {
  log_reader reader(control_loop, opened);
  const auto super = reader.read_superblock();
  if (!super || !*super || !(*super)->owner.starts_with(host_name() + ":")) return {};
  const auto log = reader.walk(**super);
  if (log && log->damaged_from == 0 && log->records.empty() && (*super)->lost.empty()) return {};
  return fail(errc::busy, path + " is the flash of a write-back cache and holds data of the store " + (*super)->medium +
                              ": use it through that cache" + resolve_hint(path));
}

std::string holder_name(const superblock& super) {
  std::array<char, 40> id{};
  std::snprintf(id.data(), id.size(), "journal %016llx", static_cast<unsigned long long>(super.id));
  return std::string(id.data()) + " at " + super.owner;
}

bool same_holder(const std::string& one, const std::string& other) {
  constexpr std::size_t length = sizeof("journal 0123456789abcdef") - 1;
  return one.size() >= length && one.compare(0, length, other, 0, length) == 0;
}

result<std::shared_ptr<journal_store>> journal_store::open(std::shared_ptr<store> below, options wanted,
                                                           journal_medium flash) {
  auto core = opening(*below, wanted, flash).run();
  if (!core) return tl::unexpected(core.error());
  // What was written to the store below before this start may have been left to a flush that has not come yet. Not when
  // the log holds something: before that was written, there was a flush.
  (*core)->below_is_flushed =
      !below->describe().volatile_cache || (*core)->wanted.is_volatile || !(*core)->records.empty();
  return std::make_shared<journal_store>(std::move(below), std::move(*core));
}

std::shared_ptr<journal_store> journal_store::begin_anew(std::shared_ptr<store> below, options wanted,
                                                         journal_medium flash) {
  superblock super = empty_journal(wanted, flash.control_loop);
  sign(super, wanted);
  const auto ownership = below->read_ownership();
  if (ownership) super.epoch = ownership->epoch + 1;
  super.life = flash.control_loop.random() | 1;
  auto core = std::make_shared<journal_core>(std::move(wanted), std::move(flash), super, empty_log(super), super.life,
                                             below->describe().size_bytes);
  core->others_below = 1;
  if (!ownership && ownership.error().code != errc::unsupported)
    core->fail_flash("the medium does not tell whom it lacks data of: " + ownership.error().message);
  return std::make_shared<journal_store>(std::move(below), std::move(core), false);
}

journal_store::journal_store(std::shared_ptr<store> below, std::shared_ptr<journal_core> core, bool is_formatted)
    : below_(std::move(below)),
      core_(std::move(core)),
      marks_(below_, core_->super.epoch,
             core_->wanted.offload ? core_->wanted.offload : reactor::offload_of(core_->flash.control_loop)),
      owner_(std::make_shared<journal_owner>(core_, below_, marks_)),
      is_formatted_(is_formatted) {
  below_->on_change([held = std::weak_ptr(core_), under = std::weak_ptr(below_)] {
    const auto shared = held.lock();
    const auto medium = under.lock();
    if (shared && medium) shared->store_bytes = medium->describe().size_bytes;
  });
}

journal_store::~journal_store() {
  // An orderly end: a medium that lacks nothing needs no journal; else the flash says up to which record it has all.
  if (core_->index.empty() && !core_->any_lost() && !core_->stale()) {
    static_cast<void>(clear_ownership());
  } else if (is_formatted_ && !core_->flash_failed() && !core_->wanted.is_volatile) {
    static_cast<void>(sign_flash());
  }
}

store::properties journal_store::describe() const {
  sluice::store::properties p = below_->describe();
  // A store that always answers may refuse what the journal brings it: then the journal lets writes wait.
  if (p.deadline_ns == 0) p.deadline_ns = deadline_ns;
  p.volatile_cache =
      core_->wanted.is_volatile || (p.volatile_cache && core_->wanted.was_volatile && !core_->below_is_flushed);
  p.failures += core_->flash_failed() ? 1 : 0;
  p.losses += core_->losses();
  return p;
}

std::string journal_store::health() const {
  const std::string below = below_->health();
  const std::string own = core_->health();
  if (own == "good") return below;
  return below == "good" ? own : below + "; " + own;
}

std::unique_ptr<sluice::store::channel> journal_store::attach(reactor::loop& loop) {
  return std::make_unique<journal_channel>(core_, owner_, below_->attach(loop), loop);
}

result<void> journal_store::resize(std::uint64_t size_bytes) {
  if (size_bytes < below_->describe().size_bytes)
    return fail(errc::unsupported, "a store with a journal cannot shrink: take the journal away first");
  return below_->resize(size_bytes);
}

std::string journal_store::holder() const {
  return holder_name(core_->super);
}

/// From now on the medium may lack data: it says so first.
void journal_store::take_over() {
  if (core_->others_write_below()) ++core_->others_below;
  if (!is_formatted_ && !core_->flash_failed()) format();
  if (core_->flash_failed()) return;
  // What memory holds is lost with it: then the medium lacks nothing that anybody could bring.
  if (core_->wanted.is_volatile) return owner_->want_passing(false);
  const auto done = marks_.claim(holder(), [this] {
    core_->set_claimed();
    owner_->want_passing(false);
  });
  core_->set_unmarked(!done);
  if (done) return;
  SLUICE_LOG(error, "journal", "the medium cannot be marked: nothing is held back from it",
             {"path", core_->wanted.path}, {"why", done.error().message});
}

void journal_store::hand_over() {
  if (!core_->others_write_below()) ++core_->others_below;
  core_->below_is_flushed = false;
}

/// The owner does not look at the superblock before it journals.
void journal_store::format() {
  is_formatted_ = true;
  log_reader writer(core_->flash.control_loop, core_->flash.handle);
  if (auto done = writer.write_superblock(core_->super); !done)
    core_->fail_flash("the superblock cannot be written: " + done.error().message);
}

result<void> journal_store::handed_over() {
  if (core_->any_lost())
    return fail(errc::io, std::to_string(core_->lost_blocks()) +
                              " written blocks of 4 KiB are lost, which nobody would be told of any more: write them "
                              "anew, or give them up with: sluice cache resolve --store NAME --discard");
  if (owner_->is_passing() && clear_ownership()) return {};
  if (!owner_->has_users() && !core_->index.empty())
    return fail(errc::unsupported,
                "it holds data that nobody brings below as long as no unit uses it: give it a unit first");
  return fail(errc::busy, "it holds data that the store below does not take (" + health() + ")");
}

result<std::uint64_t> journal_store::give_up_lost() {
  return core_->forget_lost() * block_bytes;
}

/// With the owner passing, or gone. Flash that failed need not take what it is told: at the worst it is refused later.
bool journal_store::clear_ownership() {
  if (core_->has_regained() && !sign_flash() && !core_->flash_failed()) return false;
  return core_->wanted.is_volatile || marks_.clear();
}

bool journal_store::sign_flash() {
  core_->sign_superblock();
  return log_reader(core_->flash.control_loop, core_->flash.handle).write_superblock(core_->super).has_value();
}

std::uint64_t journal_store::undestaged_bytes(std::uint64_t ownership) const {
  return owner_->is_destaged(ownership) ? 0 : std::max<std::uint64_t>(core_->index.blocks(), 1) * block_bytes;
}

std::vector<sluice::store::figure> journal_store::figures() const {
  const journal_figures& f = core_->figures;
  const auto microseconds = [](std::uint64_t ns) { return static_cast<double>(ns) / 1e3; };
  return {{"journal_state", std::string(name_of(core_->now))},
          {"journal_is_volatile", core_->wanted.is_volatile},
          {"journal_bytes", std::uint64_t{core_->slots} * block_bytes},
          {"journal_used_bytes", f.log_used_blocks.load() * block_bytes},
          {"journal_overhead_bytes", core_->index.memory_bytes()},
          sluice::store::counter("journal_written_bytes", f.written_bytes.load()),
          sluice::store::counter("journal_records", f.records.load()),
          {"journal_write_p50_us", microseconds(f.write.quantile_ns(0.5))},
          {"journal_write_p99_us", microseconds(f.write.quantile_ns(0.99))},
          {"dirty_bytes", core_->index.blocks() * block_bytes},
          {"lost_blocks", core_->lost_blocks()},
          sluice::store::counter("destaged_bytes", f.destaged_bytes.load()),
          {"destage_bytes_per_s", f.destage_bytes_per_s.load()},
          sluice::store::counter("epochs", f.epochs.load()),
          sluice::store::counter("throttled_records", f.throttled_records.load()),
          sluice::store::counter("below_errors", f.below_errors.load())};
}

}  // namespace sluice::journal
