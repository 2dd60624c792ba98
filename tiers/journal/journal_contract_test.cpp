#include "tiers/file/file_store.hpp"
#include "tiers/journal/journal_store.hpp"
#include "tiers/journal/test_setup.hpp"
#include "tiers/ram/ram_store.hpp"
#include "tiers/store/contract.hpp"
#include "tiers/store/contract_setup.hpp"
#include "tiers/store/contract_simulated.hpp"

namespace sluice::store::contract {
namespace {

/// A journal that holds far less than what the suite writes, or more than that.
struct sizes {
  std::uint64_t journal_bytes;
  std::uint32_t record_blocks;
};
constexpr sizes small{(2 + 8 * 16) * journal::block_bytes, 16};
constexpr sizes large{16 * mib, 256};

real_setup::opener over_ram(sizes of) {
  return [of](reactor::loop& loop, const temporary_folder& folder,
              std::uint64_t size) -> result<std::shared_ptr<store>> {
    return journal::test_over(*ram::ram_store::make(size), loop, folder / "flash", of.journal_bytes, of.record_blocks);
  };
}
real_setup::opener over_file(sizes of) {
  return
      [of](reactor::loop& loop, const temporary_folder& folder, std::uint64_t size) -> result<std::shared_ptr<store>> {
        auto below = file::open_store({.path = folder / "image.raw", .size_bytes = size}, loop);
        if (!below) return tl::unexpected(below.error());
        return journal::test_over(*below, loop, folder / "flash", of.journal_bytes, of.record_blocks);
      };
}

real_setup::opener in_memory(sizes of) {
  return
      [of](reactor::loop& loop, const temporary_folder& folder, std::uint64_t size) -> result<std::shared_ptr<store>> {
        auto below = file::open_store({.path = folder / "image.raw", .size_bytes = size}, loop);
        if (!below) return tl::unexpected(below.error());
        auto made = journal::try_volatile_over(*below, loop, of.journal_bytes, of.record_blocks);
        if (made) (*made)->take_over();
        return made;
      };
}

std::vector<subject> subjects() {
  std::vector<subject> all;
  all.push_back(real_subject("over_ram", over_ram(large)));
  all.push_back(real_subject("over_ram_small", over_ram(small)));
  all.push_back(real_subject("over_file", over_file(large)));
  all.push_back(real_subject("over_file_small", over_file(small)));
  all.push_back(simulated_subject("over_simulated_file", over_file(large)));
  all.push_back(simulated_subject("over_simulated_file_small", over_file(small)));
  all.push_back(real_subject("in_memory", in_memory(large)));
  all.push_back(simulated_subject("in_memory_simulated_small", in_memory(small)));
  for (subject& each : all) each.shrinks = false;
  return all;
}
INSTANTIATE_TEST_SUITE_P(journal, store_contract, testing::ValuesIn(subjects()), name_of);

}  // namespace
}  // namespace sluice::store::contract
