#pragma once
#include "fabrics/iscsi/pdu.hpp"

/// PDUs from the initiator.
namespace sluice::iscsi {

/// [RFC7143 11.3]
struct scsi_command {
  static constexpr opcode code = opcode::scsi_command;
  bool immediate = false, final = true, read = false, write = false;
  std::uint8_t attribute = 1;  // 0 untagged, 1 simple, 2 ordered, 3 head of queue, 4 ACA
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0, expected_data_transfer_length = 0, cmd_sn = 0, exp_stat_sn = 0;
  std::array<std::uint8_t, 16> cdb{};

  template <class V, class P>
  static void fields(V& v, P& p) {
    v.flag(0, 0x40, p.immediate);
    v.flag(1, 0x80, p.final);
    v.flag(1, 0x40, p.read);
    v.flag(1, 0x20, p.write);
    v.bits(1, 0x07, 0, p.attribute);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.expected_data_transfer_length);
    v.u32(24, p.cmd_sn);
    v.u32(28, p.exp_stat_sn);
    v.raw(32, p.cdb);
  }
};

/// [RFC7143 11.5]
struct task_management_request {
  static constexpr opcode code = opcode::task_management_request;
  bool immediate = false;
  std::uint8_t function = 0;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0, referenced_task_tag = reserved_tag, cmd_sn = 0, exp_stat_sn = 0, ref_cmd_sn = 0,
                exp_data_sn = 0;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(0, 0x40, p.immediate);
    v.flag(1, 0x80, always);
    v.bits(1, 0x7f, 0, p.function);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.referenced_task_tag);
    v.u32(24, p.cmd_sn);
    v.u32(28, p.exp_stat_sn);
    v.u32(32, p.ref_cmd_sn);
    v.u32(36, p.exp_data_sn);
  }
};

/// [RFC7143 11.7]
struct data_out {
  static constexpr opcode code = opcode::data_out;
  bool final = false;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0, target_transfer_tag = reserved_tag, exp_stat_sn = 0, data_sn = 0,
                buffer_offset = 0;

  template <class V, class P>
  static void fields(V& v, P& p) {
    v.flag(1, 0x80, p.final);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.target_transfer_tag);
    v.u32(28, p.exp_stat_sn);
    v.u32(36, p.data_sn);
    v.u32(40, p.buffer_offset);
  }
};

/// [RFC7143 11.10]
struct text_request {
  static constexpr opcode code = opcode::text_request;
  bool immediate = false, final = true, continues = false;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0, target_transfer_tag = reserved_tag, cmd_sn = 0, exp_stat_sn = 0;

  template <class V, class P>
  static void fields(V& v, P& p) {
    v.flag(0, 0x40, p.immediate);
    v.flag(1, 0x80, p.final);
    v.flag(1, 0x40, p.continues);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.target_transfer_tag);
    v.u32(24, p.cmd_sn);
    v.u32(28, p.exp_stat_sn);
  }
};

/// [RFC7143 11.12]
struct login_request {
  static constexpr opcode code = opcode::login_request;
  bool immediate = true, transit = false, continues = false;
  std::uint8_t current_stage = 0, next_stage = 0, version_max = 0, version_min = 0;
  std::uint64_t isid = 0;  // 48 bits
  std::uint16_t tsih = 0, cid = 0;
  std::uint32_t initiator_task_tag = 0, cmd_sn = 0, exp_stat_sn = 0;

  template <class V, class P>
  static void fields(V& v, P& p) {
    v.flag(0, 0x40, p.immediate);
    v.flag(1, 0x80, p.transit);
    v.flag(1, 0x40, p.continues);
    v.bits(1, 0x0c, 2, p.current_stage);
    v.bits(1, 0x03, 0, p.next_stage);
    v.octet(2, p.version_max);
    v.octet(3, p.version_min);
    v.u48(8, p.isid);
    v.u16(14, p.tsih);
    v.u32(16, p.initiator_task_tag);
    v.u16(20, p.cid);
    v.u32(24, p.cmd_sn);
    v.u32(28, p.exp_stat_sn);
  }
};

/// [RFC7143 11.14]
struct logout_request {
  static constexpr opcode code = opcode::logout_request;
  bool immediate = false;
  std::uint8_t reason = 0;  // 0 close the session, 1 close the connection, 2 remove it for recovery
  std::uint32_t initiator_task_tag = 0, cmd_sn = 0, exp_stat_sn = 0;
  std::uint16_t cid = 0;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(0, 0x40, p.immediate);
    v.flag(1, 0x80, always);
    v.bits(1, 0x7f, 0, p.reason);
    v.u32(16, p.initiator_task_tag);
    v.u16(20, p.cid);
    v.u32(24, p.cmd_sn);
    v.u32(28, p.exp_stat_sn);
  }
};

/// [RFC7143 11.16]
struct snack_request {
  static constexpr opcode code = opcode::snack;
  std::uint8_t type = 0;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0, target_transfer_tag = reserved_tag, exp_stat_sn = 0, beg_run = 0,
                run_length = 0;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(1, 0x80, always);
    v.bits(1, 0x0f, 0, p.type);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.target_transfer_tag);
    v.u32(28, p.exp_stat_sn);
    v.u32(40, p.beg_run);
    v.u32(44, p.run_length);
  }
};

/// [RFC7143 11.18]
struct nop_out {
  static constexpr opcode code = opcode::nop_out;
  bool immediate = false;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = reserved_tag, target_transfer_tag = reserved_tag, cmd_sn = 0, exp_stat_sn = 0;

  template <class V, class P>
  static void fields(V& v, P& p) {
    bool always = true;
    v.flag(0, 0x40, p.immediate);
    v.flag(1, 0x80, always);
    v.u64(8, p.lun);
    v.u32(16, p.initiator_task_tag);
    v.u32(20, p.target_transfer_tag);
    v.u32(24, p.cmd_sn);
    v.u32(28, p.exp_stat_sn);
  }
};

/// Functions of a task management request [RFC7143 11.5.1, RFC7144 4.3].
enum class management_function : std::uint8_t {
  abort_task = 1,
  abort_task_set = 2,
  clear_aca = 3,
  clear_task_set = 4,
  logical_unit_reset = 5,
  target_warm_reset = 6,
  target_cold_reset = 7,
  task_reassign = 8,
  query_task = 9,
  query_task_set = 10,
  i_t_nexus_reset = 11,
  query_asynchronous_event = 12,
};

}  // namespace sluice::iscsi
