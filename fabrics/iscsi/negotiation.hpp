#pragma once
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>

#include "fabrics/iscsi/chap.hpp"
#include "fabrics/iscsi/pdu.hpp"
#include "fabrics/iscsi/text.hpp"

/// Operational text keys of login and the full feature phase [RFC7143 13], answered from one table.
namespace sluice::iscsi {

/// What this end is ready to do; the target's side of every negotiation.
struct offer {
  bool header_digest = true, data_digest = true;  // CRC32C is accepted when the initiator prefers it
  bool header_digest_required = false, data_digest_required = false;  // a login without it is refused
  chap_algorithm weakest_chap = chap_algorithm::md5;  // of those that are taken, in the order of their numbers
  bool initial_r2t = false, immediate_data = true;
  std::uint32_t max_recv_data_segment_length = 262144;
  std::uint32_t max_burst_length = 1 << 20;
  std::uint32_t first_burst_length = 262144;
  std::uint32_t max_outstanding_r2t = 8;
  bool rdma = false;  // the connection is one of iSER, and a session has to agree on that [RFC7145 6]
};

/// What a session runs with; starts as RFC 7143's defaults.
struct session_parameters {
  bool header_digest = false, data_digest = false;
  bool initial_r2t = true, immediate_data = true;
  bool data_pdu_in_order = true, data_sequence_in_order = true;
  std::uint32_t max_connections = 1;
  std::uint32_t max_recv_initiator =
      default_max_recv_data_segment_length;                              // most that one PDU to the initiator carries
  std::uint32_t max_recv_target = default_max_recv_data_segment_length;  // most that one PDU to us may carry
  std::uint32_t max_burst_length = 262144;
  std::uint32_t first_burst_length = 65536;
  std::uint32_t default_time2wait = 2, default_time2retain = 20;
  std::uint32_t max_outstanding_r2t = 1;
  std::uint32_t error_recovery_level = 0;
  std::uint32_t protocol_level = 1;
  bool discovery = false;
  bool rdma = false;  // data are moved by RDMA
  /// Over RDMA: where an initiator says that the data of a command are begins behind what it sends unasked. So do all
  /// that are known, though RFC 7145 has No for who does not say it.
  bool tagged_for_solicited_only = true;
  std::string initiator_name, initiator_alias, target_name;
  /// "HeaderDigest=CRC32C …" in one line, for status.
  std::string describe() const;
};

/// When a key arrives.
enum class phase : std::uint8_t { leading_login, login_security, login_operational, full_feature };

enum class key_verdict : std::uint8_t {
  ok,           // answered, or declared and nothing to answer
  duplicate,    // negotiated already in this login: an initiator error [RFC7143 6.2]
  wrong_phase,  // not allowed here: an initiator error
  bad_value,    // a declaration that cannot be (an empty or malformed name): an initiator error
  bad_session_type,
};

/// Answers keys one by one, into `parameters`. AuthMethod, the CHAP keys and SendTargets belong to others and must not
/// be given here.
class negotiator {
 public:
  explicit negotiator(const offer& ours) : ours_(ours) {}
  /// Another offer, before any operational key has been taken: the port is known.
  void use(const offer& ours) { ours_ = ours; }
  const offer& ours() const { return ours_; }
  /// The login goes on with a session [RFC7143 6.3.4]: what belongs to the session rather than to its connection is
  /// settled [RFC7143 13, "leading only"], and an offer that would change it is rejected. The data digest stays as
  /// well: whether data may be borrowed belongs to the nexus. After use().
  void keep(const session_parameters& of_session);
  /// Whether the session has the digests that we ask for, and RDMA where it comes by that; told when all keys have been
  /// negotiated.
  bool has_what_it_must() const {
    return parameters.rdma == ours_.rdma && (parameters.header_digest || !ours_.header_digest_required) &&
           (parameters.data_digest || !ours_.data_digest_required);
  }

  /// Takes one key of the initiator; appends our answer, if it needs one, to `answer`.
  key_verdict take(phase when, text_pair key, std::string& answer);
  /// Declares MaxRecvDataSegmentLength, once, in the operational stage; but for a session over RDMA.
  void declare(std::string& answer);
  /// Appends the keys of which the initiator has said nothing and whose defaults we can't keep [RFC7143 6.2, 13]; false
  /// when there are none. Its answers come to take(). Once.
  bool offer_rest(std::string& answer);
  /// Forgets which keys have been seen: at the start of each full feature negotiation.
  void begin_sequence() { seen_.reset(); }

  session_parameters parameters;

 private:
  offer ours_;
  bool declared_ = false;
  bool rest_offered_ = false;
  bool keeps_session_ = false;
  std::bitset<64> seen_, offered_;
};

}  // namespace sluice::iscsi
