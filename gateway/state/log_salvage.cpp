#include "gateway/state/log_salvage.hpp"

#include <bit>
#include <optional>

#include "actors/base/bytes.hpp"
#include "actors/wire/crc.hpp"

namespace sluice::state {

namespace {

// checksum 4, length 2, type 1, payload; integers are little-endian. No record crosses the end of a block.
constexpr std::size_t block_bytes = 32 * kib, fragment_head_bytes = 7, type_at = 6;
// sequence 8, count 4
constexpr std::size_t batch_head_bytes = 12;

enum record_type : std::uint8_t { full = 1, first = 2, middle = 3, last = 4 };

struct fragment {
  std::uint8_t type = 0;
  std::string_view payload;
};

std::uint32_t load_little(const_bytes from, std::size_t octets) {
  std::uint32_t value = 0;
  for (std::size_t i = octets; i-- > 0;) value = value << 8 | from[i];
  return value;
}

/// RocksDB stores checksums of data that may hold checksums.
std::uint32_t masked(std::uint32_t crc) {
  return std::rotr(crc, 15) + 0xa282ead8;
}

std::optional<fragment> fragment_at(std::string_view rest) {
  if (rest.size() < fragment_head_bytes) return std::nullopt;
  const const_bytes octets = as_bytes(rest);
  const std::size_t length = load_little(octets.subspan(4), 2);
  const std::uint8_t type = octets[type_at];
  if (type < full || type > last || fragment_head_bytes + length > rest.size()) return std::nullopt;
  if (load_little(octets, 4) != masked(wire::crc32c(octets.subspan(type_at, 1 + length)))) return std::nullopt;
  return fragment{type, rest.substr(fragment_head_bytes, length)};
}

}  // namespace

salvaged_log salvage_log(std::string_view log) {
  salvaged_log found;
  std::string batch;  // of fragments
  bool begun = false;
  for (std::size_t at = 0; at < log.size();) {
    const std::size_t left = block_bytes - at % block_bytes;
    const auto read = fragment_at(log.substr(at, left));
    if (!read) {
      found.damaged_bytes += log[at] != 0;
      begun = begun && log[at] == 0;
      ++at;
      continue;
    }
    at += fragment_head_bytes + read->payload.size();
    if (read->type == full || read->type == first) batch.clear();
    begun = read->type == full || read->type == first || begun;
    if (!begun) continue;
    batch += read->payload;
    if (read->type != full && read->type != last) continue;
    if (batch.size() >= batch_head_bytes) found.batches.push_back(batch);
    begun = false;
  }
  return found;
}

}  // namespace sluice::state
