#include "gateway/daemon/relative_ports.hpp"

#include <charconv>

namespace sluice::daemon {

namespace {

constexpr const char* key = "relative-ports";  // lines of "NUMBER NAME"

}  // namespace

result<relative_ports> relative_ports::load(state::state_store& state) {
  relative_ports loaded(state);
  const auto text = state.load(key);
  if (!text) return tl::unexpected(text.error());
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
    loaded.by_name_[std::string(line.substr(digits + 1))] = number;
  }
  return loaded;
}

result<std::uint16_t> relative_ports::of(const std::string& port_name) {
  if (const auto known = by_name_.find(port_name); known != by_name_.end()) return known->second;
  std::uint16_t last = 0;
  for (const auto& [name, number] : by_name_) last = std::max(last, number);
  if (last == UINT16_MAX) return fail(errc::no_space, "all 65535 relative target port identifiers have been used");
  auto grown = by_name_;
  const auto made = static_cast<std::uint16_t>(last + 1);
  grown[port_name] = made;
  std::string text;
  for (const auto& [name, number] : grown) text += std::to_string(number) + " " + name + "\n";
  if (auto saved = state_->save(key, text); !saved) return tl::unexpected(saved.error());
  by_name_ = std::move(grown);
  return made;
}

}  // namespace sluice::daemon
