#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/base/bytes.hpp"
#include "fabrics/port/nexus_endpoint.hpp"

/// Challenge-Handshake Authentication [RFC7143 12.1.3, RFC1994], one-way and mutual.
namespace sluice::iscsi {

/// What an initiator proves itself by, and the gateway to it [RFC7143 12.1.3]; `user` empty: no authentication asked.
struct chap_credentials : port::credentials {
  chap_credentials() = default;
  chap_credentials(std::string of_user, std::string with_secret, std::string of_us = {}, std::string with_ours = {})
      : user(std::move(of_user)),
        secret(std::move(with_secret)),
        mutual_user(std::move(of_us)),
        mutual_secret(std::move(with_ours)) {}
  bool equals(const port::credentials& other) const override {
    const auto& one = static_cast<const chap_credentials&>(other);
    return user == one.user && secret == one.secret && mutual_user == one.mutual_user &&
           mutual_secret == one.mutual_secret;
  }
  std::string user, secret;
  std::string mutual_user, mutual_secret;
};
/// What iSCSI keeps with an access table; none asks for none.
chap_credentials chap_of(const std::shared_ptr<const port::credentials>& kept);

/// [RFC7143 12.1.3] and the IANA registry of PPP authentication algorithms.
enum class chap_algorithm : std::uint8_t { none = 0, md5 = 5, sha1 = 6, sha256 = 7, sha3_256 = 8 };

/// digest(identifier | secret | challenge): the CHAP response; empty when the algorithm is unknown or unavailable.
std::vector<std::uint8_t> chap_response(chap_algorithm algorithm, std::uint8_t identifier, std::string_view secret,
                                        const_bytes challenge);
/// Octets of a digest, which is also the length of the challenges we send.
std::size_t chap_digest_bytes(chap_algorithm algorithm);
/// Compares in a time that depends on the lengths only.
bool equal_in_constant_time(const_bytes a, const_bytes b);

enum class chap_verdict : std::uint8_t { more, authenticated, failed, malformed };

/// The target's side of one exchange; a value without I/O.
class chap_authenticator {
 public:
  chap_authenticator() = default;
  explicit chap_authenticator(chap_credentials credentials) : credentials_(std::move(credentials)) {}

  /// CHAP_A: picks the initiator's first algorithm that we have and take, and answers CHAP_A, CHAP_I, CHAP_C. `random`
  /// gives at least 33 unpredictable octets: the identifier and the challenge. `weakest`: the lowest number taken.
  chap_verdict propose(std::string_view algorithms, chap_algorithm weakest, const_bytes random, std::string& answer);
  /// CHAP_N and CHAP_R, with CHAP_I and CHAP_C when the initiator wants us to prove ourselves too.
  struct reply {
    std::string_view name, response;
    std::optional<std::string_view> identifier, challenge;
  };
  chap_verdict verify(const reply& from_initiator, std::string& answer);
  bool proposed() const { return algorithm_ != chap_algorithm::none; }

 private:
  chap_verdict prove_ourselves(const reply& from_initiator, std::string& answer) const;
  chap_credentials credentials_;
  chap_algorithm algorithm_ = chap_algorithm::none;
  std::uint8_t identifier_ = 0;
  std::vector<std::uint8_t> challenge_;
};

}  // namespace sluice::iscsi
