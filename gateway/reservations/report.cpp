#include "gateway/reservations/report.hpp"

#include "actors/wire/big_endian.hpp"

namespace sluice::reservations {
namespace {

constexpr std::size_t header_bytes = 8;

std::vector<std::uint8_t> with_header(const state& now, std::size_t body_bytes) {
  std::vector<std::uint8_t> data(header_bytes + body_bytes);
  wire::store32(data, 0, now.generation);
  wire::store32(data, 4, body_bytes);
  return data;
}

/// [SPC-4 6.15.2]
std::vector<std::uint8_t> keys(const state& now) {
  std::vector<std::uint8_t> data = with_header(now, 8 * now.registrants.size());
  std::size_t at = header_bytes;
  for (const registrant& r : now.registrants) {
    wire::store64(data, at, r.key);
    at += 8;
  }
  return data;
}

/// [SPC-4 6.15.3]
std::vector<std::uint8_t> reservation(const state& now) {
  if (!now.reserved()) return with_header(now, 0);
  std::vector<std::uint8_t> data = with_header(now, 16);
  if (now.holder) wire::store64(data, 8, now.find(*now.holder)->key);  // 0 under all registrants
  data[21] = static_cast<std::uint8_t>(now.type);
  return data;
}

/// [SPC-4 6.15.4]
std::vector<std::uint8_t> capabilities(const state& now) {
  std::vector<std::uint8_t> data(8);
  wire::store16(data, 0, 8);
  data[2] = 0x10 | 0x08 | 0x04 | 0x01;         // CRH, SIP_C, ATP_C, PTPL_C
  data[3] = 0x80 | (now.aptpl ? 0x01 : 0x00);  // TMV, PTPL_A
  data[4] = 0x80 | 0x40 | 0x20 | 0x08 | 0x02;  // types 7, 6, 5, 3, 1
  data[5] = 0x01;                              // type 8
  return data;
}

/// [SPC-4 6.15.5]
std::vector<std::uint8_t> full_status(const state& now) {
  std::vector<std::uint8_t> data = with_header(now, 0);
  for (const registrant& r : now.registrants) {
    const std::vector<std::uint8_t> name = scsi::encode(r.who.initiator);
    const std::size_t at = data.size();
    data.resize(at + 24);
    wire::store64(data, at, r.key);
    if (now.holds(r.who)) {
      data[at + 12] = 0x01;  // R_HOLDER
      data[at + 13] = static_cast<std::uint8_t>(now.type);
    }
    wire::store16(data, at + 18, r.who.relative_target_port);
    wire::store32(data, at + 20, name.size());
    data.insert(data.end(), name.begin(), name.end());
  }
  wire::store32(data, 4, data.size() - header_bytes);
  return data;
}

}  // namespace

std::vector<std::uint8_t> report(scsi::pr_in_action action, const state& now) {
  switch (action) {
    case scsi::pr_in_action::read_keys:
      return keys(now);
    case scsi::pr_in_action::read_reservation:
      return reservation(now);
    case scsi::pr_in_action::report_capabilities:
      return capabilities(now);
    case scsi::pr_in_action::read_full_status:
      return full_status(now);
  }
  return {};
}

}  // namespace sluice::reservations
