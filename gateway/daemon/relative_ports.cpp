#include "gateway/daemon/relative_ports.hpp"

#include <algorithm>
#include <charconv>

namespace sluice::daemon {

namespace {

constexpr const char* key = "relative-ports";  // lines of "NUMBER FABRIC GROUP NAME", once "NUMBER NAME"

std::string line_of(const port::port_id& port) {
  return port.fabric + " " + std::to_string(port.group) + " " + port.name;
}

}  // namespace

result<relative_ports> relative_ports::load(state::state_store& state) {
  relative_ports loaded(state);
  const auto text = state.load(key);
  if (!text) return tl::unexpected(text.error());
  loaded.stored_ = *text;
  std::string_view rest = *text ? std::string_view(**text) : std::string_view();
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    std::uint16_t number = 0;
    const auto [end, problem] = std::from_chars(line.data(), line.data() + line.size(), number);
    const auto digits = static_cast<std::size_t>(end - line.data());
    if (problem != std::errc() || number == 0 || digits + 1 >= line.size() || line[digits] != ' ')
      return fail(errc::corrupt,
                  "the state directory's list of target ports is damaged at '" + std::string(line) + "'");
    loaded.numbers_[std::string(line.substr(digits + 1))] = number;
  }
  return loaded;
}

result<std::uint16_t> relative_ports::of(const port::port_id& port) {
  const std::string wanted = line_of(port);
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
  std::string text;
  for (const auto& [line, number] : grown) text += std::to_string(number) + " " + line + "\n";
  const auto replaced = state_->replace(key, stored_, text);
  if (!replaced) return tl::unexpected(replaced.error());
  if (!*replaced) {  // somebody else has given a number meanwhile
    auto now = load(*state_);
    if (!now) return tl::unexpected(now.error());
    *this = std::move(*now);
    return of(port);
  }
  stored_ = std::move(text);
  numbers_ = std::move(grown);
  return numbers_.at(wanted);
}

}  // namespace sluice::daemon
