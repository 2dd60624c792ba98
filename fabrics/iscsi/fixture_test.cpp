#include <gtest/gtest.h>

#include <algorithm>

#include "actors/wire/crc.hpp"
#include "fabrics/iscsi/test_fixture.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::iscsi::fixture {

using port::task_event;

// -- the core ----------------------------------------------------------------------------------------------------

memory_nexus::memory_nexus(core& owner, const port::login& who) : core_(owner) {
  port::i_t_nexus identity;
  identity.id = 1;
  identity.initiator = who.initiator;
  identity.caps = who.caps;
  identity_ = std::make_shared<const port::i_t_nexus>(std::move(identity));
  ++core_.live_nexuses;
  core_.nexus = this;
}

void memory_nexus::submit(port::task& t) noexcept {
  t.unit = this;
  tasks_[&t] = {};
  core_.cdbs.emplace_back(t.whole_cdb().begin(), t.whole_cdb().end());
  core_.loop.post([this, &t] { start(t); });
}

void memory_nexus::start(port::task& t) {
  if (!tasks_.contains(&t)) return;
  progress& p = tasks_[&t];
  p.offset = wire::load32(t.cdb, 2) * 512ull;
  p.length = wire::load16(t.cdb, 7) * 512ull;
  const bool transfers = t.cdb[0] == 0x28 || t.cdb[0] == 0x2a;
  if (transfers && p.offset + p.length > core_.medium.size()) {
    t.outcome = scsi::outcomes::lba_out_of_range(p.offset / 512);
    return complete(t);
  }
  switch (t.cdb[0]) {
    case 0x28:
      return read_more(t);
    case 0x2a:
      return write_more(t);
    case 0xfe:
      return;
    case 0x03:
      t.outcome = scsi::outcomes::check(scsi::sense_key::medium_error, scsi::asc::write_error);
      break;
    default:
      break;
  }
  complete(t);
}

void memory_nexus::read_more(port::task& t) {
  progress& p = tasks_[&t];
  const std::uint64_t wanted = std::min(p.length, t.expected_data_in);
  const auto step = static_cast<std::uint32_t>(std::min<std::uint64_t>(core_.put_bytes, wanted - p.done));
  for (std::uint32_t done = 0; done < step;) {  // in uneven slices
    const std::uint32_t part = std::min(step - done, 3000u + done % 7);
    std::uint8_t* from = core_.medium.data() + p.offset + p.done + done;
    if (core_.borrow) {
      t.data_in.push_back(memory::slice::borrow(from, part));
    } else {
      t.data_in.push_back(core_.loop.buffers().take(part));
      std::copy_n(from, part, t.data_in.back().data());
    }
    done += part;
  }
  p.done += step;
  t.length_in = p.length;
  if (p.done == wanted) return complete(t);
  p.with_fabric = true;
  t.fabric->post(t, task_event::put_data);
}

void memory_nexus::write_more(port::task& t) {
  progress& p = tasks_[&t];
  for (const memory::slice& s : t.data_out) {
    const auto usable = std::min<std::uint64_t>(s.size(), p.length - std::min(p.length, p.done));
    std::copy_n(s.data(), usable, core_.medium.data() + p.offset + p.done);
    p.done += usable;
  }
  t.data_out.clear();
  t.data_out_base = t.data_out_end;
  t.length_out = p.length;
  const std::uint64_t wanted = std::min(p.length, t.expected_data_out);
  if (p.done >= wanted) return complete(t);
  t.wanted_offset = t.data_out_end;
  t.wanted_length = static_cast<std::uint32_t>(std::min<std::uint64_t>(core_.get_bytes, wanted - p.done));
  p.with_fabric = true;
  t.fabric->post(t, task_event::get_data);
}

void memory_nexus::post(port::task& t, task_event event) noexcept {
  core_.loop.post([this, &t, event] {
    ASSERT_TRUE(tasks_.contains(&t) && tasks_[&t].with_fabric);
    tasks_[&t].with_fabric = false;
    if (t.ended != port::transfer_end::done || tasks_[&t].aborted) {
      const std::optional<scsi::outcome> outcome = tasks_[&t].ends_with;
      if (outcome) t.outcome = *outcome;
      return complete(t, !outcome);
    }
    if (event == task_event::data_arrived) {
      EXPECT_GE(t.data_out_end, t.wanted_offset + t.wanted_length);
      write_more(t);
    } else {
      EXPECT_TRUE(t.data_in.empty());
      read_more(t);
    }
  });
}

void memory_nexus::complete(port::task& t, bool silent) {
  t.silenced = silent ? port::silence::aborted : port::silence::none;
  if (silent) t.data_in.clear();
  tasks_.erase(&t);
  t.fabric->post(t, task_event::complete);
  gone(t);
  maybe_closed();
}

void memory_nexus::abort(port::task& t) {
  if (!tasks_[&t].with_fabric) return complete(t, true);
  if (std::exchange(tasks_[&t].aborted, true)) return;
  t.fabric->post(t, task_event::take_back);
}

void memory_nexus::end_all(std::optional<scsi::outcome> outcome) {
  std::vector<port::task*> all;
  for (auto& [t, p] : tasks_) all.push_back(t);
  for (port::task* t : all) {
    tasks_[t].ends_with = outcome;
    if (outcome) t->outcome = *outcome;
    if (tasks_[t].with_fabric)
      abort(*t);
    else
      complete(*t, !outcome);
  }
}

void memory_nexus::manage(port::task_management& request) noexcept {
  core_.managed.push_back(request.function);
  core_.loop.post([this, &request] {
    managing m{&request, {}};
    for (auto& [t, p] : tasks_)
      if (request.function != port::task_function::abort_task || t->tag == request.referenced_tag) m.left.insert(t);
    const std::set<port::task*> all = m.left;
    m.left.insert(nullptr);
    managing_.push_back(std::move(m));
    for (port::task* t : all) abort(*t);
    managing_.back().left.erase(nullptr);
    answer_managed();
  });
}

void memory_nexus::gone(port::task& t) {
  for (managing& m : managing_) m.left.erase(&t);
  answer_managed();
}

/// A function is answered when its tasks are gone.
void memory_nexus::answer_managed() {
  for (const managing& m : managing_) {
    if (!m.left.empty()) continue;
    m.request->response = port::task_response::function_complete;
    m.request->reply_to->post(*m.request);
  }
  std::erase_if(managing_, [](const managing& m) { return m.left.empty(); });
}

void memory_nexus::close(port::loss_reason reason, std::function<void()> closed) noexcept {
  core_.closed.push_back(reason);
  closed_ = std::move(closed);
  core_.loop.post([this] {
    std::vector<port::task*> all;
    for (auto& [t, p] : tasks_) all.push_back(t);
    for (port::task* t : all) abort(*t);
    maybe_closed();
  });
}

void memory_nexus::maybe_closed() {
  if (!closed_ || !tasks_.empty()) return;
  core_.loop.post([c = &core_, closed = std::move(closed_)] {
    --c->live_nexuses;
    closed();
  });
  closed_ = nullptr;
}

std::optional<port::access> core::check(const port::port_id& port, const std::string&) {
  EXPECT_EQ(port.fabric, "iscsi");
  ++checks;
  return access;
}

std::shared_ptr<shared_state> make_shared_state(const offer& ours, const std::function<void(served_port&)>& adjust) {
  const auto port = [&](const std::string& name, std::uint16_t group, std::vector<portal_id> portals) {
    served_port made;
    made.id = {"iscsi", name, group};
    made.ours = ours;
    made.portals = std::move(portals);
    if (adjust) adjust(made);
    return std::make_shared<const served_port>(std::move(made));
  };
  std::vector<served_port_ptr> ports{port(target_name, 1, {test_portal, 2})};
  for (int i = 0; i < 200; ++i)
    ports.push_back(
        port("iqn.2026-11.io.sluice:another-target-with-a-long-name-" + std::to_string(i), 2, {test_portal}));
  auto made = std::make_shared<shared_state>();
  made->board.publish(std::make_shared<const portal_table>(
      std::map<portal_id, reactor::endpoint>{{test_portal, {"0.0.0.0", 3260}}, {2, {"2001:db8::1", 3261}}},
      std::move(ports)));
  return made;
}

void core::open(const port::login& who, port::channel_events on_events,
                std::function<void(result<std::unique_ptr<port::nexus>>)> opened) {
  events = std::move(on_events);
  std::function<void()> later = [this, who, opened = std::move(opened)] {
    if (open_fails) return opened(fail(*open_fails, "as the test wants it"));
    opened(std::make_unique<memory_nexus>(*this, who));
  };
  if (holds_logins)
    held.push_back(std::move(later));
  else
    loop.post(std::move(later));
}

void core::let_in() {
  for (auto& each : std::exchange(held, {})) loop.post(std::move(each));
}

// -- the initiator -----------------------------------------------------------------------------------------------

octets raw_initiator::frame(const bhs& basic_header, const octets& data, const octets& ahs) const {
  octets out(basic_header.begin(), basic_header.end());
  out.insert(out.end(), ahs.begin(), ahs.end());
  const auto digest = [&out](std::uint32_t crc) {
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(crc >> (8 * i)));
  };
  if (header_digest) digest(wire::crc32c(out));
  if (data.empty()) return out;
  octets segment = data;
  segment.resize(padded(static_cast<std::uint32_t>(data.size())));
  out.insert(out.end(), segment.begin(), segment.end());
  if (data_digest) digest(wire::crc32c(segment));
  return out;
}

void raw_initiator::send(octets wire) {
  outbox_.insert(outbox_.end(), wire.begin(), wire.end());
  loop_.post([this] { write_out(); });
}

void raw_initiator::write_out() {
  while (!outbox_.empty() && !writable_.in_flight()) {
    const iovec part{outbox_.data(), outbox_.size()};
    const std::int64_t sent = loop_.send_now(handle, &part, 1);
    if (sent == -EAGAIN) return loop_.wait_writable(writable_, handle);
    if (sent <= 0) return outbox_.clear();
    outbox_.erase(outbox_.begin(), outbox_.begin() + sent);
  }
}

void raw_initiator::on_writable(std::int64_t) noexcept {
  write_out();
}

void raw_initiator::receive() {
  loop_.receive(receive_, handle, buffer_);
}

void raw_initiator::on_received(std::int64_t result) noexcept {
  if (result <= 0) {
    ended_ = true;
    return;
  }
  inbox_.insert(inbox_.end(), buffer_.begin(), buffer_.begin() + result);
  while (take_one()) continue;
  receive();
}

bool raw_initiator::take_one() {
  const std::size_t head = bhs_bytes + (header_digest ? 4 : 0);
  if (inbox_.size() < head) return false;
  pdu p;
  std::copy_n(inbox_.begin(), bhs_bytes, p.basic_header.begin());
  const std::uint32_t bytes_here = decode_header(p.basic_header).data_bytes;
  const std::size_t tail = bytes_here ? padded(bytes_here) + (data_digest ? 4 : 0) : 0;
  if (inbox_.size() < head + tail) return false;
  const auto crc_at = [&](std::size_t at) {
    return inbox_[at] | inbox_[at + 1] << 8 | inbox_[at + 2] << 16 | static_cast<std::uint32_t>(inbox_[at + 3]) << 24;
  };
  const const_bytes all = inbox_;
  if (header_digest) {
    EXPECT_EQ(crc_at(bhs_bytes), wire::crc32c(all.first(bhs_bytes)));
  }
  if (data_digest && bytes_here) {
    EXPECT_EQ(crc_at(head + tail - 4), wire::crc32c(all.subspan(head, padded(bytes_here))));
  }
  p.data.assign(inbox_.begin() + static_cast<std::ptrdiff_t>(head),
                inbox_.begin() + static_cast<std::ptrdiff_t>(head + bytes_here));
  inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<std::ptrdiff_t>(head + tail));
  arrived_.push_back(std::move(p));
  return true;
}

std::optional<pdu> raw_initiator::next(std::uint64_t at_most_ns) {
  world_.run_until([this] { return !arrived_.empty() || ended_; }, world_.now_ns() + at_most_ns);
  if (arrived_.empty()) return std::nullopt;
  pdu p = std::move(arrived_.front());
  arrived_.pop_front();
  return p;
}

bool raw_initiator::closed() {
  return world_.run_until([this] { return ended_; }, world_.now_ns() + 60 * ns_per_s);
}

void raw_initiator::adopt(raw_initiator& other) {
  ASSERT_TRUE(closed());
  loop_.post([&other] { other.loop_.cancel(other.receive_); });
  ASSERT_TRUE(other.closed());
  loop_.close(std::exchange(handle, std::exchange(other.handle, reactor::no_handle)));
  inbox_.clear();
  outbox_.clear();
  arrived_.clear();
  ended_ = false;
  loop_.post([this] { receive(); });
}

void raw_initiator::hang_up() {
  loop_.post([this] { loop_.shutdown(handle); });
}

// -- the stand ---------------------------------------------------------------------------------------------------

void start(connection& of, reactor::loop& loop, reactor::handle handle, const connection_options& options) {
  auto facts = std::make_shared<connection_facts>();
  facts->portal = options.portal;
  facts->peer = loop.peer_endpoint(handle).value().to_string();
  facts->address = facts->peer.substr(0, facts->peer.rfind(':'));
  const std::uint64_t slot = options.shared->book->arrive(facts, [](port::loss_reason) {});
  of.start(std::move(facts), slot);
}

fixture::fixture(std::uint64_t seed, std::function<void(connection_options&)> adjust, std::uint64_t buffer_bytes)
    : world(seed),
      target_loop(world.make_loop(0, buffer_bytes)),
      initiator_loop(world.make_loop(1)),
      gateway(*target_loop),
      initiator(world, *initiator_loop) {
  options.portal = test_portal;
  options.shared = make_shared_state();
  options.bounds.max_tasks_per_nexus = 32;
  options.turns = std::make_shared<turn_queue>(*target_loop);
  options.listings = std::make_shared<listing_cache>();
  if (adjust) adjust(options);
  connect();
}

fixture::~fixture() {
  initiator.hang_up();
  EXPECT_TRUE(gone());
  EXPECT_EQ(gateway.live_nexuses, 0u);
  initiator.closed();
  world.run_for(ns_per_ms);  // whatever was posted last
  initiator_loop->close(initiator.handle);
  EXPECT_EQ(target_loop->buffers().bytes_in_use(), 0u) << "buffers leaked";
}

fixture::sockets fixture::connect_sockets() {
  struct arrival final : reactor::operation {
    void on_complete(std::int64_t result) noexcept override { handle = static_cast<reactor::handle>(result); }
    reactor::handle handle = reactor::no_handle;
  } accepted, connected;
  const reactor::handle listener = target_loop->listen({"10.0.0.1", 3260}, 8).value();
  target_loop->accept(accepted, listener);
  initiator_loop->connect(connected, {"10.0.0.1", 3260});
  const auto both = [&] { return accepted.handle >= 0 && connected.handle >= 0; };
  EXPECT_TRUE(world.run_until(both, world.now_ns() + 10 * ns_per_s));
  target_loop->close(listener);
  return {accepted.handle, connected.handle};
}

void fixture::connect() {
  const sockets made = connect_sockets();
  initiator.handle = made.initiator;
  target_loop->post([this, handle = made.target] {
    const auto close_later = [this](port::loss_reason reason) {
      target_loop->post([this, reason] {
        if (target) target->close(reason);
      });
    };
    accepted_socket peer(*target_loop, handle);
    target = std::make_unique<connection>(*target_loop, peer, gateway, *this, options, close_later,
                                          [this] { target.reset(); });
    target->reach_by([this](const std::shared_ptr<successor>& heir) {
      target_loop->post([this, heir] {
        if (target)
          target->reinstate(heir);
        else
          target_loop->close(heir->handle);
      });
    });
    start(*target, *target_loop, handle, options);
  });
  initiator_loop->post([this] { initiator.receive(); });
}

void fixture::post(port::task& t, task_event event) noexcept {
  target_loop->post([this, &t, event] { target->on_task(t, event); });
}

void fixture::post(port::task_management& request) noexcept {
  target_loop->post([this, &request] { target->on_manage(request); });
}

bool fixture::gone() {
  return world.run_until([this] { return !target; }, world.now_ns() + 120 * ns_per_s);
}

login_request fixture::login_step(int current, int next) const {
  login_request r;
  r.transit = next >= 0;
  r.current_stage = static_cast<std::uint8_t>(current);
  r.next_stage = next >= 0 ? static_cast<std::uint8_t>(next) : 0;
  r.isid = 0x800000000001;
  r.cmd_sn = cmd_sn;
  r.cid = 5;
  return r;
}

std::optional<pdu> fixture::say_login(const std::vector<std::string>& keys, int current, int next) {
  return say_login(initiator, login_step(current, next), keys);
}

std::optional<pdu> fixture::say_login(raw_initiator& over, login_request r, const std::vector<std::string>& keys) {
  octets text;
  for (const std::string& key : keys) {
    text.insert(text.end(), key.begin(), key.end());
    text.push_back(0);
  }
  over.send(r, text);
  return over.next();
}

login_response fixture::log_in(const std::vector<std::string>& keys, bool discovery) {
  std::vector<std::string> all{std::string("InitiatorName=") + initiator_name};
  all.push_back(discovery ? "SessionType=Discovery" : std::string("TargetName=") + target_name);
  all.insert(all.end(), keys.begin(), keys.end());
  const std::optional<pdu> answer = say_login(all, 1, 3);
  EXPECT_TRUE(answer);
  if (!answer) return {};
  const auto response = answer->as<login_response>();
  EXPECT_EQ(response.status, login_status::success);
  EXPECT_TRUE(response.transit);
  EXPECT_NE(response.tsih, 0);
  exp_stat_sn = response.sn.stat_sn + 1;
  const auto says = [&](const std::string& key) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
  initiator.header_digest = says("HeaderDigest=CRC32C");
  initiator.data_digest = says("DataDigest=CRC32C");
  return response;
}

scsi_command fixture::bare(std::uint8_t operation) {
  scsi_command c;
  c.initiator_task_tag = next_tag++;
  c.cmd_sn = cmd_sn++;
  c.exp_stat_sn = exp_stat_sn;
  c.cdb[0] = operation;
  return c;
}

scsi_command fixture::read_10(std::uint32_t block, std::uint16_t blocks) {
  scsi_command c = bare(0x28);
  c.read = true;
  wire::store32(c.cdb, 2, block);
  wire::store16(c.cdb, 7, blocks);
  c.expected_data_transfer_length = blocks * 512u;
  return c;
}

scsi_command fixture::write_10(std::uint32_t block, std::uint16_t blocks) {
  scsi_command c = read_10(block, blocks);
  c.cdb[0] = 0x2a;
  c.read = false;
  c.write = true;
  return c;
}

fixture::completion fixture::finish(std::uint32_t tag) {
  completion c;
  const auto status = [&](std::uint8_t value, bool over, bool under, std::uint32_t residual,
                          const sequence_numbers& sn) {
    c.status = value;
    c.overflow = over;
    c.underflow = under;
    c.residual = residual;
    c.max_cmd_sn = sn.max_cmd_sn;
    EXPECT_EQ(sn.stat_sn, exp_stat_sn++);
  };
  while (c.status == 0xff) {
    const std::optional<pdu> p = initiator.next();
    if (!p) {
      ADD_FAILURE() << "no status for " << tag;
      return c;
    }
    if (p->code() == opcode::data_in) {
      const auto d = p->as<data_in>();
      EXPECT_EQ(d.initiator_task_tag, tag);
      EXPECT_EQ(d.data_sn, c.data_pdus++);
      EXPECT_EQ(d.buffer_offset, c.data.size());
      c.data.insert(c.data.end(), p->data.begin(), p->data.end());
      c.collapsed = d.has_status;
      if (d.has_status) status(d.status, d.overflow, d.underflow, d.residual_count, d.sn);
    } else if (p->code() == opcode::scsi_response) {
      const auto r = p->as<scsi_response>();
      EXPECT_EQ(r.initiator_task_tag, tag);
      if (p->data.size() > 2) c.sense.assign(p->data.begin() + 2, p->data.end());
      status(r.status, r.overflow, r.underflow, r.residual_count, r.sn);
    } else {
      ADD_FAILURE() << "unexpected opcode " << static_cast<int>(p->code());
      return c;
    }
  }
  return c;
}

data_out answer_to(const ready_to_transfer& ask) {
  data_out out;
  out.initiator_task_tag = ask.initiator_task_tag;
  out.target_transfer_tag = ask.target_transfer_tag;
  out.buffer_offset = ask.buffer_offset;
  out.final = true;
  return out;
}

void expect_alive(fixture& s) {
  const auto c = s.bare(0x00);
  s.initiator.send(c);
  EXPECT_EQ(s.finish(c.initiator_task_tag).status, 0);
}

octets untouched(std::uint64_t offset, std::size_t size) {
  octets out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = pattern(offset + i);
  return out;
}

}  // namespace sluice::iscsi::fixture
