#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/chap.hpp"
#include "fabrics/iscsi/negotiation.hpp"
#include "fabrics/iscsi/portal_table.hpp"
#include "fabrics/iscsi/requests.hpp"
#include "fabrics/iscsi/session_handles.hpp"
#include "fabrics/port/nexus_endpoint.hpp"

/// The login phase of a target [RFC7143 6.3, 11.12, 11.13] as a pure state machine: one Login Request in, one Login
/// Response out.
namespace sluice::iscsi {

struct login_options {
  unsigned max_rounds = 64;  // login requests before we lose patience
  offer ours;                // until the port is known, and for discovery
};

/// What the login needs to know of the world; all answered at once.
struct login_world {
  /// The port that a canonical TargetName means at this portal; null when none is served here.
  std::function<served_port_ptr(const std::string& target_name)> find;
  /// Access of an initiator; nullopt when the port takes no logins now.
  std::function<std::optional<port::access>(const port::port_id& port, const std::string& initiator)> check;
  /// By what a discovery session of an initiator may prove itself here; null: by nothing.
  std::function<std::shared_ptr<const port::credentials>(const std::string& initiator)> discovery;
  std::function<void(bytes)> random;  // fills with unpredictable octets
  std::function<bool(std::uint16_t tsih)> session_exists;
  /// Whether a discovery session has to prove itself here; empty: never.
  std::function<bool()> discovery_must_prove = {};
  /// A session whose connection may be reinstated; empty: there are none.
  std::function<std::optional<session_identity>(std::uint16_t tsih)> session_of = {};
};

enum class login_verdict : std::uint8_t {
  more,    // send the response and wait for the next request
  done,    // the response ends the login; open the nexus, put the TSIH in, then send it (or fail() instead)
  failed,  // send the response, then close the connection
};

struct login_step {
  login_verdict verdict = login_verdict::more;
  login_response response;  // sn.stat_sn is set; exp_cmd_sn and max_cmd_sn from the request
  std::string data;
  login_status cause = login_status::success;  // for the log: what the initiator is not told
};

class login_machine {
 public:
  login_machine(const login_options& options, const login_world& world)
      : options_(options), world_(world), negotiator_(options.ours) {}

  /// Takes one Login Request and its data segment (at most 8192 octets; the caller checked).
  login_step take(const login_request& request, const_bytes data);
  /// The response that refuses the request taken last: for failures that the machine cannot know, such as open().
  login_step fail(login_status status);

  const session_parameters& parameters() const { return negotiator_.parameters; }
  /// The keys negotiated so far, for the full feature phase.
  const negotiator& keys() const { return negotiator_; }
  /// The port asked for; null for a discovery session and before TargetName was taken.
  const served_port_ptr& port() const { return port_; }
  /// The session whose connection this login replaces [RFC7143 6.3.4]; 0: it begins one.
  std::uint16_t reinstates() const { return continued_ ? first_.tsih : std::uint16_t{0}; }
  std::uint64_t isid() const { return first_.isid; }
  std::uint16_t cid() const { return first_.cid; }
  std::uint32_t next_stat_sn() const { return stat_sn_; }
  std::uint32_t cmd_sn() const { return request_.cmd_sn; }
  bool started() const { return rounds_ > 0; }
  /// Whether the request taken last was a response to our CHAP challenge, and what it was worth.
  enum class proof : std::uint8_t { none, wrong, right };
  proof proved() const { return proof_; }
  /// What is known of who asks for a session.
  enum class standing : std::uint8_t {
    unknown,   // nothing yet, or it wants to discover
    admitted,  // the port admits its name, and asks for no more
    proving    // the port admits its name, and it is proving that it knows the secret, or has
  };
  standing how_far() const;
  /// Octets of text that has not ended.
  std::uint64_t held() const { return incoming_.held(); }
  /// What text that comes in several requests is charged to.
  void pay_by(memory::charge payment) { incoming_.pay_by(std::move(payment)); }

 private:
  enum class stage : std::uint8_t { security = 0, operational = 1, full_feature = 3 };
  enum class method : std::uint8_t { undecided, none, chap };

  login_status check_request(const login_request& request) const;
  login_status find_session();
  bool is_of_session() const;
  login_status check_first(const login_request& request) const;
  login_status take_text(const_bytes text, std::string& answer);
  login_status take_security_key(text_pair key, std::string& answer);
  login_status take_chap(std::string& answer);
  login_status choose_method(std::string_view methods, std::string& answer);
  login_status after_leading(std::string& answer);
  login_status resolve_access();
  bool authentication_settled() const;
  login_step answer(std::string text);
  login_step piece();
  login_response base_response() const;

  login_options options_;
  login_world world_;
  negotiator negotiator_;
  served_port_ptr port_;
  chap_authenticator chap_;
  chap_credentials credentials_;
  login_request first_, request_;
  text_accumulator incoming_;
  text_pieces outgoing_;
  unsigned rounds_ = 0;
  std::uint32_t stat_sn_ = 0;
  stage stage_ = stage::security;
  method method_ = method::undecided;
  bool leading_done_ = false;  // the first complete text has been taken
  bool admitted_ = false;      // by its name
  bool authenticated_ = false;
  bool must_hear_ = false;   // our own keys went out: the initiator's answer comes before the stage ends
  bool must_prove_ = false;  // by CHAP, or be refused
  proof proof_ = proof::none;
  std::optional<login_status> cause_;
  std::optional<session_identity> continued_;
  std::uint64_t security_keys_seen_ = 0;
  struct {
    std::optional<std::string> algorithms, name, response, identifier, challenge;
  } chap_keys_;
};

}  // namespace sluice::iscsi
