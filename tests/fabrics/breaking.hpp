#pragma once
#include <array>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "tests/fabrics/test_site.hpp"

namespace sluice::fabrics {

/// Two initiators work while messages are lost, and with each their connection: what was answered holds, all memory and
/// queue pairs come back.
inline void work_and_break(simulated_site& site,
                           const std::function<std::unique_ptr<port::contract::initiator>(unsigned)>& make,
                           std::uint64_t seed) {
  using namespace port::contract;
  constexpr std::uint32_t slots = 8, blocks = 16;
  site.network().settings().loss = 0.002;
  std::mt19937_64 chance(seed);
  struct worker {
    std::unique_ptr<initiator> by;
    std::vector<std::unique_ptr<request>> sent;
    std::vector<octets> known = std::vector<octets>(slots, octets(blocks * 512, 0));
    std::vector<std::vector<octets>> maybe = std::vector<std::vector<octets>>(slots);
  };
  {
    std::array<worker, 2> all;
    for (unsigned w = 0; w < all.size(); ++w) all[w].by = make(w);
    for (unsigned round = 0; round < 40; ++round)
      for (unsigned w = 0; w < all.size(); ++w) {
        worker& each = all[w];
        if (each.by->now() != initiator::state::up) {
          each.by->log_in();
          site.until([&] { return each.by->now() != initiator::state::going_up; });
          continue;
        }
        struct step {
          std::uint32_t slot;
          bool writes;
          octets data;
        };
        std::vector<step> steps;
        std::vector<std::unique_ptr<request>> now;
        for (std::uint32_t slot = 0; slot < slots; ++slot) {
          step s{slot, chance() % 2 == 0, {}};
          const std::uint32_t at = w * 1024 + slot * blocks;
          if (s.writes) {
            s.data = pattern(blocks * 512, static_cast<unsigned>(chance()));
            now.push_back(std::make_unique<request>(write_10(at, s.data)));
          } else {
            now.push_back(std::make_unique<request>(read_10(at, blocks)));
          }
          steps.push_back(std::move(s));
          each.by->submit(*now.back());
        }
        if (chance() % 16 == 0) {
          site.steps(static_cast<unsigned>(chance() % 200));
          each.by->vanish();
        }
        const bool ended = site.until([&] {
          return each.by->now() != initiator::state::up ||
                 std::ranges::all_of(now, [](const auto& r) { return r->done; });
        });
        EXPECT_TRUE(ended) << "seed " << seed;
        for (std::size_t i = 0; i < now.size(); ++i) {
          const step& s = steps[i];
          const response& how = now[i]->how;
          EXPECT_LE(now[i]->completions, 1);
          if (how.good() && s.writes) {
            each.known[s.slot] = s.data;
            each.maybe[s.slot].clear();
          } else if (s.writes) {
            each.maybe[s.slot].push_back(s.data);
          } else if (how.good()) {
            const bool old = how.data == each.known[s.slot];
            const bool other = std::ranges::find(each.maybe[s.slot], how.data) != each.maybe[s.slot].end();
            // A write that had no answer may be half done; a block of it is of one or the other.
            bool mixed = !each.maybe[s.slot].empty();
            for (std::size_t b = 0; b < blocks && mixed; ++b) {
              const octets seen = bytes_of(how.data, b * 512, 512);
              bool known = seen == bytes_of(each.known[s.slot], b * 512, 512);
              for (const octets& one : each.maybe[s.slot]) known = known || seen == bytes_of(one, b * 512, 512);
              mixed = known;
            }
            EXPECT_TRUE(old || other || mixed) << "seed " << seed << " slot " << s.slot;
          }
        }
        for (auto& r : now) each.sent.push_back(std::move(r));
      }
    for (worker& each : all) each.by->vanish();
    site.run_for(10 * ns_per_s);
    EXPECT_EQ(site.network().queue_pairs(), 0u) << "seed " << seed;
  }
}

/// How many seeds a test takes: as many as the variable says, else twenty.
inline unsigned long seeds_of(const char* variable) {
  const char* said = std::getenv(variable);
  return said ? std::strtoul(said, nullptr, 10) : 20;
}

}  // namespace sluice::fabrics
