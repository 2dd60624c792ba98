#include "fabrics/iscsi/pdu.hpp"

#include <algorithm>

namespace sluice::iscsi {
namespace {

constexpr std::uint8_t type_extended_cdb = 1;
constexpr std::uint8_t type_bidirectional_read = 2;

ahs_verdict take_extended_cdb(const_bytes body, additional_headers& into) {
  constexpr std::size_t most = 260 - 16;  // the longest CDB [SPC-4 4.2.3]
  if (body.size() < 2 || !into.extended_cdb.empty()) return ahs_verdict::malformed;
  const_bytes rest = body.subspan(1);  // AHSLength counts one reserved octet: CDB length - 15 [RFC7143 11.2.2.3]
  if (rest.size() > most) return ahs_verdict::cdb_too_long;
  into.extended_cdb = rest;
  return ahs_verdict::ok;
}

ahs_verdict take_bidirectional_read(const_bytes body, additional_headers& into) {
  if (body.size() != 5 || into.has_bidirectional_read) return ahs_verdict::malformed;
  into.has_bidirectional_read = true;
  into.bidirectional_read_bytes = wire::load32(body, 1);
  return ahs_verdict::ok;
}

}  // namespace

ahs_verdict decode_ahs(const_bytes area, additional_headers& into) {
  while (!area.empty()) {
    if (area.size() < 4) return ahs_verdict::malformed;
    const std::uint32_t length = wire::load16(area, 0);
    const std::uint32_t whole = padded(3 + length);
    if (whole > area.size()) return ahs_verdict::malformed;
    const const_bytes body = area.subspan(3, length);
    ahs_verdict verdict = ahs_verdict::malformed;
    if (area[2] == type_extended_cdb) verdict = take_extended_cdb(body, into);
    if (area[2] == type_bidirectional_read) verdict = take_bidirectional_read(body, into);
    if (verdict != ahs_verdict::ok) return verdict;
    area = area.subspan(whole);
  }
  return ahs_verdict::ok;
}

}  // namespace sluice::iscsi
