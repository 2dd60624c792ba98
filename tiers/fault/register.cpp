#include "tiers/fault/register.hpp"

#include <algorithm>

#include "tiers/fault/fault_store.hpp"

namespace sluice::fault {
namespace {

constexpr std::uint64_t certain_ppm = 1'000'000;

config::key ppm(const char* name, const char* help, const char* otherwise = "0") {
  return {name, config::kind::number, false, help, {}, 0, certain_ppm, otherwise};
}

std::uint32_t ppm_of(const config::settings& s, const char* name, std::uint64_t otherwise = 0) {
  return static_cast<std::uint32_t>(std::min(s.number(name, otherwise), certain_ppm));
}

chances chances_of(const config::settings& s) {
  chances odds;
  odds.seed = s.number("seed", 0);
  odds.read_error_ppm = ppm_of(s, "read_error_ppm");
  odds.write_error_ppm = ppm_of(s, "write_error_ppm");
  odds.flush_error_ppm = ppm_of(s, "flush_error_ppm");
  odds.no_space_ppm = ppm_of(s, "no_space_ppm");
  odds.torn_write_ppm = ppm_of(s, "torn_write_ppm");
  odds.lost_write_ppm = ppm_of(s, "lost_write_ppm");
  odds.delay_ns = s.number("delay", 0);
  odds.deadline_ns = s.number("deadline", 0);
  odds.delay_ppm = ppm_of(s, "delay_ppm", certain_ppm);
  return odds;
}

}  // namespace

void register_store(store::registry& to) {
  using config::kind;
  to.add({"fault",
          {{"over", kind::store_name, true, "the store below, which the faults spare"},
           {"seed", kind::number, false, "repeats a run of faults; 0: another one each time", {}, 0, UINT64_MAX, "0"},
           ppm("read_error_ppm", "reads of a million that fail with a medium error"),
           ppm("write_error_ppm", "writes of a million that fail with a medium error, nothing written"),
           ppm("flush_error_ppm", "flushes of a million that fail with a medium error"),
           ppm("no_space_ppm", "writes of a million that find no space"),
           ppm("torn_write_ppm", "writes of a million of which only a part happens, with a medium error"),
           ppm("lost_write_ppm", "writes of a million that are acknowledged and never happen"),
           {"delay", kind::duration, false, "how long a delayed request waits"},
           {"deadline", kind::duration, false, "how long the unit waits for a request before it answers without it"},
           ppm("delay_ppm", "requests of a million that are delayed, where delay is given", "1000000")},
          [](const config::settings& s, reactor::loop&, const auto& below) -> result<std::shared_ptr<store::store>> {
            const std::string* over = s.text("over");
            auto under = over ? below(*over) : nullptr;
            if (!under) return fail(errc::not_found, "over: there is no store \"" + (over ? *over : "") + "\"");
            return std::make_shared<fault_store>(std::move(under), chances_of(s));
          }});
}

}  // namespace sluice::fault
