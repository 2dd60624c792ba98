#include "gateway/daemon/relative_ports.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::daemon {

namespace {

// Lines of "NUMBER FABRIC GROUP NAME", once "NUMBER NAME"; as a record of the authority, and once of the state store.
constexpr const char* record_name = "ports";
constexpr const char* old_key = "relative-ports";

std::string line_of(const port::port_id& port) {
  return port.fabric + " " + std::to_string(port.group) + " " + port.name;
}

/// Stands for numbers that cannot be read any more; no port has such a name. What is given from then on lies beyond
/// them.
constexpr const char* lost = "numbers that were lost";
constexpr std::uint16_t last_lost = 0x7fff;

/// What can be read; `damage` gets what cannot.
std::map<std::string, std::uint16_t> parse(std::string_view rest, std::string& damage) {
  std::map<std::string, std::uint16_t> parsed;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::uint16_t number = 0;
    const auto [end, problem] = std::from_chars(line.data(), line.data() + line.size(), number);
    const auto digits = static_cast<std::size_t>(end - line.data());
    if (problem != std::errc() || number == 0 || digits + 1 >= line.size() || line[digits] != ' ')
      damage = "at '" + std::string(line.substr(0, 80)) + "'";
    else
      parsed[std::string(line.substr(digits + 1))] = number;
  }
  return parsed;
}

void tell_damage(const std::string& damage) {
  SLUICE_LOG(error, "control",
             "the list of relative target port identifiers is damaged: ports whose line is lost get new ones; what "
             "initiators registered through those ports goes with sluice pr clear",
             {"damage", damage});
}

}  // namespace

relative_ports::relative_ports(state::authority& agreed, runtime::core& core) : record_(agreed, core, record_name) {}

result<relative_ports> relative_ports::load(state::authority& agreed, runtime::core& core, state::state_store& kept) {
  relative_ports loaded(agreed, core);
  const auto now = loaded.record_.read();
  if (!now) return tl::unexpected(now.error());
  loaded.take(*now);
  if (!now->content.empty() || !now->damage.empty()) return loaded;
  const auto old = kept.load(old_key);
  if (!old && old.error().code != errc::corrupt) return tl::unexpected(old.error());
  loaded.take({now->epoch, old ? old->value_or("") : "", old ? "" : old.error().message});
  return loaded;
}

void relative_ports::take(const state::record& now) {
  std::string damage = now.damage;
  numbers_ = parse(now.content, damage);
  epoch_ = now.epoch;
  if (damage.empty()) return;
  numbers_.emplace(lost, last_lost);
  tell_damage(damage);
}

result<state::verdict> relative_ports::propose(const numbers& grown) {
  state::proposal what{.expected = epoch_, .content = {}, .lasts = true, .replaces = {old_key}};
  for (const auto& [line, number] : grown) what.content += std::to_string(number) + " " + line + "\n";
  return record_.propose(what);
}

result<std::uint16_t> relative_ports::of(const port::port_id& port) {
  const std::string wanted = line_of(port);
  for (;;) {
    if (const auto known = numbers_.find(wanted); known != numbers_.end()) return known->second;
    numbers grown = numbers_;
    // A number from before ports of one name were told apart goes to the first of them that is asked for.
    auto made = grown.extract(port.name);
    if (made.empty()) {
      std::uint16_t last = 0;
      for (const auto& [line, number] : grown) last = std::max(last, number);
      if (last == UINT16_MAX) return fail(errc::no_space, "all 65535 relative target port identifiers have been used");
      grown[wanted] = static_cast<std::uint16_t>(last + 1);
    } else {
      made.key() = wanted;
      grown.insert(std::move(made));
    }
    const auto how = propose(grown);
    if (!how) return tl::unexpected(how.error());
    if (how->what == state::verdict::kind::failed) return tl::unexpected(how->why);
    if (how->what == state::verdict::kind::committed) {
      ++epoch_;
      numbers_ = std::move(grown);
    } else {
      take(how->current);  // another gateway has given a number meanwhile
    }
  }
}

}  // namespace sluice::daemon
