#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tiers/journal/journal_store.hpp"

/// What tests of this room share.
namespace sluice::journal {

/// A file that a journal lies in; closed with the last who holds it.
inline result<journal_medium> test_flash(reactor::loop& loop, const std::string& path, std::uint64_t size_bytes,
                                         bool direct = false) {
  auto opened = loop.open_file(path, {.direct = direct, .exclusive = true});
  if (!opened && opened.error().code == errc::not_found)
    opened = loop.open_file(path, {.create = true, .direct = direct, .exclusive = true});
  if (!opened) return tl::unexpected(opened.error());
  if (auto sized = loop.resize_file(*opened, size_bytes); !sized) return tl::unexpected(sized.error());
  const reactor::handle handle = *opened;
  std::shared_ptr<void> keeper(nullptr, [&loop, handle](void*) { loop.close(handle); });
  return journal_medium{loop, handle, std::move(keeper)};
}

/// A journal in memory, which goes with the power and the process.
inline result<std::shared_ptr<journal_store>> try_volatile_over(std::shared_ptr<store::store> below,
                                                                reactor::loop& loop, std::uint64_t journal_bytes,
                                                                std::uint32_t record_blocks) {
  const auto memory = loop.open_memory(journal_bytes);
  if (!memory) return tl::unexpected(memory.error());
  std::shared_ptr<void> keeper(nullptr, [&loop, handle = *memory](void*) { loop.close(handle); });
  options wanted;
  wanted.path = "memory";
  wanted.medium = "below";
  wanted.journal_bytes = journal_bytes;
  wanted.record_blocks = record_blocks;
  wanted.is_volatile = true;
  wanted.destage_delay_ns = 10 * ns_per_ms;
  return journal_store::open(std::move(below), wanted, {loop, *memory, std::move(keeper)});
}

inline result<std::shared_ptr<journal_store>> try_over(std::shared_ptr<store::store> below, reactor::loop& loop,
                                                       const std::string& path, std::uint64_t journal_bytes,
                                                       std::uint32_t record_blocks, reactor::offload offload = {}) {
  auto flash = test_flash(loop, path, journal_bytes);
  if (!flash) return tl::unexpected(flash.error());
  options wanted;
  wanted.path = path;
  wanted.medium = "below";
  wanted.journal_bytes = journal_bytes;
  wanted.record_blocks = record_blocks;
  wanted.destage_delay_ns = 10 * ns_per_ms;
  wanted.offload = std::move(offload);
  return journal_store::open(std::move(below), wanted, std::move(*flash));
}

inline std::shared_ptr<journal_store> test_over(std::shared_ptr<store::store> below, reactor::loop& loop,
                                                const std::string& path, std::uint64_t journal_bytes,
                                                std::uint32_t record_blocks) {
  auto opened = try_over(std::move(below), loop, path, journal_bytes, record_blocks);
  EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
  if (!opened) return nullptr;
  (*opened)->take_over();
  return *opened;
}

}  // namespace sluice::journal
