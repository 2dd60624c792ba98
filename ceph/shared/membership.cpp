#include "ceph/shared/membership.hpp"

#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::shared {
namespace {

constexpr const char* numbers_key = "numbers";  // how many were given out
constexpr const char* joins_key = "joins";      // how many lives have begun
constexpr const char* number_prefix = "number/";
constexpr const char* member_prefix = "member/";
constexpr const char* drained_prefix = "drained/";  // there while a gateway is; it outlives the gateway's record

std::string object_name(const membership_options& of) {
  return of.name + ".cluster";
}

std::uint64_t draw_life() {
  std::random_device source;
  std::uint64_t life = 0;
  while (life == 0) life = static_cast<std::uint64_t>(source()) << 32 | source();
  return life;
}

tl::unexpected<error> unreachable(const membership_options& of, int outcome) {
  const errc code = outcome == -ETIMEDOUT ? errc::timeout : errc::io;
  return fail(code, "the cluster's object \"" + object_name(of) + "\" in the pool \"" + of.pool +
                        "\" cannot be used: " + cluster::text_of(outcome));
}

bool is_member_key(const std::string& key) {
  return key.starts_with(member_prefix);
}

std::uint64_t ns_of(std::chrono::nanoseconds duration) {
  return static_cast<std::uint64_t>(duration.count());
}

}  // namespace

membership::membership(std::shared_ptr<cluster::connections> all, membership_options wanted)
    : connections_(std::move(all)), options_(std::move(wanted)) {}

std::string membership::key() const {
  return member_prefix + options_.gateway;
}

result<std::shared_ptr<membership>> membership::join(std::shared_ptr<cluster::connections> all,
                                                     membership_options wanted) {
  wanted.ceph.failover_group = "the cluster's own";  // shared with no store
  std::shared_ptr<membership> made(new membership(std::move(all), std::move(wanted)));
  if (auto begun = made->begin(); !begun) return tl::unexpected(begun.error());
  made->connections_->before_use([self = made.get()](const cluster::connection& also) -> result<void> {
    if (also.to() == self->options_.ceph) return {};  // begin() notes it itself
    return self->announce(also);
  });
  made->thread_ = std::thread([self = made.get()] { self->work(); });
  return made;
}

membership::~membership() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(guard_);
      ends_ = true;
    }
    stirred_.notify_one();
    thread_.join();
  }
  connections_->before_use({});
  term_->end();
  if (!stay_) return;
  const std::lock_guard lock(renewing_);
  object_change leaving;
  leaving.expects[key()] = written_;
  leaving.removes.push_back(key());
  shared_object(stay_->pool, object_name(options_)).change_now(leaving, std::chrono::seconds(2));
}

// -- a life begins --------------------------------------------------------------------------------------------------

/// Over another connection each time: one over which it failed may be fenced, or be that of a record which was written
/// though nobody answered, and which is to be fenced.
result<void> membership::begin() {
  const auto connected = connections_->get(options_.ceph);
  if (!connected) return tl::unexpected(connected.error());
  auto begun = begin_over(*connected);
  if (!begun) (*connected)->condemn();
  return begun;
}

/// Makes the object where there is none, ends a former life of this name, and writes the record of a new one.
result<void> membership::begin_over(const std::shared_ptr<cluster::connection>& connected) {
  auto in = cluster::pool::open(connected, options_.pool, {});
  if (!in) return tl::unexpected(in.error());
  const shared_object table(*in, object_name(options_));
  if (const int made = table.change_now({true, {}, {{numbers_key, "0"}, {joins_key, "0"}}, {}});
      made < 0 && made != -EEXIST)
    return unreachable(options_, made);
  auto number = number_of(table);
  if (!number) return tl::unexpected(number.error());
  for (;;) {
    const auto [outcome, now] = table.read_now();
    if (outcome < 0) return unreachable(options_, outcome);
    const auto former = now.find(key());
    if (former != now.end())
      if (auto ended = end_former(table, *connected, former->second); !ended) return ended;
    const std::lock_guard lock(renewing_);
    record_ = {*number, draw_life(), 0, false, {connected->addresses()}, options_.link, {}};
    if (!options_.link.empty()) record_.link_secret = options_.draw_link_secret();
    const std::uint64_t sent_ns = state::lease::now_ns();
    object_change enter;
    // Two that begin at once under one name: the one that comes second sees the other's record.
    const auto joins = now.find(joins_key);
    if (joins == now.end()) return fail(errc::corrupt, "the object \"" + table.name() + "\" is damaged");
    enter.expects[joins_key] = joins->second;
    enter.sets[joins_key] = std::to_string(std::strtoull(joins->second.c_str(), nullptr, 10) + 1);
    if (former != now.end()) enter.expects[key()] = former->second;
    written_ = text_of(record_);
    enter.sets[key()] = written_;
    const int entered = table.change_now(enter);
    if (entered == -ECANCELED) continue;
    if (entered < 0) return unreachable(options_, entered);
    id_ = *number;
    connection_ = connected;
    watched_.clear();
    {
      const std::lock_guard hold(guard_);
      stay_ = std::make_shared<const stay>(stay{id_, record_.life, *in});
    }
    term_->hold_until(sent_ns + ns_of(options_.lease));
    SLUICE_LOG(info, "cluster", "joined", {"cluster", options_.name}, {"gateway", options_.gateway}, {"id", id_});
    return {};
  }
}

/// The number that goes with the name for good.
result<gateway_id> membership::number_of(const shared_object& table) {
  constexpr unsigned tries = 100;
  for (unsigned i = 0; i < tries; ++i) {
    const auto [outcome, now] = table.read_now();
    if (outcome < 0) return unreachable(options_, outcome);
    const std::string mine = number_prefix + options_.gateway;
    const auto text = now.contains(mine) ? now.at(mine) : now.contains(numbers_key) ? now.at(numbers_key) : "";
    const unsigned long count = std::strtoul(text.c_str(), nullptr, 10);
    if (text.empty() || count > UINT16_MAX - 1UL || std::to_string(count) != text)
      return fail(errc::corrupt, "the numbers of gateways in the object \"" + table.name() + "\" are damaged");
    if (now.contains(mine)) return static_cast<gateway_id>(count);
    const std::string next = std::to_string(count + 1);
    if (table.change_now({false, {{numbers_key, text}}, {{numbers_key, next}, {mine, next}}, {}}) == 0)
      return static_cast<gateway_id>(count + 1);
  }
  return fail(errc::timeout, "the object \"" + table.name() + "\" gives out no number");
}

/// When this returns well, nothing of the former life will ever be done.
result<void> membership::end_former(const shared_object& table, const cluster::connection& by,
                                    const std::string& former) {
  auto record = parse_member(former);
  if (!record) return tl::unexpected(record.error());
  if (!record->gone) {
    // Nobody else may count on it any more before its lease has run out: then it may be fenced by itself.
    const std::uint64_t until_ns = state::lease::now_ns() + ns_of(options_.lease + options_.grace);
    while (state::lease::now_ns() < until_ns) {
      std::this_thread::sleep_for(options_.renewal);
      const auto [outcome, now] = table.read_now();
      if (outcome < 0) return unreachable(options_, outcome);
      const auto found = now.find(key());
      if (found == now.end()) return {};
      if (found->second == former) continue;
      if (const auto newer = parse_member(found->second); newer && newer->gone) break;
      return fail(errc::busy, "the gateway \"" + options_.gateway +
                                  "\" is in the cluster already, and alive: each needs a name of its own "
                                  "([gateway] name)");
    }
  }
  if (!fence(record->addresses, by))
    return fail(errc::io, "the former life of this gateway cannot be fenced: " + options_.ceph.client() +
                              " needs the capability to blocklist (mon 'profile rbd')");
  return {};
}

// -- and goes on ----------------------------------------------------------------------------------------------------

void membership::work() {
  std::unique_lock lock(guard_);
  while (!ends_) {
    lock.unlock();
    const bool well = turn();
    lock.lock();
    if (ends_) break;
    if (questions_.empty() || !well) stirred_.wait_for(lock, options_.renewal);
  }
}

/// Whether the cluster answered.
bool membership::turn() {
  if (now()) {
    renew();
    if (now()) return look();
  }
  const auto begun = begin();
  if (begun) {
    tell_stay();
    return true;
  }
  SLUICE_LOG(warning, "cluster", "cannot join again", {"cluster", options_.name}, {"why", begun.error().message});
  return false;
}

/// The outcome of the write; the record as it lies in the object is known afterwards, unless the cluster did not
/// answer.
int membership::write_record(const shared_object& table, member_record next) {
  const std::string text = text_of(next);
  const int outcome = table.change_now({false, {{key(), written_}}, {{key(), text}}, {}}, options_.lease);
  if (outcome == 0) {
    record_ = std::move(next);
    written_ = text;
  }
  return outcome;
}

/// Not while the record is locked: who opens a connection, and so holds up whoever looks at the open ones, waits for
/// it.
void membership::renew() {
  if (const std::string why = try_to_renew(); !why.empty()) lose(why);
}

/// Why this gateway is no member any more; empty: it is, or nobody knows.
std::string membership::try_to_renew() {
  const auto in = now();
  const shared_object table(in->pool, object_name(options_));
  const std::lock_guard lock(renewing_);
  member_record next = record_;
  ++next.renewed;
  const std::uint64_t sent_ns = state::lease::now_ns();
  const int outcome = write_record(table, next);
  if (outcome == 0) {
    term_->hold_until(sent_ns + ns_of(options_.lease));
    return {};
  }
  if (outcome == -ESHUTDOWN) return "the cluster has fenced this gateway";
  if (outcome != -ECANCELED) {
    SLUICE_LOG(warning, "cluster", "cannot renew", {"cluster", options_.name}, {"why", cluster::text_of(outcome)});
    return {};
  }
  // An earlier renewal that nobody answered was made all the same; or somebody has marked this gateway.
  const auto [read, all] = table.read_now(options_.lease);
  if (read < 0) return {};
  const auto found = all.find(key());
  const auto seen = found == all.end() ? fail(errc::not_found, "no record") : parse_member(found->second);
  if (!seen || seen->gone || seen->life != record_.life) return "another gateway has declared this one gone";
  record_ = *seen;
  written_ = found->second;
  return {};
}

void membership::lose(const std::string& why) {
  SLUICE_LOG(error, "cluster", "this gateway is no member any more: it ends what it was doing, and joins again",
             {"cluster", options_.name}, {"why", why});
  term_->end();
  // Others fence all that this life has noted, whether or not they have come to it yet.
  for (const auto& each : connections_->open_ones()) each->condemn();
  {
    const std::lock_guard lock(guard_);
    stay_.reset();
  }
  tell_stay();
}

void membership::tell_stay() {
  const auto in = now();
  const std::lock_guard lock(listening_);
  for (listener* each : listeners_) each->on_stay(in);
}

// -- the others -----------------------------------------------------------------------------------------------------

bool membership::look() {
  std::vector<std::function<void(const lives&)>> questions;
  {
    const std::lock_guard lock(guard_);
    questions.swap(questions_);
  }
  const auto in = now();
  const auto [outcome, table] = shared_object(in->pool, object_name(options_)).read_now(options_.lease);
  if (outcome == -ESHUTDOWN) lose("the cluster has fenced this gateway");
  if (outcome < 0) {
    const std::lock_guard lock(guard_);
    questions_.insert(questions_.begin(), questions.begin(), questions.end());
    return false;
  }
  mark_those_that_are_silent(table);
  fence_those_that_are_gone(table);
  lives seen;
  std::vector<member> all;
  std::unique_lock lock(guard_);
  for (const auto& [name, text] : table) {
    const auto record = is_member_key(name) ? parse_member(text) : fail(errc::not_found, "no member");
    if (!record) continue;
    std::string gateway = name.substr(std::string(member_prefix).size());
    const bool drained = table.contains(drained_prefix + gateway);
    all.push_back({std::move(gateway), *record, drained});
    if (!record->gone || !fenced_.contains(record->life)) seen.insert(record->life);
  }
  members_ = std::move(all);
  lock.unlock();
  const bool ended = !std::includes(seen.begin(), seen.end(), alive_.begin(), alive_.end());
  alive_ = std::move(seen);
  for (const auto& tell : questions) tell(alive_);
  if (!ended) return true;
  const std::lock_guard listening(listening_);
  for (listener* each : listeners_) each->on_ended();
  return true;
}

/// Who was not renewed since we first saw its record as it is, for longer than the lease that the renewal was good for,
/// answers nobody any more, and does not renew itself once the mark is there.
void membership::mark_those_that_are_silent(const omap& table) {
  const std::uint64_t now_ns = state::lease::now_ns();
  const auto in = now();
  for (const auto& [name, text] : table) {
    if (!is_member_key(name) || name == key()) continue;
    watched& seen = watched_[name];
    if (seen.text != text) seen = {text, now_ns};
    auto record = parse_member(text);
    if (!record || record->gone || now_ns - seen.since_ns < ns_of(options_.lease + options_.grace)) continue;
    record->gone = true;
    const shared_object of(in->pool, object_name(options_));
    if (of.change_now({false, {{name, text}}, {{name, text_of(*record)}}, {}}, options_.lease) != 0) continue;
    SLUICE_LOG(error, "cluster", "a gateway is gone: it has not renewed its membership",
               {"gateway", name.substr(std::string(member_prefix).size())}, {"cluster", options_.name});
    const std::lock_guard lock(guard_);
    look_soon();  // at the mark
  }
  std::erase_if(watched_, [&](const auto& each) { return !table.contains(each.first); });
}

void membership::fence_those_that_are_gone(const omap& table) {
  std::set<std::uint64_t> marked;
  for (const auto& [name, text] : table) {
    const auto record = is_member_key(name) && name != key() ? parse_member(text) : fail(errc::not_found, "no other");
    if (!record || !record->gone) continue;
    marked.insert(record->life);
    const std::lock_guard lock(guard_);
    if (!fenced_.contains(record->life) && fencing_.insert(record->life).second)
      fence_soon(name.substr(std::string(member_prefix).size()), *record);
  }
  const std::lock_guard lock(guard_);
  std::erase_if(fenced_, [&](std::uint64_t life) { return !marked.contains(life); });
}

void membership::fence_soon(const std::string& gateway, const member_record& gone) {
  fencer_.run([self = weak_from_this(), by = connection_, gateway, gone] {
    const bool done = fence(gone.addresses, *by);
    const auto here = self.lock();
    if (!here) return;
    if (!done)
      SLUICE_LOG(error, "cluster", "a gateway that is gone cannot be fenced: what it held stays held",
                 {"gateway", gateway});
    const std::lock_guard lock(here->guard_);
    here->fencing_.erase(gone.life);
    if (!done) return;  // the next look tries again
    here->fenced_.insert(gone.life);
    here->look_soon();
  });
}

/// With the guard held.
void membership::look_soon() {
  questions_.push_back([](const lives&) {});
  stirred_.notify_one();
}

/// When this is true, nothing that those connections sent will be done after anything that is asked from here on.
bool membership::fence(const std::vector<std::string>& addresses, const cluster::connection& by) {
  // What a machine that was suspended still has to send must meet the fence when it wakes.
  constexpr std::chrono::seconds lasting = std::chrono::days(7);
  for (std::string address : addresses)
    if (rados_blocklist_add(by.handle(), address.data(), static_cast<std::uint32_t>(lasting.count())) < 0) return false;
  return rados_wait_for_latest_osdmap(by.handle()) == 0;
}

// -- any thread -----------------------------------------------------------------------------------------------------

std::shared_ptr<const membership::stay> membership::now() const {
  const std::lock_guard lock(guard_);
  return stay_;
}

void membership::add(listener& who) {
  const std::lock_guard lock(listening_);
  listeners_.push_back(&who);
}

void membership::remove(listener& who) {
  const std::lock_guard lock(listening_);
  std::erase(listeners_, &who);
}

void membership::ask(std::function<void(const lives&)> tell) {
  {
    const std::lock_guard lock(guard_);
    questions_.push_back(std::move(tell));
  }
  stirred_.notify_one();
}

void membership::barrier(std::function<void()> done) {
  fencer_.run([all = connections_->open_ones(), self = weak_from_this(), done = std::move(done)] {
    for (const auto& each : all)
      while (!each->condemned() && rados_wait_for_latest_osdmap(each->handle()) != 0) {
        if (self.expired()) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    done();
  });
}

/// What others have to fence beside the connection that this life began with. Blocks until it is noted, and fails when
/// it cannot be: then nothing may be sent over it.
result<void> membership::announce(const cluster::connection& also) {
  const auto in = now();
  if (!in) return fail(errc::closed, "this gateway is no member of the cluster now");
  const std::lock_guard lock(renewing_);
  member_record next = record_;
  if (std::find(next.addresses.begin(), next.addresses.end(), also.addresses()) != next.addresses.end()) return {};
  next.addresses.push_back(also.addresses());
  if (next.addresses.size() > member_record::max_addresses)
    return fail(errc::no_space, "too many connections to the cluster were fenced or lost: start the gateway anew");
  const int outcome = write_record(shared_object(in->pool, object_name(options_)), next);
  if (outcome < 0) return unreachable(options_, outcome);
  return {};
}

std::vector<membership::member> membership::members() const {
  const std::lock_guard lock(guard_);
  return members_;
}

bool membership::yields_to(const std::vector<gateway_id>& others) const {
  bool is_drained = false, another = false;
  const std::lock_guard lock(guard_);
  for (const member& each : members_) {
    if (each.record.id == id_)
      is_drained = each.drained;
    else if (!each.drained && !each.record.gone)
      another = another || std::find(others.begin(), others.end(), each.record.id) != others.end();
  }
  return is_drained && another;
}

result<std::pair<shared_object, omap>> membership::read_table() const {
  const auto in = now();
  if (!in) return fail(errc::closed, "this gateway is no member of the cluster now");
  shared_object table(in->pool, object_name(options_));
  auto [outcome, all] = table.read_now();
  if (outcome < 0) return unreachable(options_, outcome);
  return std::pair(std::move(table), std::move(all));
}

result<void> membership::drain(const std::string& gateway, bool drained) {
  const auto read = read_table();
  if (!read) return tl::unexpected(read.error());
  const auto& [table, all] = *read;
  const auto number = all.find(number_prefix + gateway);
  if (number == all.end()) return fail(errc::not_found, "no gateway '" + gateway + "' was ever in the cluster");
  object_change change;
  change.expects[number->first] = number->second;
  if (drained)
    change.sets[drained_prefix + gateway] = "1";
  else
    change.removes.push_back(drained_prefix + gateway);
  if (const int changed = table.change_now(change); changed < 0) return unreachable(options_, changed);
  const std::lock_guard lock(guard_);
  look_soon();
  return {};
}

/// What it had under way is fenced by then, by this gateway; others find its life ended, as when a gateway leaves.
result<void> membership::forget(const std::string& gateway) {
  const auto read = read_table();
  if (!read) return tl::unexpected(read.error());
  const auto& [table, all] = *read;
  const auto found = all.find(member_prefix + gateway);
  if (found == all.end()) return fail(errc::not_found, "no gateway '" + gateway + "' is in the cluster's list");
  const auto record = parse_member(found->second);
  if (record && !record->gone)
    return fail(errc::busy, "the gateway '" + gateway + "' is not gone: it leaves the list when it is stopped");
  if (record) {
    const std::lock_guard lock(guard_);
    if (!fenced_.contains(record->life))
      return fail(errc::busy, "the gateway '" + gateway + "' is gone and not fenced yet: try again in some seconds");
  }
  object_change change;
  change.expects[found->first] = found->second;
  change.removes = {found->first, drained_prefix + gateway};
  const int changed = table.change_now(change);
  if (changed == -ECANCELED) return fail(errc::busy, "the gateway '" + gateway + "' has just come back");
  if (changed < 0) return unreachable(options_, changed);
  const std::lock_guard lock(guard_);
  look_soon();
  return {};
}

}  // namespace sluice::shared
