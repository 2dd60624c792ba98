#include "fabrics/iscsi/login.hpp"

#include <array>

namespace sluice::iscsi {

const char* to_string(login_status status) {
  switch (status) {
    case login_status::success:
      return "success";
    case login_status::initiator_error:
      return "the initiator broke the protocol";
    case login_status::authentication_failure:
      return "authentication failed";
    case login_status::authorization_failure:
      return "not admitted by the access list";
    case login_status::not_found:
      return "no such target here";
    case login_status::target_removed:
      return "the target is gone";
    case login_status::unsupported_version:
      return "no common version of the protocol";
    case login_status::too_many_connections:
      return "too many connections in the session";
    case login_status::missing_parameter:
      return "a parameter is missing";
    case login_status::cannot_include_in_session:
      return "the connection fits no session";
    case login_status::session_type_not_supported:
      return "session type not supported";
    case login_status::session_does_not_exist:
      return "no such session";
    case login_status::invalid_during_login:
      return "a request that has no place in a login";
    case login_status::target_error:
      return "an error of the target";
    case login_status::service_unavailable:
      return "the target does not serve now";
    case login_status::out_of_resources:
      return "out of resources";
  }
  return "unknown";
}
namespace {

constexpr std::string_view security_keys[] = {"AuthMethod", "CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"};

login_status to_status(key_verdict verdict) {
  switch (verdict) {
    case key_verdict::ok:
      return login_status::success;
    case key_verdict::bad_session_type:
      return login_status::session_type_not_supported;
    case key_verdict::duplicate:
    case key_verdict::wrong_phase:
    case key_verdict::bad_value:
      break;
  }
  return login_status::initiator_error;
}

login_status to_status(chap_verdict verdict) {
  switch (verdict) {
    case chap_verdict::more:
    case chap_verdict::authenticated:
      return login_status::success;
    case chap_verdict::failed:
      return login_status::authentication_failure;
    case chap_verdict::malformed:
      break;
  }
  return login_status::initiator_error;
}

}  // namespace

login_step login_machine::take(const login_request& request, const_bytes data) {
  request_ = request;
  proof_ = proof::none;
  const bool first = rounds_++ == 0;
  if (first) {
    first_ = request;
    stat_sn_ = request.exp_stat_sn;
  }
  if (rounds_ > options_.max_rounds) return fail(login_status::initiator_error);
  login_status status = first ? check_first(request) : check_request(request);
  if (first && status == login_status::success && request.tsih != 0) status = find_session();
  if (status != login_status::success) return fail(status);
  if (first) stage_ = static_cast<stage>(request.current_stage);

  if (!outgoing_.empty()) {  // the initiator asks for the rest of our answer with empty requests
    if (!data.empty() || request.continues) return fail(login_status::initiator_error);
    return piece();
  }
  const bool whole = incoming_.empty() && !request.continues;  // as nearly every text is: it is read where it lies
  if (!whole) {
    const auto room = incoming_.add(data);
    if (room == text_accumulator::room::no_memory) return fail(login_status::out_of_resources);
    if (room != text_accumulator::room::enough) return fail(login_status::initiator_error);
    if (request.continues) return answer({});
  }

  std::string text;
  status = take_text(whole ? data : incoming_.data(), text);
  incoming_.clear();
  if (status != login_status::success) return fail(status);
  must_hear_ = stage_ == stage::operational && request.transit && !negotiator_.parameters.discovery &&
               negotiator_.offer_rest(text);
  return answer(std::move(text));
}

login_status login_machine::check_first(const login_request& request) const {
  if (request.version_min > 0) return login_status::unsupported_version;
  if (request.current_stage > 1) return login_status::initiator_error;
  return check_request(request);
}

/// A session has one connection: whoever names a session may put another one in that one's place, under its CID
/// [RFC7143 6.3.1, 6.3.4].
login_status login_machine::find_session() {
  if (!world_.session_exists(first_.tsih)) return login_status::session_does_not_exist;
  if (world_.session_of) continued_ = world_.session_of(first_.tsih);
  if (continued_ && continued_->isid != first_.isid) return login_status::session_does_not_exist;
  return continued_ && continued_->cid == first_.cid ? login_status::success : login_status::too_many_connections;
}

/// Whether who logs in, and where, is whose session it names.
bool login_machine::is_of_session() const {
  const session_parameters& p = negotiator_.parameters;
  return !p.discovery && continued_->initiator == p.initiator_name && continued_->port == port_->id;
}

login_status login_machine::check_request(const login_request& request) const {
  const bool same = request.isid == first_.isid && request.tsih == first_.tsih && request.cid == first_.cid &&
                    request.initiator_task_tag == first_.initiator_task_tag;
  if (!same) return login_status::initiator_error;
  if (rounds_ > 1 && request.current_stage != static_cast<std::uint8_t>(stage_)) return login_status::initiator_error;
  if (request.transit && request.continues) return login_status::initiator_error;
  if (request.transit && (request.next_stage == 2 || request.next_stage <= request.current_stage))
    return login_status::initiator_error;
  return login_status::success;
}

login_status login_machine::take_text(const_bytes text, std::string& answer) {
  auto pairs = parse_text(text);
  if (!pairs) return login_status::initiator_error;
  const bool leading = !leading_done_;
  const phase when = leading                        ? phase::leading_login
                     : stage_ == stage::operational ? phase::login_operational
                                                    : phase::login_security;
  // Names and the session type decide about everything else, wherever in the text they stand.
  if (leading) {
    for (const text_pair& pair : *pairs) {
      if (pair.key != "InitiatorName" && pair.key != "TargetName" && pair.key != "SessionType") continue;
      const login_status status = to_status(negotiator_.take(when, pair, answer));
      if (status != login_status::success) return status;
    }
    leading_done_ = true;
    const login_status status = after_leading(answer);
    if (status != login_status::success) return status;
  }
  if (stage_ == stage::operational) negotiator_.declare(answer);
  for (const text_pair& pair : *pairs) {
    if (leading && (pair.key == "InitiatorName" || pair.key == "TargetName" || pair.key == "SessionType")) continue;
    const bool security = pair.key == "AuthMethod" || pair.key.starts_with("CHAP_");
    const phase now = stage_ == stage::operational ? phase::login_operational : phase::login_security;
    const login_status status =
        security ? take_security_key(pair, answer) : to_status(negotiator_.take(now, pair, answer));
    if (status != login_status::success) return status;
  }
  return take_chap(answer);
}

login_status login_machine::after_leading(std::string& answer) {
  const session_parameters& p = negotiator_.parameters;
  if (p.initiator_name.empty()) return login_status::missing_parameter;
  if (!p.discovery && p.target_name.empty()) return login_status::missing_parameter;
  const login_status status = resolve_access();
  if (status != login_status::success) return status;
  if (!p.discovery) append_text(answer, "TargetPortalGroupTag", std::to_string(port_->id.group));
  // A login that begins past the security stage has waived its chance to authenticate.
  return stage_ == stage::operational && must_prove_ ? login_status::authentication_failure : login_status::success;
}

login_status login_machine::resolve_access() {
  const session_parameters& p = negotiator_.parameters;
  if (p.discovery && continued_) return login_status::session_does_not_exist;
  if (p.discovery) {  // it shows only what this initiator may see anyway
    credentials_ = chap_of(world_.discovery(p.initiator_name));
    must_prove_ = world_.discovery_must_prove && world_.discovery_must_prove();
    return login_status::success;
  }
  port_ = world_.find(p.target_name);
  if (!port_) return login_status::not_found;
  negotiator_.use(port_->ours);
  const std::optional<port::access> access = world_.check(port_->id, p.initiator_name);
  if (!access) return login_status::service_unavailable;  // it comes, or goes
  credentials_ = chap_of(access->credentials);
  must_prove_ = !credentials_.user.empty();
  // As a target that is not there: who has proved nothing does not learn which there are, or whom they admit.
  if (!access->allowed) cause_ = login_status::authorization_failure;
  admitted_ = access->allowed;
  if (admitted_ && continued_) {
    if (!is_of_session()) return login_status::session_does_not_exist;
    negotiator_.keep(continued_->parameters);
  }
  return access->allowed ? login_status::success : login_status::not_found;
}

login_status login_machine::take_security_key(text_pair key, std::string& answer) {
  if (stage_ != stage::security) return login_status::initiator_error;
  for (std::size_t i = 0; i < std::size(security_keys); ++i) {
    if (key.key != security_keys[i]) continue;
    if (security_keys_seen_ & (1u << i)) return login_status::initiator_error;
    security_keys_seen_ |= 1u << i;
  }
  if (key.key == "AuthMethod") return choose_method(key.value, answer);
  if (key.key == "CHAP_A")
    chap_keys_.algorithms = key.value;
  else if (key.key == "CHAP_N")
    chap_keys_.name = key.value;
  else if (key.key == "CHAP_R")
    chap_keys_.response = key.value;
  else if (key.key == "CHAP_I")
    chap_keys_.identifier = key.value;
  else if (key.key == "CHAP_C")
    chap_keys_.challenge = key.value;
  else
    append_text(answer, key.key, "NotUnderstood");
  return login_status::success;
}

login_status login_machine::choose_method(std::string_view methods, std::string& answer) {
  const bool have_chap = !credentials_.user.empty();
  for_each_item(methods, [&](std::string_view item) {
    if (method_ != method::undecided) return;
    if (item == "CHAP" && have_chap) method_ = method::chap;
    if (item == "None" && !must_prove_) method_ = method::none;
  });
  if (method_ == method::undecided) return login_status::authentication_failure;
  if (method_ == method::chap) chap_ = chap_authenticator(credentials_);
  append_text(answer, "AuthMethod", method_ == method::chap ? "CHAP" : "None");
  return login_status::success;
}

login_status login_machine::take_chap(std::string& answer) {
  auto& keys = chap_keys_;
  const bool any = keys.algorithms || keys.name || keys.response || keys.identifier || keys.challenge;
  if (!any) return login_status::success;
  if (method_ != method::chap || authenticated_) return login_status::initiator_error;
  chap_verdict verdict = chap_verdict::malformed;
  if (keys.algorithms && !keys.name && !keys.response) {
    std::array<std::uint8_t, 33> random;
    world_.random(random);
    verdict = chap_.propose(*keys.algorithms, negotiator_.ours().weakest_chap, random, answer);
  } else if (!keys.algorithms && keys.name && keys.response) {
    verdict = chap_.verify({*keys.name, *keys.response, keys.identifier, keys.challenge}, answer);
    authenticated_ = verdict == chap_verdict::authenticated;
    if (verdict != chap_verdict::malformed) proof_ = authenticated_ ? proof::right : proof::wrong;
  }
  keys = {};
  return to_status(verdict);
}

login_machine::standing login_machine::how_far() const {
  if (!port_ || !admitted_ || proof_ == proof::wrong) return standing::unknown;
  if (method_ == method::chap) return standing::proving;
  return must_prove_ ? standing::unknown : standing::admitted;
}

bool login_machine::authentication_settled() const {
  if (method_ == method::chap) return authenticated_;
  return !must_prove_;
}

login_response login_machine::base_response() const {
  login_response r;
  r.current_stage = request_.current_stage;
  r.isid = request_.isid;
  r.tsih = request_.tsih;
  r.initiator_task_tag = request_.initiator_task_tag;
  r.sn = {stat_sn_, request_.cmd_sn, request_.cmd_sn};
  return r;
}

login_step login_machine::fail(login_status status) {
  login_step step{login_verdict::failed, base_response(), {}};
  step.response.status = status;
  step.cause = cause_.value_or(status);
  ++stat_sn_;
  return step;
}

login_step login_machine::answer(std::string text) {
  outgoing_.load(std::move(text));
  return piece();
}

login_step login_machine::piece() {
  login_step step{login_verdict::more, base_response(), {}};
  step.data = outgoing_.next(default_max_recv_data_segment_length);
  step.response.continues = !outgoing_.empty();
  const bool ready = request_.transit && outgoing_.empty() && !must_hear_;
  if (ready && stage_ == stage::security && !authentication_settled()) {
    // Asking to leave without ever naming a method means None, which these credentials do not allow.
    if (method_ == method::undecided) return fail(login_status::authentication_failure);
  } else if (ready) {
    const bool ends = request_.next_stage == static_cast<std::uint8_t>(stage::full_feature);
    if (ends && !negotiator_.parameters.discovery && !negotiator_.has_what_it_must())
      return fail(login_status::initiator_error);
    step.response.transit = true;
    step.response.next_stage = request_.next_stage;
    stage_ = static_cast<stage>(request_.next_stage);
    if (stage_ == stage::full_feature) step.verdict = login_verdict::done;
  }
  ++stat_sn_;
  return step;
}

}  // namespace sluice::iscsi
