#include "fabrics/iscsi/negotiation.hpp"

#include <algorithm>
#include <optional>

#include "fabrics/iscsi/name.hpp"

namespace sluice::iscsi {
namespace {

using P = session_parameters;
using field = std::uint32_t P::*;
using flag = bool P::*;

enum class rule : std::uint8_t {
  list,         // first of the initiator's items that we take
  flag_and,     // Yes only when both say Yes
  flag_or,      // No only when both say No
  minimum,      // the smaller of both
  maximum,      // the larger of both
  declared,     // a number that the initiator says of itself
  name,         // a name that the initiator says of itself or of the target
  target_only,  // only a target may say it
  session_type,
  declared_flag,  // Yes or No, that the initiator says of itself
  unanswered,     // something that the initiator says of itself, and nobody here needs to know
  always_no,      // obsolete markers [RFC7143 13.25]
  always_reject,
};
enum class use : std::uint8_t { leading, login, everywhere };

struct row {
  std::string_view key;
  rule how;
  use when;
  std::uint32_t lowest = 0, highest = 0;
  field number = nullptr;
  flag yes_no = nullptr;
  std::string P::*text = nullptr;
  bool rdma_only = false;
};

constexpr std::uint32_t max_bytes = (1u << 24) - 1;
constexpr row table[] = {
    {"HeaderDigest", rule::list, use::login, 0, 0, nullptr, &P::header_digest},
    {"DataDigest", rule::list, use::login, 0, 0, nullptr, &P::data_digest},
    {"MaxConnections", rule::minimum, use::login, 1, 65535, &P::max_connections},
    {"TargetName", rule::name, use::leading, 0, 0, nullptr, nullptr, &P::target_name},
    {"InitiatorName", rule::name, use::leading, 0, 0, nullptr, nullptr, &P::initiator_name},
    {"TargetAlias", rule::target_only, use::everywhere},
    {"InitiatorAlias", rule::name, use::everywhere, 0, 0, nullptr, nullptr, &P::initiator_alias},
    {"TargetAddress", rule::target_only, use::everywhere},
    {"TargetPortalGroupTag", rule::target_only, use::everywhere},
    {"InitialR2T", rule::flag_or, use::login, 0, 0, nullptr, &P::initial_r2t},
    {"ImmediateData", rule::flag_and, use::login, 0, 0, nullptr, &P::immediate_data},
    {"MaxRecvDataSegmentLength", rule::declared, use::everywhere, 512, max_bytes, &P::max_recv_initiator},
    {"MaxBurstLength", rule::minimum, use::login, 512, max_bytes, &P::max_burst_length},
    {"FirstBurstLength", rule::minimum, use::login, 512, max_bytes, &P::first_burst_length},
    {"DefaultTime2Wait", rule::maximum, use::login, 0, 3600, &P::default_time2wait},
    {"DefaultTime2Retain", rule::minimum, use::login, 0, 3600, &P::default_time2retain},
    {"MaxOutstandingR2T", rule::minimum, use::login, 1, 65535, &P::max_outstanding_r2t},
    {"DataPDUInOrder", rule::flag_or, use::login, 0, 0, nullptr, &P::data_pdu_in_order},
    {"DataSequenceInOrder", rule::flag_or, use::login, 0, 0, nullptr, &P::data_sequence_in_order},
    {"ErrorRecoveryLevel", rule::minimum, use::login, 0, 2, &P::error_recovery_level},
    {"SessionType", rule::session_type, use::leading},
    {"iSCSIProtocolLevel", rule::minimum, use::login, 0, 31, &P::protocol_level},
    {"TaskReporting", rule::list, use::login},
    {"RDMAExtensions", rule::flag_and, use::login, 0, 0, nullptr, &P::rdma},
    {"TargetRecvDataSegmentLength", rule::minimum, use::login, 512, max_bytes, &P::max_recv_target, nullptr, nullptr,
     true},
    {"InitiatorRecvDataSegmentLength", rule::minimum, use::login, 128, max_bytes, &P::max_recv_initiator, nullptr,
     nullptr, true},
    {"TaggedBufferForSolicitedDataOnly", rule::declared_flag, use::login, 0, 0, nullptr, &P::tagged_for_solicited_only,
     nullptr, true},
    {"MaxOutstandingUnexpectedPDUs", rule::unanswered, use::login, 0, 0, nullptr, nullptr, nullptr, true},
    {"MaxAHSLength", rule::unanswered, use::login, 0, 0, nullptr, nullptr, nullptr, true},
    {"iSERHelloRequired", rule::unanswered, use::login, 0, 0, nullptr, nullptr, nullptr, true},
    {"IFMarker", rule::always_no, use::login},
    {"OFMarker", rule::always_no, use::login},
    {"IFMarkInt", rule::always_reject, use::login},
    {"OFMarkInt", rule::always_reject, use::login},
};
static_assert(std::size(table) <= 64, "negotiator::seen_ holds a bit per row");

std::uint32_t our_number(const row& r, const offer& ours) {
  if (r.number == &P::max_burst_length) return ours.max_burst_length;
  if (r.number == &P::first_burst_length) return ours.first_burst_length;
  if (r.number == &P::max_outstanding_r2t) return ours.max_outstanding_r2t;
  if (r.number == &P::max_recv_target || r.number == &P::max_recv_initiator) return ours.max_recv_data_segment_length;
  if (r.number == &P::max_connections) return 1;
  if (r.number == &P::protocol_level) return 2;      // RFC 7144
  return r.number == &P::default_time2wait ? 2 : 0;  // at ErrorRecoveryLevel 0 nothing is retained
}

bool our_flag(const row& r, const offer& ours) {
  if (r.yes_no == &P::initial_r2t) return ours.initial_r2t;
  if (r.yes_no == &P::immediate_data) return ours.immediate_data;
  if (r.yes_no == &P::rdma) return ours.rdma;
  return true;  // in-order data, always
}

bool allowed(use when, phase now) {
  switch (when) {
    case use::leading:
      return now == phase::leading_login;
    case use::login:
      return now == phase::login_operational;
    case use::everywhere:
      return true;
  }
  return false;
}

/// Digests are switched by the answer; TaskReporting has nothing to switch: with one connection RFC3720's rule and the
/// response fence are the same.
void take_list(const row& r, const offer& ours, std::string_view value, P& into, std::string& answer) {
  const bool digest = r.yes_no != nullptr;
  const bool header = r.yes_no == &P::header_digest;
  const bool crc = header ? ours.header_digest : ours.data_digest;
  const bool none = header ? !ours.header_digest_required : !ours.data_digest_required;
  std::string_view chosen;
  for_each_item(value, [&](std::string_view item) {
    const bool take = digest ? ((item == "None" && none) || (item == "CRC32C" && crc))
                             : (item == "RFC3720" || item == "ResponseFence");
    if (chosen.empty() && take) chosen = item;
  });
  if (digest) into.*r.yes_no = chosen == "CRC32C";
  append_text(answer, r.key, chosen.empty() ? "Reject" : chosen);
}

void take_flag(const row& r, const offer& ours, std::string_view value, P& into, std::string& answer) {
  if (value != "Yes" && value != "No") return append_text(answer, r.key, "Reject");
  const bool theirs = value == "Yes", mine = our_flag(r, ours);
  into.*r.yes_no = r.how == rule::flag_and ? (theirs && mine) : (theirs || mine);
  append_text(answer, r.key, into.*r.yes_no ? "Yes" : "No");
}

void take_number(const row& r, const offer& ours, std::string_view value, P& into, std::string& answer) {
  const std::optional<std::uint64_t> theirs = parse_number(value);
  if (!theirs || *theirs < r.lowest || *theirs > r.highest) return append_text(answer, r.key, "Reject");
  const auto number = static_cast<std::uint32_t>(*theirs);
  if (r.how == rule::declared) {
    into.*r.number = number;
    return;
  }
  const std::uint32_t mine = our_number(r, ours);
  into.*r.number = r.how == rule::minimum ? std::min(number, mine) : std::max(number, mine);
  append_text(answer, r.key, std::to_string(into.*r.number));
  // Linux has receives for no more, whatever it says.
  if (r.rdma_only && r.number == &P::max_recv_initiator)
    into.max_recv_initiator = std::min(into.max_recv_initiator, 128u);
}

key_verdict take_name(const row& r, std::string_view value, P& into) {
  const bool is_name = r.text != &P::initiator_alias;
  if (is_name && !name_problem(value).empty()) return key_verdict::bad_value;
  if (value.size() > 255) return key_verdict::bad_value;
  into.*r.text = is_name ? canonical_name(value) : std::string(value);
  return key_verdict::ok;
}

key_verdict take_session_type(std::string_view value, P& into) {
  if (value != "Discovery" && value != "Normal") return key_verdict::bad_session_type;
  into.discovery = value == "Discovery";
  return key_verdict::ok;
}

/// Who is who and what for, said once more and as before: some initiators do when they had offered CHAP and were not
/// asked for it.
bool repeats(const row& r, std::string_view value, const P& said) {
  P again = said;
  if (r.how == rule::name) return take_name(r, value, again) == key_verdict::ok && again.*r.text == said.*r.text;
  return r.how == rule::session_type && take_session_type(value, again) == key_verdict::ok &&
         again.discovery == said.discovery;
}

/// Whether a key is the session's, so that only its first login negotiates it.
bool is_leading_only(const row& r) {
  return r.when == use::login && r.yes_no != &P::header_digest && r.yes_no != &P::data_digest;
}

bool is_same(const row& r, const P& one, const P& other) {
  if (r.number) return one.*r.number == other.*r.number;
  return !r.yes_no || one.*r.yes_no == other.*r.yes_no;
}

void negotiate(const row& r, const offer& ours, std::string_view value, P& into, std::string& answer) {
  switch (r.how) {
    case rule::list:
      return take_list(r, ours, value, into, answer);
    case rule::flag_and:
    case rule::flag_or:
      return take_flag(r, ours, value, into, answer);
    case rule::minimum:
    case rule::maximum:
    case rule::declared:
      return take_number(r, ours, value, into, answer);
    case rule::declared_flag:
      if (value == "Yes" || value == "No") into.*r.yes_no = value == "Yes";
      return;
    case rule::unanswered:
      return;
    case rule::always_no:
      return append_text(answer, r.key, "No");
    case rule::target_only:
    case rule::always_reject:
    case rule::name:
    case rule::session_type:
      return append_text(answer, r.key, "Reject");
  }
}

/// A key of a session that goes on: what it leads to is what it led to before, or it is rejected.
void negotiate_again(const row& r, const offer& ours, std::string_view value, const P& kept, std::string& answer) {
  P would_be = kept;
  std::string would_say;
  negotiate(r, ours, value, would_be, would_say);
  if (!is_same(r, would_be, kept)) return append_text(answer, r.key, "Reject");
  answer += would_say;
}

}  // namespace

void negotiator::keep(const session_parameters& of_session) {
  const session_parameters fresh;
  parameters = of_session;
  parameters.header_digest = false;
  parameters.data_digest = false;
  parameters.max_recv_initiator = fresh.max_recv_initiator;
  parameters.max_recv_target = fresh.max_recv_target;
  ours_.data_digest = ours_.data_digest_required = of_session.data_digest;
  keeps_session_ = true;
}

key_verdict negotiator::take(phase when, text_pair pair, std::string& answer_to_offers) {
  const auto* found = std::find_if(std::begin(table), std::end(table), [&](const row& r) { return r.key == pair.key; });
  if (found == std::end(table) || (found->rdma_only && !ours_.rdma)) {
    append_text(answer_to_offers, pair.key, "NotUnderstood");
    return key_verdict::ok;
  }
  const auto index = static_cast<std::size_t>(found - std::begin(table));
  if (seen_.test(index)) return repeats(*found, pair.value, parameters) ? key_verdict::ok : key_verdict::duplicate;
  seen_.set(index);
  // An answer to what we offered is not answered again.
  std::string unsaid;
  std::string& answer = offered_.test(index) ? unsaid : answer_to_offers;
  if (!allowed(found->when, when)) return key_verdict::wrong_phase;
  if (found->how == rule::name) return take_name(*found, pair.value, parameters);
  if (found->how == rule::session_type) return take_session_type(pair.value, parameters);
  // Over RDMA it says nothing: InitiatorRecvDataSegmentLength does [RFC7145 6.2].
  if (found->how == rule::declared && ours_.rdma && !parameters.discovery) return key_verdict::ok;
  if (keeps_session_ && is_leading_only(*found)) {
    negotiate_again(*found, ours_, pair.value, parameters, answer);
    return key_verdict::ok;
  }
  negotiate(*found, ours_, pair.value, parameters, answer);
  // FirstBurstLength may not pass MaxBurstLength [RFC7143 13.14], in whatever order they came.
  parameters.first_burst_length = std::min(parameters.first_burst_length, parameters.max_burst_length);
  return key_verdict::ok;
}

bool negotiator::offer_rest(std::string& answer) {
  if (rest_offered_ || keeps_session_) return false;
  rest_offered_ = true;
  const session_parameters defaults;
  for (std::size_t i = 0; i < std::size(table); ++i) {
    const row& r = table[i];
    if (seen_.test(i)) continue;
    std::string value;
    if (r.yes_no == &P::immediate_data && defaults.immediate_data && !ours_.immediate_data)
      value = "No";
    else if ((r.number == &P::max_burst_length || r.number == &P::first_burst_length) &&
             our_number(r, ours_) < defaults.*r.number)
      value = std::to_string(our_number(r, ours_));
    if (value.empty()) continue;
    offered_.set(i);
    append_text(answer, r.key, value);
  }
  return offered_.any();
}

void negotiator::declare(std::string& answer) {
  if (declared_ || (ours_.rdma && !parameters.discovery)) return;
  declared_ = true;
  parameters.max_recv_target = ours_.max_recv_data_segment_length;
  // Nothing long is asked in discovery, and whoever asks has no share of the memory.
  if (parameters.discovery)
    parameters.max_recv_target = std::min(parameters.max_recv_target, default_max_recv_data_segment_length);
  append_text(answer, "MaxRecvDataSegmentLength", std::to_string(parameters.max_recv_target));
}

std::string session_parameters::describe() const {
  std::string out = "HeaderDigest=";
  out += header_digest ? "CRC32C" : "None";
  out += data_digest ? " DataDigest=CRC32C" : " DataDigest=None";
  out += initial_r2t ? " InitialR2T=Yes" : " InitialR2T=No";
  out += immediate_data ? " ImmediateData=Yes" : " ImmediateData=No";
  out += " MaxBurstLength=" + std::to_string(max_burst_length);
  out += " FirstBurstLength=" + std::to_string(first_burst_length);
  out += " MaxOutstandingR2T=" + std::to_string(max_outstanding_r2t);
  return rdma ? out + " RDMAExtensions=Yes" : out;
}

}  // namespace sluice::iscsi
