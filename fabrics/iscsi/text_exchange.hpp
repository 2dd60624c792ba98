#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/negotiation.hpp"
#include "fabrics/iscsi/requests.hpp"

namespace sluice::iscsi {

/// Text negotiation of the full feature phase [RFC7143 11.10, 11.11], SendTargets with it [RFC7143 Appendix C]: one
/// request in, one answer out.
class text_exchange {
 public:
  /// Which targets to list; `name` empty: all that the initiator may see. Answers TargetName and TargetAddress pairs.
  using list_targets = std::function<std::shared_ptr<const std::string>(const std::string& name)>;

  struct step {
    bool rejected = false;
    reject_reason reason = reject_reason::protocol_error;
    text_response response;  // F, C and the target transfer tag are set
    std::string_view data;   // valid until the next take()
  };

  text_exchange(negotiator& keys, list_targets list) : keys_(keys), list_(std::move(list)) {}

  /// What text that comes in several requests is charged to.
  void pay_by(memory::charge payment) { incoming_.pay_by(std::move(payment)); }

  /// Octets of text that has not ended.
  std::uint64_t held() const { return incoming_.held(); }

  /// `most`: octets that fit one PDU to the initiator.
  step take(const text_request& request, const_bytes data, std::size_t most);

 private:
  bool take_text(const_bytes text);
  std::shared_ptr<const std::string> send_targets(std::string_view which, std::string& answer) const;
  step refuse(reject_reason reason);
  void reset();

  negotiator& keys_;
  list_targets list_;
  text_accumulator incoming_;
  text_pieces outgoing_;
  std::uint32_t tag_ = 0;  // of the exchange under way
  std::uint32_t last_tag_ = 0;
  bool active_ = false;
};

}  // namespace sluice::iscsi
