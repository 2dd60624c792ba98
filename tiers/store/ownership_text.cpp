#include "tiers/store/ownership_text.hpp"

#include <charconv>

namespace sluice::store {

std::string text_of(const ownership& shown) {
  return std::to_string(shown.epoch) + " " + shown.holder;
}

result<ownership> ownership_of(std::string_view text, const std::string& place) {
  ownership found;
  if (text.empty()) return found;
  const char* const end = text.data() + text.size();
  const auto [after, problem] = std::from_chars(text.data(), end, found.epoch);
  if (problem != std::errc() || after == end || *after != ' ')
    return fail(errc::corrupt, place + " is none of sluice's");
  found.holder.assign(after + 1, end);
  return found;
}

std::string text_of_binding(std::uint64_t flash) {
  return std::to_string(flash);
}

std::uint64_t binding_of(std::string_view text) {
  std::uint64_t flash = 0;
  const char* const end = text.data() + text.size();
  const auto [after, problem] = std::from_chars(text.data(), end, flash);
  return problem == std::errc() && after == end ? flash : 0;
}

}  // namespace sluice::store
