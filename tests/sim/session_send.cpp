#include <algorithm>

#include "fabrics/iscsi/text.hpp"
#include "tests/sim/session.hpp"

// Login, and what the initiator sends.
namespace sluice::sim {

using iscsi::opcode;

void session::send_login() {
  std::string text;
  const auto say = [&](const char* key, const std::string& value) { iscsi::append_text(text, key, value); };
  const auto number = [&](const char* key, std::uint32_t value) { say(key, std::to_string(value)); };
  const bool first = !stat_sn_known_;
  if (first) {
    say("InitiatorName", initiator_);
    say("SessionType", "Normal");
    say("TargetName", target_);
  }
  if (stage_ == 0) say("AuthMethod", "None");
  if (stage_ == 1) {
    say("HeaderDigest", wishes_.header_digest ? "CRC32C,None" : "None");
    say("DataDigest", wishes_.data_digest ? "CRC32C,None" : "None");
    say("InitialR2T", wishes_.initial_r2t ? "Yes" : "No");
    say("ImmediateData", wishes_.immediate_data ? "Yes" : "No");
    number("MaxRecvDataSegmentLength", wishes_.max_recv_data_segment_length);
    number("MaxBurstLength", wishes_.max_burst_length);
    number("FirstBurstLength", wishes_.first_burst_length);
    number("MaxOutstandingR2T", wishes_.max_outstanding_r2t);
    number("MaxConnections", 1);
    number("ErrorRecoveryLevel", 0);
    number("DefaultTime2Wait", 2);
    number("DefaultTime2Retain", 0);
    say("DataPDUInOrder", "Yes");
    say("DataSequenceInOrder", "Yes");
  }
  iscsi::login_request pdu;
  pdu.transit = true;
  pdu.current_stage = static_cast<std::uint8_t>(stage_);
  pdu.next_stage = stage_ == 0 ? 1 : 3;
  pdu.isid = isid_;
  pdu.initiator_task_tag = 1;
  pdu.cmd_sn = cmd_sn_;
  pdu.exp_stat_sn = exp_stat_sn_;
  put(iscsi::encode(pdu), {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  flush();
}

void session::take_key(std::string_view key, std::string_view value) {
  const auto number = [&] { return static_cast<std::uint32_t>(iscsi::parse_number(value).value_or(0)); };
  if (key == "HeaderDigest") header_digest_ = value == "CRC32C";
  if (key == "DataDigest") data_digest_ = value == "CRC32C";
  if (key == "InitialR2T") initial_r2t_ = value == "Yes";
  if (key == "ImmediateData") immediate_data_ = value == "Yes";
  if (key == "MaxRecvDataSegmentLength") target_max_recv_ = number();
  if (key == "MaxBurstLength") max_burst_ = number();
  if (key == "FirstBurstLength") first_burst_ = number();
}

void session::handle_login(iscsi::bhs_view header, const_bytes data) {
  const auto pdu = iscsi::decode<iscsi::login_response>(header);
  if (pdu.status != iscsi::login_status::success) {
    // What a gateway that is just being changed may say; the initiator tries again.
    const auto status = static_cast<unsigned>(pdu.status);
    if (status != 0x0203 && status != 0x0301 && status != 0x0300)
      bad("login refused, status " + std::to_string(status));
    return end();
  }
  if (!stat_sn_known_) exp_stat_sn_ = pdu.sn.stat_sn;
  stat_sn_known_ = true;
  count_status(pdu.sn);
  const auto keys = iscsi::parse_text(data);
  if (!keys) return bad("login text that cannot be read");
  const bool header_digest = header_digest_, data_digest = data_digest_;
  for (const iscsi::text_pair& each : *keys) take_key(each.key, each.value);
  if (!pdu.transit) {
    // Digests count from the full feature phase on.
    stage_ = pdu.current_stage;
    return bad("the target does not go on with the login");
  }
  if (pdu.next_stage == 1) {
    header_digest_ = header_digest;
    data_digest_ = data_digest;
    stage_ = 1;
    return send_login();
  }
  if (pdu.next_stage != 3 || pdu.tsih == 0) return bad("a login that ends nowhere");
  if ((header_digest_ && !wishes_.header_digest) || (data_digest_ && !wishes_.data_digest) ||
      (initial_r2t_ < wishes_.initial_r2t) || immediate_data_ > wishes_.immediate_data ||
      max_burst_ > wishes_.max_burst_length || first_burst_ > wishes_.first_burst_length)
    return bad("an answer in login that negotiation does not allow");
  state_ = state::full_feature;
  tell_->on_up();
}

void session::send(outgoing command) {
  const std::uint32_t tag = command.tag;
  in_flight& c = commands_[tag];
  c.what = std::move(command);
  waiting_.push_back(tag);
  send_waiting();
}

void session::send_waiting() {
  while (!waiting_.empty() && static_cast<std::int32_t>(max_cmd_sn_ - cmd_sn_) >= 0) {
    const auto found = commands_.find(waiting_.front());
    waiting_.pop_front();
    if (found != commands_.end()) start(found->second);
  }
  flush();
}

void session::start(in_flight& c) {
  const auto all = static_cast<std::uint32_t>(c.what.data_out.size());
  iscsi::scsi_command pdu;
  pdu.read = c.what.data_in_bytes > 0;
  pdu.write = all > 0;
  pdu.attribute = c.what.attribute;
  pdu.lun = std::uint64_t{c.what.lun} << 48;
  pdu.initiator_task_tag = c.what.tag;
  pdu.expected_data_transfer_length = pdu.write ? all : c.what.data_in_bytes;
  pdu.cmd_sn = c.cmd_sn = cmd_sn_++;
  pdu.exp_stat_sn = exp_stat_sn_;
  pdu.cdb = c.what.cdb;
  const std::uint32_t unsolicited = std::min(first_burst_, all);
  const std::uint32_t immediate = immediate_data_ ? std::min(unsolicited, target_max_recv_) : 0;
  const bool more = !initial_r2t_ && unsolicited > immediate;
  pdu.final = !more;
  c.sent = true;
  c.r2t_end = more ? unsolicited : immediate;
  put(iscsi::encode(pdu), {c.what.data_out.data(), immediate});
  if (more) send_data_out(c.what, iscsi::reserved_tag, immediate, unsolicited - immediate);
}

void session::send_data_out(const outgoing& what, std::uint32_t transfer_tag, std::uint32_t offset,
                            std::uint32_t length) {
  iscsi::data_out pdu;
  pdu.lun = std::uint64_t{what.lun} << 48;
  pdu.initiator_task_tag = what.tag;
  pdu.target_transfer_tag = transfer_tag;
  pdu.exp_stat_sn = exp_stat_sn_;
  while (length > 0) {
    const std::uint32_t now = std::min(length, target_max_recv_);
    pdu.final = now == length;
    pdu.buffer_offset = offset;
    put(iscsi::encode(pdu), {what.data_out.data() + offset, now});
    ++pdu.data_sn;
    offset += now;
    length -= now;
  }
}

void session::give(std::uint32_t tag) {
  const auto withheld = owed_.extract(tag);
  const auto found = commands_.find(tag);
  if (withheld.empty() || found == commands_.end()) return;
  for (const owed_data& each : withheld.mapped())
    send_data_out(found->second.what, each.transfer_tag, each.offset, each.length);
  flush();
}

void session::manage(std::uint32_t tag, iscsi::management_function function, std::uint16_t lun,
                     std::uint32_t referenced) {
  iscsi::task_management_request pdu;
  pdu.immediate = true;
  pdu.function = static_cast<std::uint8_t>(function);
  pdu.lun = std::uint64_t{lun} << 48;
  pdu.initiator_task_tag = tag;
  pdu.referenced_task_tag = referenced;
  pdu.cmd_sn = pdu.ref_cmd_sn = cmd_sn_;
  pdu.exp_stat_sn = exp_stat_sn_;
  const auto task = commands_.find(referenced);
  if (task != commands_.end() && task->second.sent) pdu.ref_cmd_sn = task->second.cmd_sn;
  others_[tag] = static_cast<std::uint8_t>(opcode::task_management_request);
  put(iscsi::encode(pdu), {});
  flush();
}

void session::echo(std::uint32_t tag) {
  iscsi::nop_out pdu;
  pdu.immediate = true;
  pdu.initiator_task_tag = tag;
  pdu.cmd_sn = cmd_sn_;
  pdu.exp_stat_sn = exp_stat_sn_;
  others_[tag] = static_cast<std::uint8_t>(opcode::nop_out);
  const std::uint8_t ping[5] = {'p', 'i', 'n', 'g', 0};
  put(iscsi::encode(pdu), ping);
  flush();
}

void session::log_out() {
  iscsi::logout_request pdu;
  pdu.immediate = true;
  pdu.initiator_task_tag = 2;
  pdu.cmd_sn = cmd_sn_;
  pdu.exp_stat_sn = exp_stat_sn_;
  others_[2] = static_cast<std::uint8_t>(opcode::logout_request);
  state_ = state::logging_out;
  put(iscsi::encode(pdu), {});
  flush();
}

}  // namespace sluice::sim
