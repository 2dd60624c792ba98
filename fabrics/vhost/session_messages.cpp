#include <algorithm>
#include <utility>

#include "actors/observe/log.hpp"
#include "actors/reactor/message_sockets.hpp"
#include "fabrics/vhost/session.hpp"

namespace sluice::vhost {
namespace {

constexpr unsigned messages_in_a_row = 32;  // before others have their turn
constexpr std::size_t max_passed = 32;      // descriptors of one message
constexpr std::uint64_t max_inflight_bytes = 64 * mib;
constexpr std::uint16_t min_inflight_descriptors = 1024;
constexpr std::uint64_t inflight_alignment = 64;

}  // namespace

// -- receiving -------------------------------------------------------------------------------------------------------

void session::wait_for_message() {
  if (!ending_ && !busy_ && !readable_.in_flight()) loop_.wait_readable(readable_, connection_);
}

void session::on_readable(std::int64_t result) noexcept {
  if (ending_) return all_gone();
  if (result < 0) return begin_end(port::loss_reason::connection_lost);
  receive();
}

void session::receive() {
  for (unsigned left = messages_in_a_row; left > 0 && !ending_ && !busy_;) {
    const bool in_head = head_come_ < head_.size();
    reactor::message come{.into = in_head ? bytes(head_).subspan(head_come_) : bytes(payload_).subspan(payload_come_)};
    if (!come.into.empty()) {
      const std::int64_t octets = loop_.messages().receive_passing(connection_, come);
      if (octets == -EAGAIN) break;
      if (octets <= 0) return begin_end(port::loss_reason::connection_lost);
      if (come.handles_lost || passed_.size() + come.passed.size() > max_passed)
        return violation("more descriptors than any message has");
      for (std::size_t i = 0; i < come.passed.size(); ++i)
        passed_.push_back(std::make_shared<const owned_handle>(loop_, come.passed.take(i)));
      (in_head ? head_come_ : payload_come_) += static_cast<std::size_t>(octets);
    }
    if (in_head && head_come_ == head_.size()) {
      const auto header = decode_header(head_);
      if (!header) return violation(header.error().message);
      message_ = *header;
      payload_.assign(message_.payload_bytes, 0);
    }
    if (head_come_ < head_.size() || payload_come_ < payload_.size()) continue;
    handle_message();
    --left;
  }
  wait_for_message();
}

void session::violation(const std::string& why) {
  SLUICE_LOG(warning, "vhost", "a front end breaks the rules", {"port", port_.descriptor.id.name}, {"peer", peer_},
             {"why", why});
  begin_end(port::loss_reason::connection_lost);
}

void session::handle_message() {
  const message_header now = message_;
  const reply how = dispatch();
  head_come_ = payload_come_ = 0;
  passed_.clear();
  if (how == reply::pending) {
    busy_ = true;
    return;
  }
  answer(now.what, now.wants_reply, how);
}

/// What has no reply of its own gets one where it asks for it [vhost-user: REPLY_ACK]; else a failure ends the session.
void session::answer(request what, bool wants_reply, reply how) {
  if (ending_ || how == reply::told) return;
  if (wants_reply && (protocol_features_ & protocol_feature::reply_ack))
    return send(encode_reply(what, how == reply::done ? std::uint64_t{0} : std::uint64_t{1}));
  if (how == reply::failed) begin_end(port::loss_reason::connection_lost);
}

/// A front end that takes no replies is not waited for.
void session::send(const std::vector<std::uint8_t>& octets, reactor::handle passed) {
  const iovec part{const_cast<std::uint8_t*>(octets.data()), octets.size()};
  const bool passes = passed != reactor::no_handle;
  const std::int64_t sent = passes ? loop_.messages().send_passing(connection_, &part, 1, {&passed, 1})
                                   : loop_.send_now(connection_, &part, 1);
  if (sent != static_cast<std::int64_t>(octets.size())) begin_end(port::loss_reason::connection_lost);
}

session::reply session::refuse(const std::string& why) {
  SLUICE_LOG(warning, "vhost", "a message is refused", {"port", port_.descriptor.id.name},
             {"message", to_string(message_.what)}, {"why", why});
  return reply::failed;
}

shared_handle session::take_handle() {
  if (passed_.empty()) return nullptr;
  shared_handle taken = std::move(passed_.front());
  passed_.erase(passed_.begin());
  return taken;
}

// -- what each says --------------------------------------------------------------------------------------------------

session::reply session::dispatch() {
  SLUICE_LOG(debug, "vhost", "a message", {"port", port_.descriptor.id.name}, {"message", to_string(message_.what)},
             {"descriptors", passed_.size()}, {"octets", payload_.size()});
  const auto tell = [&](std::uint64_t value) {
    send(encode_reply(message_.what, value));
    return reply::told;
  };
  switch (message_.what) {
    case request::get_features:
      return tell(feature::offered);
    case request::set_features:
      return set_features();
    case request::get_protocol_features:
      return tell(protocol_feature::offered);
    case request::set_protocol_features: {
      const auto wanted = decode_u64(payload_);
      if (!wanted) return refuse(wanted.error().message);
      protocol_features_ = *wanted & protocol_feature::offered;
      return reply::done;
    }
    case request::set_owner:
      return reply::done;
    case request::reset_owner:
    case request::reset_device:
      return stop_all_rings();
    case request::get_queue_num:
      return tell(slots_.size());
    case request::get_max_mem_slots:
      return tell(guest_memory::max_regions);
    case request::set_mem_table:
      return set_memory_table();
    case request::add_mem_reg:
      return change_memory(true);
    case request::rem_mem_reg:
      return change_memory(false);
    case request::set_log_base:
      return set_log();
    case request::set_log_fd:
      return reply::done;  // who moves a guest looks at the log by itself
    case request::get_inflight_fd:
      return get_inflight();
    case request::set_inflight_fd:
      return set_inflight();
    case request::set_vring_num:
    case request::set_vring_addr:
    case request::set_vring_base:
    case request::get_vring_base:
    case request::set_vring_kick:
    case request::set_vring_call:
    case request::set_vring_err:
    case request::set_vring_enable:
      return on_ring_message();
  }
  return refuse("there is no such message, or it was not offered");
}

session::reply session::set_features() {
  const auto wanted = decode_u64(payload_);
  if (!wanted) return refuse(wanted.error().message);
  // A front end passes on what the guest has taken of its own offers, too.
  if (*wanted & feature::never) return refuse("a feature that changes what is shared, and was not offered");
  features_ = *wanted;
  return update(started());
}

session::reply session::on_ring_message() {
  const bool of_descriptor = message_.what == request::set_vring_kick || message_.what == request::set_vring_call ||
                             message_.what == request::set_vring_err;
  result<std::uint32_t> which = fail(errc::invalid_argument, "");
  vring_state state;
  vring_addresses where;
  vring_descriptor handle;
  if (of_descriptor) {
    which = decode_vring_descriptor(payload_).map([&](const vring_descriptor& d) { return (handle = d).index; });
  } else if (message_.what == request::set_vring_addr) {
    which = decode_vring_addresses(payload_).map([&](const vring_addresses& a) { return (where = a).index; });
  } else {
    which = decode_vring_state(payload_).map([&](const vring_state& s) { return (state = s).index; });
  }
  if (!which) return refuse(which.error().message);
  if (*which >= slots_.size()) return refuse("there is no queue " + std::to_string(*which));
  slot& at = slots_[*which];
  ring_setup& setup = at.setup;
  switch (message_.what) {
    case request::set_vring_num:
      if (at.started) return refuse("the size of a ring that runs");
      if (state.value == 0 || state.value > split_ring::max_size) return refuse("a size that no ring has");
      setup.places.size = state.value;
      return reply::done;
    case request::set_vring_base:
      if (at.started) return refuse("the base of a ring that runs");
      setup.base = static_cast<std::uint16_t>(state.value);
      return reply::done;
    case request::set_vring_addr:
      setup.places.descriptors = where.descriptors;
      setup.places.available = where.available;
      setup.places.used = where.used;
      setup.logs_used = where.logged;
      setup.log_address = where.log_address;
      setup.has_places = true;
      return at.started ? update({*which}) : reply::done;
    case request::set_vring_call:
      setup.call = handle.has_descriptor ? take_handle() : nullptr;
      return at.started ? update({*which}) : reply::done;
    case request::set_vring_err:
      setup.failure = handle.has_descriptor ? take_handle() : nullptr;
      return at.started ? update({*which}) : reply::done;
    case request::set_vring_enable:
      setup.enabled = state.value != 0;
      return at.started ? update({*which}) : reply::done;
    case request::get_vring_base:
      return stop_ring(*which);
    case request::set_vring_kick:
      setup.kick = handle.has_descriptor ? take_handle() : nullptr;
      if (!setup.kick) return refuse("a queue without a descriptor to kick it by");
      at.started = true;
      return update({*which});
    default:
      return reply::failed;
  }
}

// -- memory ----------------------------------------------------------------------------------------------------------

result<guest_memory::region> session::map_region(const region_description& what, const shared_handle& from) {
  auto held = port_.map(from->get(), what.offset, what.size, port_.settings.sealed);
  if (!held) return tl::unexpected(held.error());
  return guest_memory::region{what, *held, (*held)->span().data()};
}

session::reply session::put_memory(std::vector<guest_memory::region> regions) {
  auto made = guest_memory::make(std::move(regions));
  if (!made) return refuse(made.error().message);
  memory_ = std::move(*made);
  return update(started());
}

session::reply session::set_memory_table() {
  const auto table = decode_memory_table(payload_);
  if (!table) return refuse(table.error().message);
  if (table->size() != passed_.size()) return refuse("not one descriptor for each region of memory");
  std::vector<guest_memory::region> regions;
  for (const region_description& each : *table) {
    auto region = map_region(each, take_handle());
    if (!region) return refuse(region.error().message);
    regions.push_back(std::move(*region));
  }
  return put_memory(std::move(regions));
}

session::reply session::change_memory(bool add) {
  const auto asked = decode_single_region(payload_);
  if (!asked) return refuse(asked.error().message);
  std::vector<guest_memory::region> regions;
  if (memory_) regions = memory_->regions();
  if (add) {
    const shared_handle from = take_handle();
    if (!from) return refuse("a region of memory without a descriptor");
    auto region = map_region(*asked, from);
    if (!region) return refuse(region.error().message);
    regions.push_back(std::move(*region));
  } else {
    const auto gone = std::ranges::find_if(regions, [&](const guest_memory::region& each) {
      return each.is.guest_address == asked->guest_address && each.is.size == asked->size &&
             each.is.user_address == asked->user_address;
    });
    if (gone == regions.end()) return refuse("there is no such region of memory");
    regions.erase(gone);
  }
  return put_memory(std::move(regions));
}

session::reply session::set_log() {
  const auto where = decode_log_place(payload_);
  if (!where) return refuse(where.error().message);
  const shared_handle from = take_handle();
  if (!from) return refuse("a log without a descriptor");
  auto held = port_.map(from->get(), where->offset, where->size, false);
  if (!held) return refuse(held.error().message);
  log_ = std::make_shared<const dirty_log>(std::move(*held));
  const reply how = update(started());
  if (how != reply::done) return how;
  send(encode_reply(request::set_log_base, std::uint64_t{0}));
  return reply::told;
}

session::reply session::get_inflight() {
  const auto asked = decode_inflight_place(payload_);
  if (!asked) return refuse(asked.error().message);
  inflight_place made = *asked;
  // Each has room for more than it asks for: QEMU says the size that it was configured with, and a guest's may differ.
  made.size = asked->queues * inflight_record::bytes_of(std::max(asked->queue_size, min_inflight_descriptors));
  made.offset = 0;
  if (made.size == 0 || made.size > max_inflight_bytes || asked->queues > slots_.size())
    return refuse("a number or a size of queues that cannot be");
  const auto file = loop_.open_memory(made.size);
  if (!file) return refuse(file.error().message);
  send(encode_reply(request::get_inflight_fd, made), *file);
  loop_.close(*file);
  return reply::told;
}

session::reply session::set_inflight() {
  const auto place = decode_inflight_place(payload_);
  if (!place) return refuse(place.error().message);
  const shared_handle from = take_handle();
  if (!from) return refuse("requests in flight without a descriptor");
  if (place->offset % inflight_alignment != 0 || place->queues == 0 || place->queues > slots_.size() ||
      place->queues * inflight_record::bytes_of(place->queue_size) > place->size)
    return refuse("requests in flight that do not fit where they are said to be");
  if (!started().empty()) return refuse("requests in flight of rings that run");
  auto held = port_.map(from->get(), place->offset, place->size, false);
  if (!held) return refuse(held.error().message);
  inflight_ = std::move(*held);
  inflight_place_ = *place;
  return reply::done;
}

// -- rings -----------------------------------------------------------------------------------------------------------

std::vector<unsigned> session::started() const {
  std::vector<unsigned> all;
  for (unsigned i = 0; i < slots_.size(); ++i)
    if (slots_[i].started) all.push_back(i);
  return all;
}

/// What a ring needs of what was said of all.
void session::fill(unsigned index) {
  ring_setup& setup = slots_[index].setup;
  setup.memory = memory_;
  setup.event_index = (features_ & feature::event_index) != 0;
  setup.indirect = (features_ & feature::indirect) != 0;
  if (!(features_ & feature::protocol)) setup.enabled = true;
  setup.log = features_ & feature::log_all ? log_ : nullptr;
  const bool noted = inflight_ && index < inflight_place_.queues;
  setup.inflight = noted ? inflight_ : nullptr;
  const std::uint64_t part = noted ? inflight_place_.size / inflight_place_.queues : 0;
  setup.inflight_bytes = part / inflight_alignment * inflight_alignment;
  setup.inflight_offset = index * setup.inflight_bytes;
}

/// Brings rings what is new, on their cores; the message is answered when all have it.
session::reply session::update(std::vector<unsigned> indices) {
  if (indices.empty()) return reply::done;
  struct progress {
    std::size_t left;
    bool good = true;
    request what;
    bool wants_reply;
  };
  const auto state = std::make_shared<progress>(progress{indices.size(), true, message_.what, message_.wants_reply});
  for (const unsigned index : indices) {
    fill(index);
    const std::size_t core = core_of(index);
    at(core, [this, core, index, state, setup = slots_[index].setup] {
      const bool good = channels_[core]->set_queue(index, setup);
      at(port_.first_core, [this, state, good] {
        state->good &= good;
        if (--state->left > 0) return;
        busy_ = false;
        if (state->what == request::set_log_base && state->good)
          send(encode_reply(state->what, std::uint64_t{0}));
        else
          answer(state->what, state->wants_reply, state->good ? reply::done : reply::failed);
        send_events();
        wait_for_message();
      });
    });
  }
  return reply::pending;
}

session::reply session::stop_ring(unsigned index) {
  const std::size_t core = core_of(index);
  slots_[index].setup.kick = nullptr;
  if (!std::exchange(slots_[index].started, false)) {
    send(encode_reply(request::get_vring_base, vring_state{index, slots_[index].setup.base}));
    return reply::told;
  }
  at(core, [this, core, index] {
    channels_[core]->stop_queue(index, [this, index, self = shared_from_this()](std::uint16_t next) {
      at(port_.first_core, [this, index, next] {
        slots_[index].setup.base = next;
        busy_ = false;
        if (!ending_) send(encode_reply(request::get_vring_base, vring_state{index, next}));
        wait_for_message();
      });
    });
  });
  return reply::pending;
}

session::reply session::stop_all_rings() {
  const std::vector<unsigned> all = started();
  if (all.empty()) return reply::done;
  const auto left = std::make_shared<std::size_t>(all.size());
  for (const unsigned index : all) {
    slots_[index] = {};
    const std::size_t core = core_of(index);
    at(core, [this, core, index, left, what = message_.what, wants_reply = message_.wants_reply] {
      channels_[core]->stop_queue(index, [this, left, what, wants_reply, self = shared_from_this()](std::uint16_t) {
        at(port_.first_core, [this, left, what, wants_reply] {
          if (--*left > 0) return;
          busy_ = false;
          answer(what, wants_reply, reply::done);
          wait_for_message();
        });
      });
    });
  }
  return reply::pending;
}

}  // namespace sluice::vhost
