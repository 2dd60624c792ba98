#include "ceph/shared/rados_seat.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "actors/observe/log.hpp"
#include "ceph/shared/rados_authority.hpp"
#include "ceph/shared/rados_configuration.hpp"
#include "ceph/shared/rados_events.hpp"

namespace sluice::shared {
namespace {

constexpr const char* content_key = "content";
constexpr const char* seat_prefix = "seat/";
/// How long one who watches may take to obey before it is asked again.
constexpr std::chrono::milliseconds notify_limit{1000};
constexpr std::uint64_t retry_ns = 100 * ns_per_ms;
constexpr std::size_t owed_limit = 256;

std::string object_name(const membership& of, const std::string& name) {
  return of.options().name + "." + name;
}

std::string seat_key(gateway_id of) {
  return seat_prefix + std::to_string(of);
}

template <class Number>
bool parse_number(std::string_view text, Number& into) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc() && end == text.data() + text.size() && !text.empty();
}

error why_not(const std::string& name, int outcome) {
  return {errc::io, "the cluster's record \"" + name + "\" cannot be used: " + cluster::text_of(outcome)};
}

}  // namespace

// -- the authority --------------------------------------------------------------------------------------------------

result<std::unique_ptr<state::seat>> rados_authority::open(const std::string& name, reactor::loop& on) {
  const auto in = membership_->now();
  if (!in) return fail(errc::closed, "this gateway is no member of its cluster now");
  const shared_object of(in->pool, object_name(*membership_, name));
  const int made = of.change_now({true, {}, {{rados_seat::epoch_key, "0"}}, {}});
  if (made < 0 && made != -EEXIST) return tl::unexpected(why_not(name, made));
  return std::unique_ptr<state::seat>(new rados_seat(membership_, name, on));
}

result<std::shared_ptr<state::shared_configuration>> rados_authority::configuration() {
  return rados_configuration::open(membership_);
}

std::shared_ptr<state::cluster_events> rados_authority::events() {
  return std::make_shared<rados_events>(membership_);
}

std::vector<state::cluster_authority::member> rados_authority::members() const {
  std::vector<member> all;
  for (const membership::member& each : membership_->members())
    all.push_back(
        {each.gateway, each.record.id, each.record.gone, each.record.link, each.record.link_secret, each.drained});
  return all;
}

// -- a seat ---------------------------------------------------------------------------------------------------------

rados_seat::rados_seat(std::shared_ptr<membership> of, std::string name, reactor::loop& on)
    : membership_(std::move(of)), name_(std::move(name)), on_(on) {
  way_->loop = &on;
  if (auto in = membership_->now()) {
    object_.emplace(in->pool, object_name(*membership_, name_));
    stay_ = std::move(in);
  }
  membership_->add(*this);
  on_stay(membership_->now());  // it may have changed meanwhile
}

/// A gateway that gives its seat up goes on to live: nobody has to wait for this seat.
rados_seat::~rados_seat() {
  membership_->remove(*this);
  {
    const std::lock_guard hold(way_->guard);
    way_->loop = nullptr;
  }
  if (armed()) on_.disarm(*this);
  if (!tells_ || !object_ || !stay_) return;
  object_change up;
  up.expects[seat_key(gateway_)] = text_of(seat_record{stay_->life, incarnation_});
  up.sets[seat_key(gateway_)] = text_of(seat_record{0, incarnation_});
  object_->change(up, [](int) {});
}

/// What librados' threads do with an answer: bring it to the loop, where it counts if the turn has not changed.
template <class Work>
auto rados_seat::on_loop(Work work) {
  return [self = std::weak_ptr(self_), to = way_, turn = turn_, work](auto... answer) {
    const std::lock_guard hold(to->guard);
    if (to->loop == nullptr) return;
    to->loop->post([self, turn, work, answer...] {
      const auto here = self.lock();
      if (here && (*here)->turn_ == turn) work(**here, answer...);
    });
  };
}

void rados_seat::on_stay(std::shared_ptr<const membership::stay> now) {
  on_.post([self = std::weak_ptr(self_), now = std::move(now)] {
    if (const auto here = self.lock()) now ? (*here)->take_place(now) : (*here)->lose_place();
  });
}

void rados_seat::on_ended() {
  on_.post([self = std::weak_ptr(self_)] {
    if (const auto here = self.lock()) (*here)->look_again();
  });
}

void rados_seat::take_place(std::shared_ptr<const membership::stay> now) {
  if (stay_ && stay_->life == now->life) return;
  if (stay_) lose_place();
  stay_ = std::move(now);
  object_.emplace(stay_->pool, object_name(*membership_, name_));
  for (auto& done : std::exchange(reads_, {})) read(std::move(done));
}

void rados_seat::lose_place() {
  if (!stay_ && !decided_ && !tells_) return;
  ++turn_;
  stay_.reset();
  object_.reset();
  watch_.reset();
  owed_.clear();
  waiting_.clear();
  in_round_ = again_ = watch_is_lost_ = false;
  if (armed()) on_.disarm(*this);
  const auto decided = std::exchange(decided_, {});
  if (auto* const whom = std::exchange(tells_, nullptr)) return whom->on_lost();
  if (decided)
    decided({state::verdict::kind::failed, {}, {errc::closed, "this gateway is no member of its cluster any more"}});
}

rados_seat::found rados_seat::parse(int outcome, const omap& table) {
  found all;
  if (outcome == -ENOENT) return all;
  const auto epoch = table.find(epoch_key);
  if (epoch == table.end() || !parse_number(epoch->second, all.now.epoch))
    all.now.damage = "the record in the cluster has no epoch";
  if (const auto content = table.find(content_key); content != table.end()) all.now.content = content->second;
  for (const auto& [key, text] : table) {
    gateway_id of = 0;
    if (!key.starts_with(seat_prefix) ||
        !parse_number(std::string_view(key).substr(std::string(seat_prefix).size()), of))
      continue;
    // One that cannot be read belongs to nobody who lives.
    all.seats[of] = parse_seat(text).value_or(seat_record{});
  }
  return all;
}

void rados_seat::read(std::function<void(result<state::record>)> done) {
  const auto place = reads_.insert(reads_.end(), std::move(done));
  if (!object_) return;
  object_->read(on_loop([place](rados_seat& s, int outcome, const omap& table) {
    if (outcome == -ESHUTDOWN) return;  // the next life asks again
    const auto then = std::move(*place);
    s.reads_.erase(place);
    if (outcome < 0 && outcome != -ENOENT) return then(tl::unexpected(why_not(s.name_, outcome)));
    then(parse(outcome, table).now);
  }));
}

void rados_seat::propose(state::proposal what, std::function<void(const state::verdict&)> decided) {
  decided_ = std::move(decided);
  if (!object_) return lose_place();
  object_change wanted;
  wanted.expects[epoch_key] = std::to_string(what.expected);
  wanted.sets[epoch_key] = std::to_string(what.expected + 1);
  wanted.sets[content_key] = std::move(what.content);
  if (what.joins) {
    gateway_ = what.joins->gateway;
    incarnation_ = what.joins->incarnation;
    wanted.sets[seat_key(gateway_)] = text_of(seat_record{stay_->life, incarnation_});
  }
  object_->change(wanted, on_loop([epoch = what.expected + 1](rados_seat& s, int outcome) {
                    if (outcome == -ESHUTDOWN) return;  // the loss of the life is told soon
                    if (outcome == -ECANCELED)
                      return s.read([&s](const result<state::record>& now) {
                        const auto then = std::exchange(s.decided_, {});
                        if (!then) return;
                        if (now) return then({state::verdict::kind::conflict, *now, {}});
                        then({state::verdict::kind::failed, {}, now.error()});
                      });
                    const auto then = std::exchange(s.decided_, {});
                    if (outcome < 0) return then({state::verdict::kind::failed, {}, why_not(s.name_, outcome)});
                    s.known_ = std::max(s.known_, epoch);
                    s.committed_ = std::max(s.committed_, epoch);
                    s.round();
                    then({});
                  }));
}

// -- what others commit ---------------------------------------------------------------------------------------------

void rados_seat::watch(gateway_id gateway, std::uint64_t incarnation, state::watcher* tells) {
  gateway_ = gateway;
  incarnation_ = incarnation;
  tells_ = tells;
  in_force_ = 0;
  gone_.clear();
  begin_watch();
}

void rados_seat::begin_watch() {
  if (!object_) return;
  watch_is_lost_ = false;
  object_watch::callbacks to;
  to.said = on_loop([](rados_seat& s, std::uint64_t number, const std::string& text) { s.on_said(number, text); });
  to.holds = on_loop([](rados_seat& s) { s.look_again(); });
  to.lost = on_loop([](rados_seat& s) {
    s.watch_is_lost_ = true;
    if (!s.armed()) s.on_.arm(s, retry_ns);
  });
  watch_ = object_watch::begin(*object_, to);
}

/// Somebody has committed, and asks to be told when this gateway obeys.
void rados_seat::on_said(std::uint64_t number, const std::string& text) {
  const auto asked = parse_obedience(text);
  if (!watch_) return;
  if (!asked || !tells_ || owed_.size() == owed_limit) return watch_->answer(number, "");
  owed_.push_back({number, asked->epoch});
  in_force(in_force_);
  if (asked->epoch > known_) refresh();
}

void rados_seat::in_force(std::uint64_t epoch) {
  in_force_ = std::max(in_force_, epoch);
  if (!watch_) return;
  std::erase_if(owed_, [this](const owed& each) {
    if (each.epoch > in_force_) return false;
    watch_->answer(each.number, text_of(obedience{gateway_, incarnation_, in_force_}));
    return true;
  });
}

void rados_seat::refresh() {
  if (!object_ || !tells_) return;
  object_->read(on_loop([](rados_seat& s, int outcome, const omap& table) {
    if (outcome == 0) return s.take_in(parse(outcome, table));
    if (!s.armed()) s.on_.arm(s, retry_ns);
  }));
}

/// At the record, and at who sits there.
void rados_seat::look_again() {
  refresh();
  if (tells_) look_who_ended([](rados_seat&) {});
}

void rados_seat::take_in(const found& seen) {
  seats_ = seen.seats;
  tell_gone();
  if (!tells_ || seen.now.epoch <= known_) return;
  known_ = seen.now.epoch;
  tells_->on_committed(seen.now);
}

/// Which of the seats, as of the last look, belong to lives that have ended; then goes on.
void rados_seat::look_who_ended(std::function<void(rados_seat&)> then) {
  membership_->ask(on_loop([then = std::move(then)](rados_seat& s, const lives& living) {
    for (const auto& [of, where] : s.seats_)
      if (!living.contains(where.life)) s.ended_.insert(where.life);
    s.tell_gone();
    if (s.object_) then(s);
  }));
}

void rados_seat::tell_gone() {
  for (const auto& [of, where] : std::map(seats_)) {
    if (of == gateway_ || !ended_.contains(where.life) || gone_[of] == where.incarnation) continue;
    gone_[of] = where.incarnation;
    if (tells_) tells_->on_gone(of, where.incarnation);
  }
}

// -- what is asked of others ----------------------------------------------------------------------------------------

void rados_seat::confirm(std::uint64_t epoch, std::function<void()> done) {
  waiting_.push_back({epoch, std::move(done)});
  round();
}

void rados_seat::barrier(std::function<void()> done) {
  membership_->barrier(on_loop([done = std::move(done)](rados_seat&) { done(); }));
}

/// One question to all seats at a time: who sits there, whether they obey, and whether those who do not answer live.
void rados_seat::round() {
  again_ = true;
  if (in_round_ || !object_) return;
  again_ = false;
  in_round_ = true;
  std::uint64_t newest = committed_;
  for (const waiting& each : waiting_) newest = std::max(newest, each.epoch);  // others' commits, too
  object_->read(on_loop([of = newest](rados_seat& s, int outcome, const omap& table) {
    if (outcome == 0) return s.round_read(of, parse(outcome, table));
    s.in_round_ = false;
    s.again_ = true;
    if (!s.armed()) s.on_.arm(s, retry_ns);
  }));
}

void rados_seat::round_read(std::uint64_t of, const found& seen) {
  take_in(seen);
  if (!object_) return;
  if (obey(of)) return end_round(of);
  tell_watchers(*object_, text_of(obedience{gateway_, incarnation_, of}), notify_limit,
                on_loop([of](rados_seat& s, const std::vector<std::string>& answers) { s.round_told(of, answers); }));
}

void rados_seat::round_told(std::uint64_t of, const std::vector<std::string>& answers) {
  for (const std::string& text : answers)
    if (const auto said = parse_obedience(text)) obey_[said->id] = *said;
  if (obey(of)) return end_round(of);
  look_who_ended([of](rados_seat& s) { s.end_round(of); });
}

void rados_seat::end_round(std::uint64_t of) {
  in_round_ = false;
  if (obey(of)) {
    settle(of);
  } else if (!armed()) {
    on_.arm(*this, retry_ns);
  }
  if (object_ && again_ && (committed_ > of || !waiting_.empty())) round();
}

/// Whether every other seat, as of the last look, obeys or has ended.
bool rados_seat::obey(std::uint64_t epoch) const {
  return std::all_of(seats_.begin(), seats_.end(), [&](const auto& each) {
    const auto& [of, where] = each;
    if (of == gateway_ || ended_.contains(where.life)) return true;
    const auto said = obey_.find(of);
    return said != obey_.end() && said->second.incarnation == where.incarnation && said->second.epoch >= epoch;
  });
}

void rados_seat::settle(std::uint64_t up_to) {
  std::list<waiting> over;
  for (auto each = waiting_.begin(); each != waiting_.end();) {
    const auto at = each++;
    if (at->epoch <= up_to) over.splice(over.end(), waiting_, at);
  }
  for (const waiting& each : over) each.done();
}

void rados_seat::on_timer() noexcept {
  if (watch_is_lost_) begin_watch();
  if (again_ || !waiting_.empty()) round();
  refresh();
}

}  // namespace sluice::shared
