#pragma once
#include "fabrics/iscsi/pdu.hpp"

/// PDUs from the target. All but plain Data-In and R2T consume a StatSN.
namespace sluice::iscsi {

/// The sequence numbers that every answer carries.
struct sequence_numbers {
  std::uint32_t stat_sn = 0, exp_cmd_sn = 0, max_cmd_sn = 0;
  template <class V, class P>
  static void fields(V& v, P& p) {
    v.u32(24, p.stat_sn);
    v.u32(28, p.exp_cmd_sn);
    v.u32(32, p.max_cmd_sn);
  }
};

/// [RFC7143 11.4]
struct scsi_response {
  static constexpr opcode code = opcode::scsi_response;
  bool overflow = false, underflow = false;
  std::uint8_t response = 0;  // 0: completed at target
  std::uint8_t status = 0;
  std::uint32_t initiator_task_tag = 0, exp_data_sn = 0, residual_count = 0;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(1, 0x80, always);
    v.flag(1, 0x04, p.overflow);
    v.flag(1, 0x02, p.underflow);
    v.octet(2, p.response);
    v.octet(3, p.status);
    v.u32(16, p.initiator_task_tag);
    sequence_numbers::fields(v, p.sn);
    v.u32(36, p.exp_data_sn);
    v.u32(44, p.residual_count);
  }
};

/// [RFC7143 11.6]
enum class management_response : std::uint8_t {
  function_complete = 0,
  task_does_not_exist = 1,
  lun_does_not_exist = 2,
  task_still_allegiant = 3,
  reassignment_not_supported = 4,
  function_not_supported = 5,
  authorization_failed = 6,
  function_succeeded = 7,
  function_rejected = 255,
};
struct task_management_response {
  static constexpr opcode code = opcode::task_management_response;
  management_response response = management_response::function_complete;
  std::uint32_t initiator_task_tag = 0;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(1, 0x80, always);
    v.octet(2, p.response);
    v.u32(16, p.initiator_task_tag);
    sequence_numbers::fields(v, p.sn);
  }
};

/// [RFC7143 11.7]: status, residual and StatSN count only with `has_status`.
struct data_in {
  static constexpr opcode code = opcode::data_in;
  bool final = false, overflow = false, underflow = false, has_status = false;
  std::uint8_t status = 0;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0, target_transfer_tag = reserved_tag, data_sn = 0, buffer_offset = 0,
                residual_count = 0;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    v.flag(1, 0x80, p.final);
    v.flag(1, 0x04, p.overflow);
    v.flag(1, 0x02, p.underflow);
    v.flag(1, 0x01, p.has_status);
    v.octet(3, p.status);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.target_transfer_tag);
    sequence_numbers::fields(v, p.sn);
    v.u32(36, p.data_sn);
    v.u32(40, p.buffer_offset);
    v.u32(44, p.residual_count);
  }
};

/// [RFC7143 11.8]
struct ready_to_transfer {
  static constexpr opcode code = opcode::r2t;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0, target_transfer_tag = 0, r2t_sn = 0, buffer_offset = 0, desired_length = 0;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(1, 0x80, always);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.target_transfer_tag);
    sequence_numbers::fields(v, p.sn);
    v.u32(36, p.r2t_sn);
    v.u32(40, p.buffer_offset);
    v.u32(44, p.desired_length);
  }
};

/// [RFC7143 11.9]
enum class async_event : std::uint8_t {
  scsi_event = 0,
  logout_requested = 1,
  connection_dropped = 2,
  session_dropped = 3,
  negotiation_requested = 4,
};
struct async_message {
  static constexpr opcode code = opcode::async_message;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = reserved_tag;
  async_event event = async_event::scsi_event;
  std::uint8_t vendor_code = 0;
  std::uint16_t parameter1 = 0, parameter2 = 0, parameter3 = 0;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(1, 0x80, always);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    sequence_numbers::fields(v, p.sn);
    v.octet(36, p.event);
    v.octet(37, p.vendor_code);
    v.u16(38, p.parameter1);
    v.u16(40, p.parameter2);
    v.u16(42, p.parameter3);
  }
};

/// [RFC7143 11.11]
struct text_response {
  static constexpr opcode code = opcode::text_response;
  bool final = true, continues = false;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0, target_transfer_tag = reserved_tag;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    v.flag(1, 0x80, p.final);
    v.flag(1, 0x40, p.continues);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.target_transfer_tag);
    sequence_numbers::fields(v, p.sn);
  }
};

/// Status-Class and Status-Detail as one number [RFC7143 11.13.5].
enum class login_status : std::uint16_t {
  success = 0x0000,
  initiator_error = 0x0200,
  authentication_failure = 0x0201,
  authorization_failure = 0x0202,
  not_found = 0x0203,
  target_removed = 0x0204,
  unsupported_version = 0x0205,
  too_many_connections = 0x0206,
  missing_parameter = 0x0207,
  cannot_include_in_session = 0x0208,
  session_type_not_supported = 0x0209,
  session_does_not_exist = 0x020a,
  invalid_during_login = 0x020b,
  target_error = 0x0300,
  service_unavailable = 0x0301,
  out_of_resources = 0x0302,
};

const char* to_string(login_status status);  // in an operator's words

/// [RFC7143 11.13]
struct login_response {
  static constexpr opcode code = opcode::login_response;
  bool transit = false, continues = false;
  std::uint8_t current_stage = 0, next_stage = 0, version_max = 0, version_active = 0;
  std::uint64_t isid = 0;
  std::uint16_t tsih = 0;
  std::uint32_t initiator_task_tag = 0;
  login_status status = login_status::success;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    v.flag(1, 0x80, p.transit);
    v.flag(1, 0x40, p.continues);
    v.bits(1, 0x0c, 2, p.current_stage);
    v.bits(1, 0x03, 0, p.next_stage);
    v.octet(2, p.version_max);
    v.octet(3, p.version_active);
    v.u48(8, p.isid);
    v.u16(14, p.tsih);
    v.u32(16, p.initiator_task_tag);
    sequence_numbers::fields(v, p.sn);
    auto raw = static_cast<std::uint16_t>(p.status);
    v.u16(36, raw);
    if constexpr (!std::is_const_v<P>) p.status = static_cast<login_status>(raw);
  }
};

/// [RFC7143 11.15]
enum class logout_result : std::uint8_t {
  closed = 0,
  cid_not_found = 1,
  recovery_not_supported = 2,
  cleanup_failed = 3,
};
struct logout_response {
  static constexpr opcode code = opcode::logout_response;
  logout_result response = logout_result::closed;
  std::uint32_t initiator_task_tag = 0;
  std::uint16_t time2wait = 0, time2retain = 0;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(1, 0x80, always);
    v.octet(2, p.response);
    v.u32(16, p.initiator_task_tag);
    sequence_numbers::fields(v, p.sn);
    v.u16(40, p.time2wait);
    v.u16(42, p.time2retain);
  }
};

/// [RFC7143 11.17.1]
enum class reject_reason : std::uint8_t {
  data_digest_error = 0x02,
  snack_reject = 0x03,
  protocol_error = 0x04,
  command_not_supported = 0x05,
  too_many_immediate_commands = 0x06,
  task_in_progress = 0x07,
  invalid_data_ack = 0x08,
  invalid_pdu_field = 0x09,
  out_of_resources = 0x0a,
  waiting_for_logout = 0x0c,
};
/// The rejected BHS follows as data.
struct reject {
  static constexpr opcode code = opcode::reject;
  reject_reason reason = reject_reason::protocol_error;
  std::uint32_t initiator_task_tag = reserved_tag;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(1, 0x80, always);
    v.octet(2, p.reason);
    v.u32(16, p.initiator_task_tag);
    sequence_numbers::fields(v, p.sn);
  }
};

/// [RFC7143 11.19]
struct nop_in {
  static constexpr opcode code = opcode::nop_in;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = reserved_tag, target_transfer_tag = reserved_tag;
  sequence_numbers sn;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(1, 0x80, always);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.target_transfer_tag);
    sequence_numbers::fields(v, p.sn);
  }
};

}  // namespace sluice::iscsi
