#include "fabrics/rdma/plan.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <numeric>

namespace sluice::rdma {
namespace {

TEST(plan, a_piece_is_cut_where_parts_run_out) {
  std::vector<std::uint8_t> memory(300);
  std::vector<memory::slice> local;
  for (unsigned i = 0; i < 3; ++i) local.push_back(memory::slice::borrow(&memory[i * 100], 100));
  const std::vector<remote_piece> remote{{0x1000, 7, 250}, {0x9000, 8, 100}};
  std::vector<request> chain;
  plan(request::kind::write, remote, 0, local, 2, chain);
  ASSERT_EQ(chain.size(), 3u);
  EXPECT_EQ(chain[0].remote_address, 0x1000u);
  EXPECT_EQ(chain[0].part_count, 2);
  EXPECT_EQ(chain[1].remote_address, 0x1000u + 200);
  EXPECT_EQ(chain[1].parts[0].iov_len, 50u);
  EXPECT_EQ(chain[2].remote_address, 0x9000u);
  EXPECT_EQ(chain[2].remote_key, 8u);
  EXPECT_EQ(chain[2].parts[0].iov_base, &memory[250]);
}

TEST(plan, nothing_goes_beyond_the_remote_pieces) {
  std::vector<std::uint8_t> memory(100);
  const std::vector<memory::slice> local{memory::slice::borrow(memory.data(), 100)};
  const std::vector<remote_piece> remote{{0x1000, 7, 60}, {0, 0, 0}};
  std::vector<request> chain;
  plan(request::kind::read, remote, 40, local, 4, chain);
  ASSERT_EQ(chain.size(), 1u);
  EXPECT_EQ(chain[0].remote_address, 0x1000u + 40);
  EXPECT_EQ(chain[0].parts[0].iov_len, 20u);
  plan(request::kind::read, remote, 60, local, 4, chain);
  plan(request::kind::read, {}, 0, local, 4, chain);
  plan(request::kind::read, remote, 0, {}, 4, chain);
  EXPECT_EQ(chain.size(), 1u);
}

TEST(plan, every_byte_goes_where_it_belongs) {
  const bool held = rc::check([] {
    const auto sizes = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange(0u, 50u));
    const auto cuts = *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange(0u, 50u));
    const std::uint64_t offset = *rc::gen::inRange(0u, 200u);
    const unsigned most = *rc::gen::inRange(1u, 5u);
    const std::uint32_t all = std::accumulate(cuts.begin(), cuts.end(), 0u);
    std::vector<std::uint8_t> memory(all + 1);
    std::vector<memory::slice> local;
    std::vector<remote_piece> remote;
    std::vector<std::pair<std::uint64_t, std::uint8_t*>> wanted, planned;  // remote address, local one
    std::uint32_t at = 0;
    for (const std::uint32_t size : cuts) {
      local.push_back(memory::slice::borrow(&memory[at], size));
      at += size;
    }
    std::uint64_t octet = 0;
    for (std::uint32_t i = 0; i < sizes.size(); ++i) {
      remote.push_back({i * 1000ull, i, sizes[i]});
      for (std::uint32_t k = 0; k < sizes[i]; ++k, ++octet)
        if (octet >= offset && octet - offset < all) wanted.emplace_back(i * 1000ull + k, &memory[octet - offset]);
    }
    std::vector<request> chain;
    plan(request::kind::read, remote, offset, local, most, chain);
    for (const request& each : chain) {
      RC_ASSERT(each.part_count > 0u && each.part_count <= most);
      std::uint64_t address = each.remote_address;
      for (unsigned i = 0; i < each.part_count; ++i)
        for (std::size_t k = 0; k < each.parts[i].iov_len; ++k)
          planned.emplace_back(address++, static_cast<std::uint8_t*>(each.parts[i].iov_base) + k);
    }
    RC_ASSERT(planned == wanted);
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace sluice::rdma
