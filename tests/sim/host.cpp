#include "tests/sim/host.hpp"

#include <algorithm>

#include "gateway/scsi/asc.hpp"

namespace sluice::sim {

namespace {
constexpr std::uint64_t watch_ns = 500 * ns_per_ms;
// A command that may have been aborted counts as that when it stays silent so much longer than any cut or stall lasts,
// and than what one behind another one waits for data that a host keeps to itself.
constexpr std::uint64_t silence_ns = 16 * ns_per_s;
constexpr std::uint64_t host_patience_ns = 20 * ns_per_s;  // then a command counts as lost
}  // namespace

host::host(field& of, unsigned number, unsigned share)
    : field_(of),
      number_(number),
      share_(share),
      depth_(1 + static_cast<unsigned>(of.world.below(12))),
      loop_(of.world.make_loop(10 + number)),
      session_(make_session()) {
  of.hosts[number] = this;
}

std::unique_ptr<session> host::make_session() {
  session::listener& self = *this;
  auto made = std::make_unique<session>(field_.verdict, *loop_, self, "iqn.2026-11.sim:host" + std::to_string(number_),
                                        "iqn.2026-11.sim:target", 0x400000000000 + number_);
  if (field_.bug == plant::double_completion) made->repeat_one_answer_in(60);
  return made;
}

host::~host() {
  field_.hosts[number_] = nullptr;
  loop_.reset();
}

void host::begin(const reactor::endpoint& portal) {
  portal_ = portal;
  loop_->arm(retry_, below(20) * ns_per_ms);
  loop_->arm(watch_, watch_ns);
}

void host::on_retry() noexcept {
  static constexpr std::uint32_t sizes[] = {512, 1024, 4096, 8192, 65536, 262144};
  const auto size = [&] { return sizes[below(std::size(sizes))]; };
  wishes w;
  w.header_digest = chance(0.3);
  w.data_digest = chance(0.3);
  w.initial_r2t = chance(0.5);
  w.immediate_data = chance(0.7);
  w.max_recv_data_segment_length = size();
  w.max_burst_length = size();
  w.first_burst_length = std::min(size(), w.max_burst_length);
  w.max_outstanding_r2t = 1 + static_cast<std::uint32_t>(below(4));
  w.security_stage = chance(0.5);
  session_->open(portal_, w);
}

void host::on_up() {
  was_up_ = true;
  if (breach_of_promise("a login", std::exchange(login_since_ns_, 0))) return;
  settle_lost();
  field_.deferred.nexus_begins(number_, field_.verdict.tick());
  for (std::uint16_t lun = 0; lun < luns; ++lun)
    for (const std::uint16_t code : {scsi::asc::reset_occurred, scsi::asc::power_on_occurred,
                                     scsi::asc::bus_device_reset, scsi::asc::i_t_nexus_loss})
      field_.may_hear(number_, lun, code);
  if (leaving_) return leave();
  pump();
}

void host::leave() {
  leaving_ = true;
  logout_since_ns_ = field_.world.now_ns();
  session_->log_out();
}

/// A new nexus begins when the old one has ended: what was lost with it does nothing any more.
void host::settle_lost() {
  for (const op& o : std::exchange(lost_, {})) undecided(o);
  for (const management& m : std::exchange(lost_managements_, {}))
    if (m.function == iscsi::management_function::logical_unit_reset) m.unit->abort_ends(field_.verdict.tick());
}

void host::on_down() {
  if (was_up_ && !leaving_ && !may_break())
    field_.verdict.fail("host " + std::to_string(number_) + ": its connection was lost for no reason");
  was_up_ = false;
  drop_commands();
  if (leaving_) {
    finished_ = true;
    loop_->disarm(watch_);
    return;
  }
  loop_->arm(retry_, (1 + below(30)) * ns_per_ms);
}

/// Their connection is gone.
void host::drop_commands() {
  for (auto& [tag, o] : ops_) {
    // Should it still take effect, this host's next nexus is another one than that which asked.
    if (o.what == kind::mode_select) field_.may_hear(number_, o.unit->lun, scsi::asc::mode_parameters_changed);
    if (writes(o) || o.what == kind::reserve_out || o.what == kind::mode_select)
      lost_.push_back(std::move(o));
    else
      refused(o);
  }
  ops_.clear();
  for (auto& [tag, m] : managements_) lost_managements_.push_back(std::move(m));
  managements_.clear();
  echo_.reset();
}

void host::give_up() {
  leaving_ = true;
  thaw();
  for (const auto& each : left_standing_) each->disconnect();
  share_ = 0;
  loop_->disarm(retry_);
  if (session_->closed())
    finished_ = true;
  else
    session_->disconnect();
  loop_->disarm(watch_);
}

void host::pump() {
  if (field_.verdict.failed() || leaving_ || !session_->up() || stands_still()) return;
  while (share_ > 0 && ops_.size() < depth_ && session_->up()) {
    --share_;
    next();
  }
  if (share_ > 0 || !ops_.empty() || !managements_.empty() || echo_ || !session_->up()) return;
  leave();
}

void host::on_answer(std::uint32_t tag, const answer& what) {
  const auto found = ops_.find(tag);
  if (found == ops_.end())
    return field_.verdict.fail("host " + std::to_string(number_) + ": status " + std::to_string(what.status) +
                               " for a command that it does not know, tag " + std::to_string(tag));
  const op done = std::move(found->second);
  ops_.erase(found);
  ++field_.answered;
  conclude(done, what);
  pump();
}

void host::on_managed(std::uint32_t tag, iscsi::management_response response) {
  if (held_back([this, tag, response] { on_managed(tag, response); })) return;
  const auto found = managements_.find(tag);
  if (found == managements_.end()) return field_.verdict.fail("an answer to a function that nobody asked for");
  const management done = std::move(found->second);
  managements_.erase(found);
  using iscsi::management_response;
  const bool complete = response == management_response::function_complete;
  const bool reset = done.function == iscsi::management_function::logical_unit_reset;
  if (!complete && (reset || response != management_response::task_does_not_exist))
    field_.verdict.fail("task management response " + std::to_string(static_cast<int>(response)));
  if (breach_of_promise(reset ? "LOGICAL UNIT RESET" : "ABORT TASK", done.begun_ns)) return;
  if (reset) done.unit->abort_ends(field_.verdict.tick());
  if (reset) tell_fenced(*done.unit, done.begun, everybody());
  for (const std::uint32_t concerned : done.concerned) {
    const auto task = ops_.find(concerned);
    if (task == ops_.end()) continue;
    if (!complete && !task->second.unit->may_be_silent(task->second.begun))
      return bad(task->second, "the target does not know the task, but has not answered it");
    session_->forget(concerned);
    undecided(task->second);
    ops_.erase(task);
  }
  pump();
}

void host::on_echo(std::uint32_t) {
  echo_.reset();
  pump();
}

void host::on_logged_out() {
  leaving_ = true;
  breach_of_promise("a logout", std::exchange(logout_since_ns_, 0));
}

void host::on_watch() noexcept {
  loop_->arm(watch_, watch_ns);
  if (stands_still() || owes_) return;
  const std::uint64_t now = field_.world.now_ns();
  std::vector<std::uint32_t> silent;
  for (const auto& [tag, o] : ops_) {
    const std::uint64_t age = now - o.watched_ns;
    if (age > silence_ns && o.unit && o.unit->may_be_silent(o.begun) && session_->sent(tag))
      silent.push_back(tag);
    else if (age > host_patience_ns)
      return bad(o, "no answer for 20 s");
  }
  for (const std::uint32_t tag : silent) {
    session_->forget(tag);
    undecided(ops_.at(tag));
    ops_.erase(tag);
  }
  if (!silent.empty()) pump();
}

std::string host::describe() const {
  return "host " + std::to_string(number_) + ": " + std::to_string(share_) + " commands to send, " +
         std::to_string(ops_.size()) + " in flight, " + (session_->up() ? "logged in" : "not logged in");
}

}  // namespace sluice::sim
