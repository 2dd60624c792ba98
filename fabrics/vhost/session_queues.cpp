#include <algorithm>
#include <array>
#include <utility>

#include "actors/wire/little_endian.hpp"
#include "fabrics/vhost/session.hpp"
#include "gateway/scsi/asc.hpp"

// The control queue: task management. The event queue: what the guest is told without being asked.
namespace sluice::vhost {
namespace {

constexpr std::size_t max_events = 256;  // that wait for the guest to make room for them

/// Whether a driver can make something of it: it looks at the disk anew. Unit attentions tell of all else.
bool concerns_drivers(scsi::additional_sense code) {
  return code == scsi::asc::capacity_changed || code == scsi::asc::mode_parameters_changed ||
         code == scsi::asc::inquiry_data_changed;
}

}  // namespace

// -- control ---------------------------------------------------------------------------------------------------------

void session::on_control(queue& from, chain& what) {
  std::array<std::uint8_t, control_request::management_bytes> octets;
  piece_cursor in(what.readable);
  const std::size_t come = in.read(octets);
  const auto asked = decode_control(const_bytes(octets).first(come));
  if (!asked) return from.give_back(what.head, 0);
  auto to = std::make_shared<std::vector<iovec>>(std::move(what.writable));
  // Its memory stays mapped until it is answered.
  const auto answer = [this, &from, head = what.head, to, kept = from.memory()](const_bytes said) {
    put(from, head, *to, said);
  };
  if (asked->what != control_request::kind::task_management) {
    std::array<std::uint8_t, 5> nothing{};  // no event of a medium is told, and that is fine
    const bool good = asked->where && asked->where->target == 0;
    nothing[4] = static_cast<std::uint8_t>(good ? response_code::ok : response_code::bad_target);
    return answer(nothing);
  }
  manage(*asked, [answer](response_code how) {
    const std::array<std::uint8_t, 1> said{static_cast<std::uint8_t>(how)};
    answer(said);
  });
}

/// Gives a chain of the control or the event queue back, with what the guest is to read in it.
void session::put(queue& by, std::uint16_t head, const std::vector<iovec>& to, const_bytes octets) {
  if (ending_) return by.keep();
  piece_cursor at(to);
  std::uint32_t written = 0;
  while (!octets.empty()) {
    const bytes piece = at.take(octets.size());
    if (piece.empty()) break;
    std::copy_n(octets.begin(), piece.size(), piece.begin());
    by.wrote({piece.data(), piece.size()});
    written += static_cast<std::uint32_t>(piece.size());
    octets = octets.subspan(piece.size());
  }
  by.give_back(head, written);
}

void session::manage(const control_request& asked, std::function<void(response_code)> answered) {
  if (!asked.where || asked.where->target != 0) return answered(response_code::bad_target);
  if (!asked.function) return answered(response_code::function_rejected);
  const auto go = [this, function = *asked.function, lun = asked.where->lun,
                   answered = std::move(answered)](std::uint64_t task_tag) {
    own_channel().manage(function, lun, task_tag, [this, answered, self = shared_from_this()](port::task_response how) {
      settle_others([answered, how] { answered(code_of(how)); });
    });
  };
  if (*asked.function != port::task_function::abort_task && *asked.function != port::task_function::query_task)
    return go(0);
  find_tag(0, asked.where->lun, asked.tag, go);
}

/// Asks one core after the other for the task that the guest means; 0 is none's.
void session::find_tag(std::size_t core, port::lun lun, std::uint64_t tag, std::function<void(std::uint64_t)> found) {
  at(core, [this, core, lun, tag, found = std::move(found)] {
    const std::optional<std::uint64_t> here = channels_[core]->find_tag(lun, tag);
    if (!here && core + 1 < channels_.size()) return find_tag(core + 1, lun, tag, found);
    at(port_.first_core, [found, here] { found(here.value_or(0)); });
  });
}

/// Has what is under way from the other cores' units come in first: what a function has ended is with the guest before
/// it hears of the function.
void session::settle_others(std::function<void()> settled) {
  if (channels_.size() == 1) return settled();
  const auto left = std::make_shared<std::size_t>(channels_.size() - 1);
  for (std::size_t core = 0; core < channels_.size(); ++core)
    if (core != port_.first_core)
      at(core, [this, core, left, settled] {
        channels_[core]->settle();
        at(port_.first_core, [left, settled] {
          if (--*left == 0) settled();
        });
      });
}

// -- events ----------------------------------------------------------------------------------------------------------

/// From the channel of whichever core heard of it first.
void session::on_event(const port::unit_event& what) {
  at(port_.first_core, [this, what] {
    if (ending_) return;
    if (what.code == scsi::asc::reported_luns_changed) {
      if (features_ & feature::hotplug) look_for_luns();
      return;
    }
    if (!(features_ & feature::change) || !concerns_drivers(what.code)) return;
    // Once round the cores: the guest may look by any of its queues, and is to see what it was told of.
    settle_others([this, what] { tell(parameters_changed(what.lun, what.code)); });
  });
}

/// Which LUNs came or went: the gateway says only that some did.
void session::look_for_luns() {
  look_again_ = looking_;
  if (std::exchange(looking_, true)) return;
  own_channel().ask_luns([this, self = shared_from_this()](std::optional<std::vector<port::lun>> now) {
    looking_ = false;
    if (now) {
      const std::set<port::lun> all(now->begin(), now->end());
      if (luns_) {
        for (const port::lun each : *luns_)
          if (!all.contains(each)) tell(lun_removed(each));
        for (const port::lun each : all)
          if (!luns_->contains(each)) tell(lun_added(each));
      }
      luns_ = all;
    }
    if (std::exchange(look_again_, false)) look_for_luns();
  });
}

void session::tell(const event& what) {
  if (events_.size() >= max_events) {
    missed_ = true;
    return;
  }
  events_.push_back(what);
  send_events();
}

void session::send_events() {
  queue* const by = ending_ ? nullptr : own_channel().find_queue(event_queue);
  if (!by || !by->running()) return;
  if (!luns_ && !looking_ && (features_ & feature::hotplug)) look_for_luns();  // what there is at the start
  chain room;
  while ((!events_.empty() || missed_) && by->take_one(room)) {
    event next;
    if (!events_.empty()) {
      next = events_.front();
      events_.pop_front();
    }
    next.missed = std::exchange(missed_, false);
    put(*by, room.head, room.writable, encode(next));
  }
}

}  // namespace sluice::vhost
