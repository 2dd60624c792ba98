#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::state {

/// What can be read of a log of the state database (RocksDB's format of logs, of blocks of 32 KiB).
struct salvaged_log {
  std::vector<std::string> batches;  // whole, in their order
  std::uint64_t damaged_bytes = 0;   // that are no record, and no zeroes
};
/// Goes on at the next whole record wherever there is one: RocksDB itself gives up the rest of a block. Pure; takes any
/// octets.
salvaged_log salvage_log(std::string_view log);

}  // namespace sluice::state
