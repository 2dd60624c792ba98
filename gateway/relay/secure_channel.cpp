#include "gateway/relay/secure_channel.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "actors/base/check.hpp"

namespace sluice::relay {
namespace {

constexpr char identity[] = "sluice";
constexpr std::uint8_t suite[] = {0x13, 0x01};  // TLS_AES_128_GCM_SHA256

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

result<secret> secret::parse(std::string_view text) {
  secret found;
  if (text.size() != 2 * size) return fail(errc::corrupt, "a secret has 64 hex digits");
  for (std::size_t i = 0; i < size; ++i) {
    const int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
    if (high < 0 || low < 0) return fail(errc::corrupt, "a secret has 64 hex digits");
    found.octets[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return found;
}

std::string secret::to_string() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t each : octets) {
    text += digits[each >> 4];
    text += digits[each & 15];
  }
  return text;
}

secret secret::draw() {
  secret made;
  SLUICE_CHECK(::RAND_bytes(made.octets.data(), static_cast<int>(size)) == 1);
  return made;
}

/// The library's view of this class: octets come from input_ and go to output_, without a copy in between.
struct secure_channel::callbacks {
  static secure_channel& of(BIO* pipe) { return *static_cast<secure_channel*>(::BIO_get_data(pipe)); }

  static int take(BIO* pipe, char* into, int room) {
    ::BIO_clear_retry_flags(pipe);
    secure_channel& self = of(pipe);
    if (self.input_.empty()) {
      ::BIO_set_retry_read(pipe);
      return -1;
    }
    const std::size_t size = std::min(self.input_.size(), static_cast<std::size_t>(room));
    std::memcpy(into, self.input_.data(), size);
    self.input_ = self.input_.subspan(size);
    return static_cast<int>(size);
  }
  static int put(BIO* pipe, const char* from, int size) {
    ::BIO_clear_retry_flags(pipe);
    of(pipe).output_.insert(of(pipe).output_.end(), from, from + size);
    return size;
  }
  static long control(BIO*, int what, long, void*) { return what == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* m = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "octets");
      SLUICE_CHECK(m != nullptr);
      ::BIO_meth_set_read(m, take);
      ::BIO_meth_set_write(m, put);
      ::BIO_meth_set_ctrl(m, control);
      return m;
    }();
    return made;
  }

  /// A session that stands for the secret; null when there is no memory.
  static SSL_SESSION* session_of(SSL* tls, const secret& shared) {
    SSL_SESSION* made = ::SSL_SESSION_new();
    const SSL_CIPHER* cipher = ::SSL_CIPHER_find(tls, suite);
    const bool done = made && cipher && ::SSL_SESSION_set1_master_key(made, shared.octets.data(), secret::size) == 1 &&
                      ::SSL_SESSION_set_cipher(made, cipher) == 1 &&
                      ::SSL_SESSION_set_protocol_version(made, TLS1_3_VERSION) == 1;
    if (done) return made;
    ::SSL_SESSION_free(made);
    return nullptr;
  }
  static int use(SSL* tls, const EVP_MD*, const unsigned char** id, std::size_t* id_size, SSL_SESSION** session) {
    *id = reinterpret_cast<const unsigned char*>(identity);
    *id_size = sizeof identity - 1;
    *session = session_of(tls, static_cast<secure_channel*>(SSL_get_app_data(tls))->shared_);
    return *session != nullptr;
  }
  static int find(SSL* tls, const unsigned char* id, std::size_t id_size, SSL_SESSION** session) {
    *session = nullptr;
    if (std::string_view(reinterpret_cast<const char*>(id), id_size) != identity) return 1;
    *session = session_of(tls, static_cast<secure_channel*>(SSL_get_app_data(tls))->shared_);
    return *session != nullptr;
  }
};

secure_channel::secure_channel(side which, const secret& shared)
    : shared_(shared),
      context_(::SSL_CTX_new(which == side::asks ? ::TLS_client_method() : ::TLS_server_method()), ::SSL_CTX_free),
      tls_(
          [&] {
            SLUICE_CHECK(context_);
            SSL_CTX* c = context_.get();
            ::SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
            ::SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256");
            // Neither side has a certificate: without the secret there is no handshake.
            ::SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
            ::SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
            ::SSL_CTX_set_mode(c, SSL_MODE_AUTO_RETRY);
            ::SSL_CTX_set_psk_use_session_callback(c, callbacks::use);
            ::SSL_CTX_set_psk_find_session_callback(c, callbacks::find);
            SSL* made = ::SSL_new(c);
            SLUICE_CHECK(made != nullptr);
            return made;
          }(),
          ::SSL_free) {
  BIO* pipe = ::BIO_new(callbacks::method());
  SLUICE_CHECK(pipe != nullptr);
  ::BIO_set_data(pipe, this);
  ::BIO_set_init(pipe, 1);
  ::SSL_set_bio(tls_.get(), pipe, pipe);
  SSL_set_app_data(tls_.get(), this);
  which == side::asks ? ::SSL_set_connect_state(tls_.get()) : ::SSL_set_accept_state(tls_.get());
}

secure_channel::~secure_channel() = default;

void secure_channel::feed(const_bytes from_peer) {
  SLUICE_CHECK(input_.empty());
  input_ = from_peer;
}

tl::unexpected<error> secure_channel::failed(const char* doing, int outcome) {
  const int why = ::SSL_get_error(tls_.get(), outcome);
  std::string told = std::string(doing) + ": ";
  if (why == SSL_ERROR_ZERO_RETURN) return fail(errc::closed, told + "the peer ended the link");
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  told += code != 0 ? ::ERR_reason_error_string(code) ? ::ERR_reason_error_string(code) : "failed" : "failed";
  return fail(errc::permission, told);
}

result<bool> secure_channel::advance() {
  ::ERR_clear_error();
  const int outcome = ::SSL_do_handshake(tls_.get());
  if (outcome == 1) {
    // A peer with a certificate of its own, and no secret, gets as far as this.
    if (::SSL_session_reused(tls_.get()) != 1) return fail(errc::permission, "the handshake: without the secret");
    return true;
  }
  if (::SSL_get_error(tls_.get(), outcome) == SSL_ERROR_WANT_READ) return false;
  return failed("the handshake", outcome);
}

result<std::size_t> secure_channel::read(bytes into) {
  ::ERR_clear_error();
  std::size_t size = 0;
  const int outcome = ::SSL_read_ex(tls_.get(), into.data(), into.size(), &size);
  if (outcome == 1) return size;
  if (::SSL_get_error(tls_.get(), outcome) == SSL_ERROR_WANT_READ) return std::size_t{0};
  return failed("a record", outcome);
}

result<void> secure_channel::write(const_bytes from) {
  if (from.empty()) return {};
  ::ERR_clear_error();
  std::size_t size = 0;
  const int outcome = ::SSL_write_ex(tls_.get(), from.data(), from.size(), &size);
  if (outcome != 1) return failed("a record", outcome);
  SLUICE_CHECK(size == from.size());
  return {};
}

}  // namespace sluice::relay
