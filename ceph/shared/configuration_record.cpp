#include "ceph/shared/configuration_record.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "actors/base/check.hpp"
#include "actors/wire/byte_record.hpp"
#include "actors/wire/crc.hpp"

namespace sluice::shared {
namespace {

constexpr std::uint8_t form = 1;
enum class kind : std::uint8_t { version = 1, proposal, answer, state };
constexpr std::size_t crc_bytes = 4;

using writer = wire::byte_writer<std::string>;

/// More than a short text can have.
void put_long(std::string& into, const std::string& text) {
  writer(into).put<4>(text.size());
  into += text;
}

/// Of sentences and names; what is longer than a record can hold is cut.
void put_short(std::string& into, const std::string& text) {
  writer(into).put_text(std::string_view(text).substr(0, UINT16_MAX));
}

std::string begin(kind of) {
  std::string out;
  writer w(out);
  w.put<1>(form);
  w.put<1>(static_cast<std::uint8_t>(of));
  return out;
}

std::string end(std::string record) {
  writer(record).put<4>(wire::crc32c(as_bytes(record)));
  return record;
}

std::string take_short(wire::byte_reader& from) {
  return std::string(as_text(from.take_text()));
}

std::string take_long(wire::byte_reader& from) {
  const std::uint64_t size = from.take<4>();
  if (size > state::configuration_answer::max_text) from.refuse();
  return std::string(as_text(from.take_bytes(from.good() ? size : 0)));
}

/// The fields of a record of that kind, as `read` takes them.
template <class Record, class Read>
result<Record> decode(std::string_view all, kind of, const char* what, Read read) {
  const auto damaged = [what] {
    return fail(errc::corrupt, std::string("the record of ") + what +
                                   " in the cluster's configuration is damaged, or of a newer version");
  };
  const const_bytes bytes = as_bytes(all);
  if (bytes.size() < crc_bytes) return damaged();
  const const_bytes record = bytes.first(bytes.size() - crc_bytes);
  wire::byte_reader from(record);
  if (wire::load32(bytes, record.size()) != wire::crc32c(record) || from.take<1>() != form ||
      from.take<1>() != static_cast<std::uint8_t>(of))
    return damaged();
  Record found;
  read(from, found);
  if (!from.ends_well()) return damaged();
  return found;
}

}  // namespace

std::string encode(const state::configuration_version& v) {
  std::string out = begin(kind::version);
  writer w(out);
  w.put<8>(v.number);
  w.put<8>(v.made_s);
  w.put<8>(v.proposal);
  w.put<8>(v.bytes);
  put_short(out, v.gateway);
  put_short(out, v.origin);
  put_short(out, v.digest);
  return end(std::move(out));
}

result<state::configuration_version> decode_version(std::string_view from) {
  return decode<state::configuration_version>(from, kind::version, "a version", [](auto& r, auto& v) {
    v.number = r.template take<8>();
    v.made_s = r.template take<8>();
    v.proposal = r.template take<8>();
    v.bytes = r.template take<8>();
    v.gateway = take_short(r);
    v.origin = take_short(r);
    v.digest = take_short(r);
  });
}

std::string encode(const state::configuration_proposal& p) {
  std::string out = begin(kind::proposal);
  writer w(out);
  w.put<8>(p.id);
  w.put<8>(p.base);
  w.put<8>(p.made_s);
  w.put<1>(p.only_plan);
  put_short(out, p.gateway);
  put_short(out, p.origin);
  return end(std::move(out));
}

result<state::configuration_proposal> decode_proposal(std::string_view from) {
  return decode<state::configuration_proposal>(from, kind::proposal, "a proposal", [](auto& r, auto& p) {
    p.id = r.template take<8>();
    p.base = r.template take<8>();
    p.made_s = r.template take<8>();
    p.only_plan = r.take_flag();
    p.gateway = take_short(r);
    p.origin = take_short(r);
  });
}

std::string encode(const state::configuration_answer& a) {
  SLUICE_CHECK(a.plan.size() <= state::configuration_answer::max_text);
  std::string out = begin(kind::answer);
  writer w(out);
  w.put<8>(a.proposal);
  w.put<1>(a.ready);
  put_long(out, a.plan);
  put_short(out, a.problem);
  return end(std::move(out));
}

result<state::configuration_answer> decode_answer(std::string_view from) {
  return decode<state::configuration_answer>(from, kind::answer, "an answer", [](auto& r, auto& a) {
    a.proposal = r.template take<8>();
    a.ready = r.take_flag();
    a.plan = take_long(r);
    a.problem = take_short(r);
  });
}

std::string encode(const state::configuration_state& s) {
  std::string out = begin(kind::state);
  writer(out).put<8>(s.version);
  put_short(out, s.problem);
  return end(std::move(out));
}

result<state::configuration_state> decode_state(std::string_view from) {
  return decode<state::configuration_state>(from, kind::state, "a gateway", [](auto& r, auto& s) {
    s.version = r.template take<8>();
    s.problem = take_short(r);
  });
}

std::string digest_of(std::string_view text) {
  unsigned char octets[EVP_MAX_MD_SIZE];
  unsigned count = 0;
  SLUICE_CHECK(::EVP_Digest(text.data(), text.size(), octets, &count, ::EVP_sha256(), nullptr) == 1);
  std::string out;
  for (unsigned i = 0; i < count; ++i)
    (out += "0123456789abcdef"[octets[i] >> 4]) += "0123456789abcdef"[octets[i] & 15];
  return out;
}

}  // namespace sluice::shared
