#include "gateway/daemon/relative_ports.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>

namespace sluice::daemon {

namespace {

// Lines of "NUMBER FABRIC GROUP NAME", once "NUMBER NAME"; as a record of the authority, and once of the state store.
constexpr const char* record_name = "ports";
constexpr const char* old_key = "relative-ports";

std::string line_of(const port::port_id& port) {
  return port.fabric + " " + std::to_string(port.group) + " " + port.name;
}

result<std::map<std::string, std::uint16_t>> parse(std::string_view rest) {
  std::map<std::string, std::uint16_t> parsed;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::uint16_t number = 0;
    const auto [end, problem] = std::from_chars(line.data(), line.data() + line.size(), number);
    const auto digits = static_cast<std::size_t>(end - line.data());
    if (problem != std::errc() || number == 0 || digits + 1 >= line.size() || line[digits] != ' ')
      return fail(errc::corrupt,
                  "the state directory's list of target ports is damaged at '" + std::string(line) + "'");
    parsed[std::string(line.substr(digits + 1))] = number;
  }
  return parsed;
}

/// Sits down at the record for the length of one call, which `ask` makes on the core's loop.
template <class Answer>
result<Answer> at_record(state::authority& agreed, runtime::core& core,
                         const std::function<void(state::seat&, std::function<void(result<Answer>)>)>& ask) {
  auto seat = agreed.open(record_name, core.loop());
  if (!seat) return tl::unexpected(seat.error());
  result<Answer> told = fail(errc::closed, "no answer");
  core.call_async([&](const std::function<void()>& finished) {
    ask(**seat, [&told, finished](result<Answer> answer) {
      told = std::move(answer);
      finished();
    });
  });
  core.call([&] { seat->reset(); });
  return told;
}

}  // namespace

result<relative_ports> relative_ports::load(state::authority& agreed, runtime::core& core, state::state_store& kept) {
  relative_ports loaded(agreed, core);
  const auto now = at_record<state::record>(
      agreed, core,
      [](state::seat& seat, std::function<void(result<state::record>)> done) { seat.read(std::move(done)); });
  if (!now) return tl::unexpected(now.error());
  if (auto taken = loaded.take(*now); !taken) return tl::unexpected(taken.error());
  if (!now->content.empty()) return loaded;
  const auto old = kept.load(old_key);
  if (!old) return tl::unexpected(old.error());
  auto parsed = parse(old->value_or(""));
  if (!parsed) return tl::unexpected(parsed.error());
  loaded.numbers_ = std::move(*parsed);
  return loaded;
}

result<void> relative_ports::take(const state::record& now) {
  auto parsed = parse(now.content);
  if (!parsed) return tl::unexpected(parsed.error());
  numbers_ = std::move(*parsed);
  epoch_ = now.epoch;
  return {};
}

result<state::verdict> relative_ports::propose(const numbers& grown) {
  state::proposal what{.expected = epoch_, .content = {}, .lasts = true, .replaces = {old_key}};
  for (const auto& [line, number] : grown) what.content += std::to_string(number) + " " + line + "\n";
  return at_record<state::verdict>(*authority_, *core_,
                                   [&](state::seat& seat, const std::function<void(result<state::verdict>)>& done) {
                                     seat.propose(what, [done](const state::verdict& how) { done(how); });
                                   });
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
    } else if (auto taken = take(how->current); !taken) {  // another gateway has given a number meanwhile
      return tl::unexpected(taken.error());
    }
  }
}

}  // namespace sluice::daemon
