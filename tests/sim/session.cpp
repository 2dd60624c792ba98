#include "tests/sim/session.hpp"

#include <algorithm>
#include <utility>

#include "actors/base/check.hpp"
#include "actors/wire/crc.hpp"
#include "fabrics/iscsi/text.hpp"
#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::sim {

using iscsi::opcode;

session::session(judge& told, reactor::loop& loop, listener& tell, std::string initiator, std::string target,
                 std::uint64_t isid)
    : judge_(told),
      loop_(loop),
      tell_(&tell),
      initiator_(std::move(initiator)),
      target_(std::move(target)),
      isid_(isid) {}

session::~session() = default;

void session::bad(const std::string& why) {
  judge_.fail(initiator_ + ": " + why);
}

// -- the connection --------------------------------------------------------------------------------------------

void session::open(const reactor::endpoint& portal, const wishes& w) {
  SLUICE_CHECK(state_ == state::closed);
  wishes_ = w;
  header_digest_ = data_digest_ = false;
  initial_r2t_ = immediate_data_ = true;
  target_max_recv_ = 8192;
  max_burst_ = 262144;
  first_burst_ = 65536;
  stage_ = w.security_stage ? 0 : 1;
  login_text_.clear();
  cmd_sn_ = max_cmd_sn_ = static_cast<std::uint32_t>(loop_.random());
  stat_sn_known_ = false;
  commands_.clear();
  waiting_.clear();
  others_.clear();
  owed_.clear();
  debts_.clear();
  out_.clear();
  in_.clear();
  out_sent_ = 0;
  stands_still_ = false;
  kept_.reset();
  state_ = state::connecting;
  loop_.connect(connecting_, portal);
}

void session::on_connected(std::int64_t result) noexcept {
  if (result < 0) {
    state_ = state::ending;
    return ended_when_idle();
  }
  handle_ = static_cast<reactor::handle>(result);
  state_ = state::login;
  handling_ = true;
  send_login();
  handling_ = false;
  if (state_ == state::ending) return ended_when_idle();
  receive();
}

void session::receive() {
  loop_.receive(receiving_, handle_, landing_);
}

void session::on_received(std::int64_t result) noexcept {
  if (state_ == state::ending) return ended_when_idle();
  if (stands_still_) {
    kept_ = result;
    return;
  }
  if (result <= 0) return end();
  handling_ = true;
  take({landing_.data(), static_cast<std::size_t>(result)});
  handling_ = false;
  if (state_ == state::ending) return ended_when_idle();
  receive();
}

void session::stand_still(bool on) {
  stands_still_ = on;
  if (on || state_ == state::closed || state_ == state::ending) return;
  flush();
  const auto result = std::exchange(kept_, std::nullopt);
  if (result && state_ != state::closed) on_received(*result);
}

void session::abandon() {
  struct nobody final : listener {
    void on_up() override {}
    void on_down() override {}
    void on_answer(std::uint32_t, const answer&) override {}
    void on_managed(std::uint32_t, iscsi::management_response) override {}
    void on_echo(std::uint32_t) override {}
    void on_logged_out() override {}
  };
  static nobody none;
  tell_ = &none;
}

void session::disconnect() {
  if (state_ != state::closed && state_ != state::connecting) end();
}

void session::end() {
  if (state_ == state::ending || state_ == state::closed) return;
  state_ = state::ending;
  loop_.shutdown(handle_);
  if (!handling_) ended_when_idle();
}

void session::ended_when_idle() {
  if (receiving_.in_flight() || writing_.in_flight() || connecting_.in_flight()) return;
  if (handle_ != reactor::no_handle) loop_.close(handle_);
  handle_ = reactor::no_handle;
  state_ = state::closed;
  tell_->on_down();
}

void session::put(iscsi::bhs header, const_bytes data) {
  wire::store24(header, 5, data.size());
  const auto digest = [&](std::uint32_t crc) {
    for (unsigned i = 0; i < 4; ++i) out_.push_back(static_cast<std::uint8_t>(crc >> 8 * i));
  };
  out_.insert(out_.end(), header.begin(), header.end());
  if (header_digest_) digest(wire::crc32c(header));
  if (data.empty()) return;
  const std::size_t begin = out_.size();
  out_.insert(out_.end(), data.begin(), data.end());
  out_.resize(begin + iscsi::padded(static_cast<std::uint32_t>(data.size())));
  if (data_digest_) digest(wire::crc32c({out_.data() + begin, out_.size() - begin}));
}

void session::flush() {
  while (out_sent_ < out_.size() && !writing_.in_flight() && state_ != state::ending && !stands_still_) {
    const iovec part{out_.data() + out_sent_, out_.size() - out_sent_};
    const std::int64_t sent = loop_.send_now(handle_, &part, 1);
    if (sent == -EAGAIN) return loop_.wait_writable(writing_, handle_);
    if (sent < 0) return end();
    out_sent_ += static_cast<std::size_t>(sent);
  }
  if (out_sent_ != out_.size()) return;
  out_.clear();
  out_sent_ = 0;
}

void session::on_writable(std::int64_t) noexcept {
  if (state_ == state::ending) return ended_when_idle();
  flush();
}

// -- receiving -------------------------------------------------------------------------------------------------

void session::take(const_bytes got) {
  in_.insert(in_.end(), got.begin(), got.end());
  while (state_ != state::ending && !judge_.failed() && take_one_pdu()) {
  }
}

bool session::take_one_pdu() {
  if (in_.size() < iscsi::bhs_bytes) return false;
  iscsi::bhs header;
  std::copy_n(in_.begin(), header.size(), header.begin());
  const iscsi::header shape = iscsi::decode_header(header);
  const bool digests = state_ != state::login;
  std::size_t at = iscsi::bhs_bytes + shape.ahs_bytes;
  const std::size_t header_end = at;
  if (digests && header_digest_) at += 4;
  const std::size_t data_at = at;
  at += iscsi::padded(shape.data_bytes);
  const std::size_t data_end = at;
  if (digests && data_digest_ && shape.data_bytes > 0) at += 4;
  if (shape.data_bytes > wishes_.max_recv_data_segment_length) bad("a PDU longer than MaxRecvDataSegmentLength");
  if (in_.size() < at) return false;
  const auto check = [&](std::size_t from, std::size_t to) {
    std::uint32_t sent = 0;
    for (unsigned i = 0; i < 4; ++i) sent |= static_cast<std::uint32_t>(in_[to + i]) << 8 * i;
    if (sent != wire::crc32c({in_.data() + from, to - from})) bad("a wrong digest");
  };
  if (digests && header_digest_) check(0, header_end);
  if (digests && data_digest_ && shape.data_bytes > 0) check(data_at, data_end);
  const std::vector<std::uint8_t> data(in_.begin() + static_cast<std::ptrdiff_t>(data_at),
                                       in_.begin() + static_cast<std::ptrdiff_t>(data_at + shape.data_bytes));
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(at));
  handle(header, data);
  const bool repeats = shape.code == opcode::scsi_response && repeat_every_ != 0 && ++answers_ % repeat_every_ == 0;
  if (repeats && state_ != state::ending) handle(header, data);
  return true;
}

void session::window(const iscsi::sequence_numbers& sn) {
  if (static_cast<std::int32_t>(sn.max_cmd_sn - max_cmd_sn_) > 0) max_cmd_sn_ = sn.max_cmd_sn;
  if (static_cast<std::int32_t>(sn.exp_cmd_sn - cmd_sn_) > 0) bad("ExpCmdSN beyond what was sent");
  for (auto& [tag, c] : commands_)
    if (c.sent && c.received_at == 0 && static_cast<std::int32_t>(sn.exp_cmd_sn - c.cmd_sn) > 0)
      c.received_at = judge_.tick();
  if (static_cast<std::int32_t>(sn.max_cmd_sn - sn.exp_cmd_sn) < -1) bad("MaxCmdSN before ExpCmdSN - 1");
}

void session::count_status(const iscsi::sequence_numbers& sn) {
  if (sn.stat_sn != exp_stat_sn_)
    bad("StatSN " + std::to_string(sn.stat_sn) + " instead of " + std::to_string(exp_stat_sn_));
  exp_stat_sn_ = sn.stat_sn + 1;
  window(sn);
}

void session::handle(iscsi::bhs_view header, const_bytes data) {
  const opcode code = iscsi::decode_header(header).code;
  if (state_ == state::login) {
    if (code != opcode::login_response) return bad("not a login response during login");
    return handle_login(header, data);
  }
  switch (code) {
    case opcode::data_in:
      handle_data_in(header, data);
      break;
    case opcode::scsi_response:
      handle_response(header, data);
      break;
    case opcode::r2t:
      handle_r2t(header);
      break;
    case opcode::nop_in:
      handle_nop(header);
      break;
    case opcode::task_management_response: {
      const auto pdu = iscsi::decode<iscsi::task_management_response>(header);
      count_status(pdu.sn);
      if (others_.erase(pdu.initiator_task_tag) == 0) return bad("a task management response to no request");
      tell_->on_managed(pdu.initiator_task_tag, pdu.response);
      break;
    }
    case opcode::logout_response: {
      const auto pdu = iscsi::decode<iscsi::logout_response>(header);
      count_status(pdu.sn);
      if (others_.erase(pdu.initiator_task_tag) == 0) return bad("a logout response to no request");
      tell_->on_logged_out();
      return end();
    }
    case opcode::async_message: {
      const auto pdu = iscsi::decode<iscsi::async_message>(header);
      count_status(pdu.sn);
      if (pdu.event != iscsi::async_event::scsi_event) {
        end();
      } else if (data.size() > 2) {
        tell_->on_event(pdu.lun, scsi::decode_sense({data.begin() + 2, data.end()}).code);
      }
      break;
    }
    case opcode::reject:
      bad("a Reject, reason " + std::to_string(header[2]));
      break;
    default:
      bad("an unexpected PDU, opcode " + std::to_string(static_cast<int>(code)));
  }
  if (state_ == state::full_feature) send_waiting();
}

session::in_flight* session::find(std::uint32_t tag, const char* what) {
  const auto found = commands_.find(tag);
  if (found != commands_.end() && found->second.sent) return &found->second;
  bad(std::string(what) + " for a command that is not there, tag " + std::to_string(tag));
  return nullptr;
}

void session::handle_data_in(iscsi::bhs_view header, const_bytes data) {
  const auto pdu = iscsi::decode<iscsi::data_in>(header);
  in_flight* c = find(pdu.initiator_task_tag, "Data-In");
  if (!c) return;
  if (pdu.data_sn != c->next_data_sn++) return bad("DataSN out of sequence");
  if (pdu.buffer_offset != c->data.size()) return bad("Data-In out of order");
  if (c->data.size() + data.size() > c->what.data_in_bytes) return bad("more data than was expected");
  c->data.insert(c->data.end(), data.begin(), data.end());
  c->burst += static_cast<std::uint32_t>(data.size());
  if (c->burst > max_burst_) return bad("a burst longer than MaxBurstLength");
  if (pdu.final) c->burst = 0;
  if (!pdu.has_status) return window(pdu.sn);
  if (!pdu.final) return bad("a status in a Data-In that is not final");
  count_status(pdu.sn);
  finish(pdu.initiator_task_tag, {pdu.status, {}, {}, pdu.underflow, pdu.overflow, pdu.residual_count});
}

void session::handle_response(iscsi::bhs_view header, const_bytes data) {
  const auto pdu = iscsi::decode<iscsi::scsi_response>(header);
  count_status(pdu.sn);
  in_flight* c = find(pdu.initiator_task_tag, "a SCSI Response");
  if (!c) return;
  if (pdu.response != 0) return bad("response code " + std::to_string(pdu.response));
  answer what{pdu.status, {}, {}, pdu.underflow, pdu.overflow, pdu.residual_count};
  if (!data.empty()) {
    const std::size_t length = data.size() < 2 ? 0 : wire::load16(data, 0);
    if (length + 2 > data.size()) return bad("a sense length beyond its data segment");
    what.sense.assign(data.begin() + 2, data.begin() + 2 + static_cast<std::ptrdiff_t>(length));
  }
  finish(pdu.initiator_task_tag, std::move(what));
}

void session::finish(std::uint32_t tag, answer what) {
  what.data = std::move(commands_.at(tag).data);
  commands_.erase(tag);
  tell_->on_answer(tag, what);
}

void session::handle_r2t(iscsi::bhs_view header) {
  const auto pdu = iscsi::decode<iscsi::ready_to_transfer>(header);
  window(pdu.sn);
  in_flight* c = find(pdu.initiator_task_tag, "R2T");
  if (!c) return;
  if (pdu.r2t_sn != c->next_r2t_sn++) return bad("R2TSN out of sequence");
  const std::uint64_t end = std::uint64_t{pdu.buffer_offset} + pdu.desired_length;
  if (pdu.desired_length == 0 || pdu.desired_length > max_burst_) return bad("R2T of a length that is not allowed");
  if (pdu.buffer_offset < c->r2t_end || end > c->what.data_out.size()) return bad("R2T of a range that is not allowed");
  c->r2t_end = static_cast<std::uint32_t>(end);
  if (const auto withheld = owed_.find(pdu.initiator_task_tag); withheld != owed_.end())
    return withheld->second.push_back({pdu.target_transfer_tag, pdu.buffer_offset, pdu.desired_length});
  if (owes_) {
    has_owed_ = true;
    debts_.push_back({c->what, pdu.target_transfer_tag, pdu.buffer_offset, pdu.desired_length});
    return;
  }
  send_data_out(c->what, pdu.target_transfer_tag, pdu.buffer_offset, pdu.desired_length);
  flush();
}

void session::owe(bool on) {
  owes_ = on;
  if (on) return;
  for (const debt& each : std::exchange(debts_, {}))
    if (up()) send_data_out(each.what, each.transfer_tag, each.offset, each.length);
  if (up()) flush();
}

void session::handle_nop(iscsi::bhs_view header) {
  const auto pdu = iscsi::decode<iscsi::nop_in>(header);
  if (pdu.initiator_task_tag != iscsi::reserved_tag) {
    count_status(pdu.sn);
    if (others_.erase(pdu.initiator_task_tag) == 0) return bad("a NOP-In to no NOP-Out");
    return tell_->on_echo(pdu.initiator_task_tag);
  }
  window(pdu.sn);
  if (pdu.target_transfer_tag == iscsi::reserved_tag) return;
  iscsi::nop_out reply;
  reply.immediate = true;
  reply.lun = pdu.lun;
  reply.target_transfer_tag = pdu.target_transfer_tag;
  reply.cmd_sn = cmd_sn_;
  reply.exp_stat_sn = exp_stat_sn_;
  put(iscsi::encode(reply), {});
  flush();
}

}  // namespace sluice::sim
