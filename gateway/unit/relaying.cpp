#include <algorithm>

#include "gateway/unit/jobs.hpp"

// Commands on blocks of a unit that another gateway owns. This gateway checks them by what all have agreed on, and they
// are tasks of its own task set; the owner does them, as tasks of its task set, if it still is the owner and nothing
// that ends tasks was agreed meanwhile.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;
using access::relayed;

namespace {

/// To the rest of the shard, the owner is a medium.
class owners_part final : public access::relayed_command {
 public:
  explicit owners_part(command& c) : command_(c) {}
  void on_answer() noexcept override { command_.io.done(store::status::good); }

 private:
  command& command_;
};

enum class step : std::uint8_t { submit, go_on, end };

/// `co_await owner_does{s, c, step}`: c.relayed holds the owner's answer.
struct owner_does {
  shard& s;
  command& c;
  step which;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    c.resume_point = self;
    if (which == step::submit) return s.start_medium(c);
    which == step::go_on ? s.go_on_at_owner(c) : s.end_at_owner(c);
  }
  void await_resume() const noexcept {}
};

/// Whether the initiator can bring what the owner wants.
bool can_bring(const port::task& t, const access::relayed_command& r) {
  return r.wanted_offset >= t.data_out_base && r.wanted_length != 0 &&
         (t.expected_data_out == port::unknown_length || r.wanted_offset + r.wanted_length <= t.expected_data_out);
}

}  // namespace

bool shard::is_for_owner(const command& c) const noexcept {
  if (!options_.owners || !snapshot_->owned || c.nexus->access != scsi::asymmetric_access::active_non_optimized)
    return false;
  return is_block_command(*c.row) || c.row->what == scsi::command::unmap ||
         c.row->what == scsi::command::get_lba_status;
}

/// What another gateway sent before this one obeyed something that ends tasks might be one of them.
bool shard::may_be_done_here(const command& c) const noexcept {
  return snapshot_->owned && snapshot_->owned->owner == options_.gateway &&
         snapshot_->serves == unit_snapshot::service::on && !snapshot_->opening && options_.term->holds() &&
         c.task->agreed_epoch >= relayed_since_;
}

void shard::at_owner(command& c) noexcept {
  if (options_.deadline_ns != 0) {
    c.since = tick_;
    watch_clock();
  }
  c.with = command::place::medium;
}

void shard::go_on_at_owner(command& c) noexcept {
  at_owner(c);
  options_.owners->go_on(*c.relayed);
}

void shard::end_at_owner(command& c) noexcept {
  if (c.with != command::place::medium) at_owner(c);
  options_.owners->end(*c.relayed);
}

/// Nobody hears that a write is over before its owner has ended it. An owner that does not answer has all that this
/// gateway sent taken away from it by agreement: then it has ended that, or its life has ended.
void shard::give_up_relayed(command& c) noexcept {
  using asked = command::end_asked;
  end_at_owner(c);
  if (!store::changes_medium(c.io.what)) return abandon(c);
  const std::uint64_t now_ns = loop_.now_ns();
  if (c.end_of_relayed == asked::nobody) {
    c.end_of_relayed = asked::owner;
    c.due_ns = now_ns + options_.owner_patience_ns;
  } else if (c.end_of_relayed == asked::owner && now_ns >= c.due_ns) {
    c.end_of_relayed = asked::everybody;
    return coordinator_.send(cut_request{options_.index, c.serial});
  }
  if (c.end_of_relayed == asked::owner && !leaving_.armed()) loop_.arm(leaving_, options_.owner_patience_ns);
}

void shard::on(cut_answer& message) {
  for (command* c = active_.head(); c != nullptr; c = c->next) {
    if (c->serial != message.id) continue;
    if (!c->relayed || c->with != command::place::medium) return;
    if (message.done) return options_.owners->is_over(*c->relayed);
    c->end_of_relayed = command::end_asked::owner;  // this gateway has lost touch itself: once more, later
    if (!leaving_.armed()) loop_.arm(leaving_, options_.owner_patience_ns);
    return;
  }
}

job relay_to_owner(shard& s, command& c) {
  port::task& t = *c.task;
  owners_part there(c);
  memory::slice room;
  std::uint64_t wanted = 0, got = 0;
  if (c.row->direction == scsi::data_direction::in)
    wanted = std::min(t.expected_data_in, transfer_bytes(c, s.block_size()));
  if (wanted != 0) {
    room = co_await buffer_for{s, c, std::min(wanted, window_bytes)};
    if (room.empty()) co_return shard::no_room(c);
  }
  there.room = room.span();
  set_data_out(c, t.data_out_base, t.data_out_end - t.data_out_base);
  there.data_out = c.parts;
  s.prepare_relayed(c, there);
  co_await owner_does{s, c, step::submit};
  if (there.at == access::relayed_command::stage::idle) co_return outcomes::good();  // aborted before it went
  while (!is_final(there.came)) {
    bool goes_on = !c.is_aborted();
    if (goes_on && there.came == relayed::wants_data) {
      goes_on = can_bring(t, there);
      if (goes_on) goes_on = co_await data_until{s, c, there.wanted_offset + there.wanted_length};
      if (goes_on) {
        drop_data_out(t, there.wanted_offset);
        set_data_out(c, there.wanted_offset, there.wanted_length);
        there.data_out = c.parts;
      }
    } else if (goes_on) {
      t.data_in.push_back(room.sub(0, there.octets));
      got += there.octets;
      room = {};
      there.room = {};
      goes_on = co_await data_in_sent{s, c};
      if (goes_on && got < wanted) {
        room = co_await buffer_for{s, c, std::min(wanted - got, window_bytes)};
        there.room = room.span();
        goes_on = !room.empty();
      }
    }
    co_await owner_does{s, c, goes_on ? step::go_on : step::end};
  }
  c.relayed = nullptr;
  if (c.is_aborted()) co_return outcomes::good();
  const bool repeats_well = c.row->what != scsi::command::compare_and_write;
  const scsi::outcome unknown = repeats_well ? outcomes::busy() : outcomes::aborted(scsi::asc::io_process_terminated);
  switch (there.came) {
    case relayed::ended:
      if (there.silenced != port::silence::none) co_return unknown;
      t.length_out = there.length_out;
      t.length_in = there.length_in;
      if (there.octets != 0) t.data_in.push_back(room.sub(0, there.octets));
      co_return there.outcome;
    case relayed::not_here:
      co_return outcomes::busy();
    case relayed::unreachable:
      co_return outcomes::not_ready(scsi::asc::target_port_in_standby);
    default:
      co_return unknown;
  }
}

/// As far as deadlines and range locks go it is a request for its blocks.
void shard::prepare_relayed(command& c, access::relayed_command& there) noexcept {
  prepare(c, c.row->writes_medium ? store::verb::write : store::verb::read, 0, 0);
  there.unit = options_.unit;
  there.task = c.task;
  there.owner = snapshot_->owned->owner;
  there.epoch = snapshot_->epoch;
  c.relayed = &there;
}

}  // namespace sluice::unit
