#include "fabrics/iscsi/chap.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

#include "fabrics/iscsi/text.hpp"

namespace sluice::iscsi {
namespace {

constexpr std::size_t max_chap_bytes = 1024;

const EVP_MD* digest_of(chap_algorithm algorithm) {
  switch (algorithm) {
    case chap_algorithm::md5:
      return EVP_md5();
    case chap_algorithm::sha1:
      return EVP_sha1();
    case chap_algorithm::sha256:
      return EVP_sha256();
    case chap_algorithm::sha3_256:
      return EVP_sha3_256();
    case chap_algorithm::none:
      break;
  }
  return nullptr;
}

/// A host in FIPS mode has no MD5; then CHAP_A=5 is passed over rather than failing later.
bool available(chap_algorithm algorithm) {
  return digest_of(algorithm) && !chap_response(algorithm, 0, "probe", as_bytes("probe")).empty();
}

chap_algorithm pick(std::string_view list, chap_algorithm weakest) {
  chap_algorithm chosen = chap_algorithm::none;
  for_each_item(list, [&](std::string_view item) {
    const std::optional<std::uint64_t> number = parse_number(item);
    if (chosen != chap_algorithm::none || !number || *number < 5 || *number > 8) return;
    const auto candidate = static_cast<chap_algorithm>(*number);
    if (candidate >= weakest && available(candidate)) chosen = candidate;
  });
  return chosen;
}

}  // namespace

std::size_t chap_digest_bytes(chap_algorithm algorithm) {
  const EVP_MD* digest = digest_of(algorithm);
  return digest ? static_cast<std::size_t>(EVP_MD_get_size(digest)) : 0;
}

chap_credentials chap_of(const std::shared_ptr<const port::credentials>& kept) {
  // What read_access() of this fabric made: nobody else hands credentials to it.
  return kept ? static_cast<const chap_credentials&>(*kept) : chap_credentials();
}

std::vector<std::uint8_t> chap_response(chap_algorithm algorithm, std::uint8_t identifier, std::string_view secret,
                                        const_bytes challenge) {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::vector<std::uint8_t> out(chap_digest_bytes(algorithm));
  if (out.empty() || !context) return {};
  const bool done = EVP_DigestInit_ex(context.get(), digest_of(algorithm), nullptr) == 1 &&
                    EVP_DigestUpdate(context.get(), &identifier, 1) == 1 &&
                    EVP_DigestUpdate(context.get(), secret.data(), secret.size()) == 1 &&
                    EVP_DigestUpdate(context.get(), challenge.data(), challenge.size()) == 1 &&
                    EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1;
  if (!done) out.clear();
  return out;
}

bool equal_in_constant_time(const_bytes a, const_bytes b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

chap_verdict chap_authenticator::propose(std::string_view algorithms, chap_algorithm weakest, const_bytes random,
                                         std::string& answer) {
  if (proposed()) return chap_verdict::malformed;
  algorithm_ = pick(algorithms, weakest);
  const std::size_t length = chap_digest_bytes(algorithm_);
  if (length == 0 || random.size() < length + 1) return chap_verdict::failed;
  identifier_ = random[0];
  challenge_.assign(random.begin() + 1, random.begin() + 1 + static_cast<std::ptrdiff_t>(length));
  append_text(answer, "CHAP_A", std::to_string(static_cast<unsigned>(algorithm_)));
  append_text(answer, "CHAP_I", std::to_string(identifier_));
  append_text(answer, "CHAP_C", to_hex(challenge_));
  return chap_verdict::more;
}

chap_verdict chap_authenticator::verify(const reply& from_initiator, std::string& answer) {
  if (!proposed()) return chap_verdict::malformed;
  const auto response = parse_binary(from_initiator.response, max_chap_bytes);
  if (!response) return chap_verdict::malformed;
  const std::vector<std::uint8_t> expected = chap_response(algorithm_, identifier_, credentials_.secret, challenge_);
  // Both comparisons always run, so that a wrong name takes as long as a wrong secret.
  const bool name_fits = equal_in_constant_time(as_bytes(from_initiator.name), as_bytes(credentials_.user));
  const bool secret_fits = !expected.empty() && equal_in_constant_time(*response, expected);
  if (!name_fits || !secret_fits) return chap_verdict::failed;
  if (from_initiator.identifier.has_value() != from_initiator.challenge.has_value()) return chap_verdict::malformed;
  if (!from_initiator.challenge) return chap_verdict::authenticated;
  return prove_ourselves(from_initiator, answer);
}

chap_verdict chap_authenticator::prove_ourselves(const reply& from_initiator, std::string& answer) const {
  const auto identifier = parse_number(*from_initiator.identifier);
  const auto challenge = parse_binary(*from_initiator.challenge, max_chap_bytes);
  if (!identifier || *identifier > 255 || !challenge) return chap_verdict::malformed;
  if (credentials_.mutual_secret.empty()) return chap_verdict::failed;
  // Reflection: our own challenge back, or one secret for both directions, would let the peer answer with our words.
  if (*challenge == challenge_ || credentials_.mutual_secret == credentials_.secret) return chap_verdict::failed;
  const auto proof =
      chap_response(algorithm_, static_cast<std::uint8_t>(*identifier), credentials_.mutual_secret, *challenge);
  append_text(answer, "CHAP_N", credentials_.mutual_user);
  append_text(answer, "CHAP_R", to_hex(proof));
  return chap_verdict::authenticated;
}

}  // namespace sluice::iscsi
