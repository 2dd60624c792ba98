#pragma once
#include <string>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"

/// Blocking set-up of an iSCSI session: login, and single commands before the load begins.
namespace sluice::bench {

struct target_address {
  std::string host = "127.0.0.1";
  std::uint16_t port = 3260;
  std::string name;
  std::uint64_t lun = 0;
  std::string initiator = "iqn.2026-11.io.sluice:load";
  std::string chap_user, chap_secret;  // empty: no authentication offered
};

/// A logged-in connection and what was negotiated [RFC7143 13].
struct connection {
  int fd = -1;
  std::uint32_t cmd_sn = 1, max_cmd_sn = 1, exp_stat_sn = 0;
  std::uint32_t target_max_recv = 8192;  // MaxRecvDataSegmentLength of the target
  std::uint32_t first_burst = 65536, max_burst = 262144;
  bool immediate_data = true, initial_r2t = true;
};

/// What this client declares as its MaxRecvDataSegmentLength.
inline constexpr std::uint32_t client_max_recv = 262144;

/// Connects and logs in to a normal session. `number` makes the ISID unique among this process's sessions.
result<connection> log_in(const target_address& target, unsigned number);

/// Logs out and closes. The connection must have no command outstanding.
void log_out(connection& c);

/// One read-type command, waited for; a CHECK CONDITION is a failure that names the sense key, ASC and ASCQ.
result<std::vector<std::uint8_t>> command(connection& c, std::uint64_t lun, const_bytes cdb,
                                          std::uint32_t allocation_length);

/// "sense 5h/24h/00h" of the data segment of a SCSI Response, fixed or descriptor format.
std::string describe_sense(const_bytes data_segment);

struct capacity {
  std::uint64_t blocks = 0;
  std::uint32_t block_size = 0;
};

/// TEST UNIT READY until unit attentions are cleared, then READ CAPACITY (16).
result<capacity> make_ready(connection& c, std::uint64_t lun);

}  // namespace sluice::bench
