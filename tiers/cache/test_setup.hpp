#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tiers/cache/cache_store.hpp"

/// What tests of this room share.
namespace sluice::cache {

struct test_flash {
  reactor::loop* loop = nullptr;  // null: no flash, and no journal
  std::string path = {};          // empty: in write-back the journal lies in memory
  std::uint64_t size_bytes = 0;
  std::uint32_t segment_blocks = 8;
  std::uint64_t region_blocks = 8;
  std::uint64_t dirty_bytes = 1 * mib;  // of the journal, in write-back; on top of size_bytes
  std::uint32_t record_blocks = 16;
};

inline std::shared_ptr<sluice::store::store> test_over(std::shared_ptr<sluice::store::store> below, const mode& how,
                                                       std::uint64_t ram_bytes, std::uint64_t bypass_bytes = 0,
                                                       const test_flash& flash = {}, std::uint64_t prefetch_bytes = 0) {
  options wanted;
  wanted.ram_bytes = ram_bytes;
  wanted.bypass_bytes = bypass_bytes;
  wanted.prefetch_bytes = prefetch_bytes;
  wanted.mode = &how;
  if (flash.loop && flash.path.empty()) wanted.volatile_dirty_bytes = flash.dirty_bytes;
  if (flash.loop && !flash.path.empty())
    wanted.flash = {flash.path,           flash.size_bytes + (how.journals ? flash.dirty_bytes : 0),
                    flash.segment_blocks, flash.region_blocks,
                    how.journals,         how.journals ? flash.dirty_bytes : 0};
  wanted.record_blocks = flash.record_blocks;
  auto opened = cache_store::open(std::move(below), wanted, flash.loop);
  EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
  if (opened) (*opened)->take_over();
  return opened ? *opened : nullptr;
}

/// A figure that is a count, or a number with a fraction.
inline double figure_of(const sluice::store::store& s, const std::string& name) {
  for (const sluice::store::figure& each : s.figures())
    if (each.name == name) {
      if (const auto* count = std::get_if<std::uint64_t>(&each.value)) return static_cast<double>(*count);
      if (const auto* number = std::get_if<double>(&each.value)) return *number;
    }
  return -1;
}

}  // namespace sluice::cache
