#include "tiers/cache/cache_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "tiers/cache/register.hpp"
#include "tiers/cache/test_setup.hpp"
#include "tiers/fault/fault_store.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/ram/ram_store.hpp"
#include "tiers/store/contract.hpp"
#include "tiers/store/contract_setup.hpp"
#include "tiers/store/contract_simulated.hpp"

namespace sluice::store::contract {
namespace {

using cache::cache_store;
using cache::test_over;

real_setup::opener over_ram(const cache::mode& mode, std::uint64_t ram_bytes) {
  return [&mode, ram_bytes](reactor::loop&, const temporary_folder&,
                            std::uint64_t size) -> result<std::shared_ptr<store>> {
    return test_over(*ram::ram_store::make(size), mode, ram_bytes);
  };
}
real_setup::opener over_file(const cache::mode& mode, std::uint64_t ram_bytes, bool direct = false) {
  return [&mode, ram_bytes, direct](reactor::loop& loop, const temporary_folder& folder,
                                    std::uint64_t size) -> result<std::shared_ptr<store>> {
    auto below = file::open_store({.path = folder / "image.raw", .size_bytes = size, .direct = direct}, loop);
    if (!below) return tl::unexpected(below.error());
    return test_over(*below, mode, ram_bytes);
  };
}
/// With flash in a file beside the store's.
real_setup::opener with_flash(const cache::mode& mode, std::uint64_t flash_bytes) {
  return [&mode, flash_bytes](reactor::loop& loop, const temporary_folder& folder,
                              std::uint64_t size) -> result<std::shared_ptr<store>> {
    auto below = file::open_store({.path = folder / "image.raw", .size_bytes = size}, loop);
    if (!below) return tl::unexpected(below.error());
    return test_over(*below, mode, 256 * kib, 0, {&loop, folder / "flash", flash_bytes, 16});
  };
}
/// Likewise, over RAM.
real_setup::opener with_flash_over_ram(const cache::mode& mode, std::uint64_t flash_bytes) {
  return [&mode, flash_bytes](reactor::loop& loop, const temporary_folder& folder,
                              std::uint64_t size) -> result<std::shared_ptr<store>> {
    return test_over(*ram::ram_store::make(size), mode, 256 * kib, 0, {&loop, folder / "flash", flash_bytes, 16});
  };
}
/// Direct I/O is the file system's to offer.
std::string why_no_direct_io() {
  const temporary_folder folder;
  const int probe = ::open((folder / "probe").c_str(), O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
  if (probe < 0) return "the file system of the temporary folder has no direct I/O";
  ::close(probe);
  return {};
}

/// A cache over a cache over RAM.
result<std::shared_ptr<store>> stacked(reactor::loop&, const temporary_folder&, std::uint64_t size) {
  return test_over(test_over(*ram::ram_store::make(size), cache::write_around, 1 * mib), cache::write_through,
                   512 * kib);
}

std::vector<subject> subjects() {
  std::vector<subject> all;
  for (const cache::mode* mode : cache::modes()) {
    std::string name = mode->name;
    std::replace(name.begin(), name.end(), '-', '_');
    for (const std::uint64_t flash_bytes : {1 * mib, 16 * mib}) {
      const std::string with = name + "_with_" + std::to_string(flash_bytes / mib) + "_mib_of_flash";
      all.push_back(real_subject(with, with_flash(*mode, flash_bytes)));
      all.back().skip = why_no_direct_io();
      all.back().shrinks = false;
      all.push_back(simulated_subject("simulated_" + with, with_flash(*mode, flash_bytes)));
      all.back().shrinks = false;
    }
    all.push_back(real_subject(name + "_with_flash_over_ram", with_flash_over_ram(*mode, 1 * mib)));
    all.back().skip = why_no_direct_io();
    all.back().shrinks = false;
    if (mode->journals) continue;
    all.push_back(real_subject(name + "_over_ram", over_ram(*mode, 8 * mib)));
    all.push_back(real_subject(name + "_over_ram_small", over_ram(*mode, 256 * kib)));
    all.push_back(real_subject(name + "_over_file", over_file(*mode, 8 * mib)));
    all.push_back(real_subject(name + "_over_file_small", over_file(*mode, 256 * kib)));
    all.push_back(simulated_subject(name + "_over_simulated_file", over_file(*mode, 1 * mib)));
    all.push_back(simulated_subject(name + "_over_simulated_direct_file", over_file(*mode, 1 * mib, true)));
  }
  all.push_back(real_subject("stacked", stacked));
  return all;
}
INSTANTIATE_TEST_SUITE_P(cache, store_contract, testing::ValuesIn(subjects()), name_of);

}  // namespace
}  // namespace sluice::store::contract
