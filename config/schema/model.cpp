#include "config/schema/model.hpp"

#include "config/schema/key_reader.hpp"

namespace sluice::config {

std::optional<std::uint64_t> configured_size(const model& m, const store_config& store) {
  const store_config* at = &store;
  for (std::size_t hops = 0; at != nullptr && hops <= m.stores.size(); ++hops) {
    if (at->settings.has("size")) return at->settings.number("size", 0);
    if (at->over.empty()) return std::nullopt;
    at = find_named(m.stores, at->over);
  }
  return std::nullopt;
}

std::string access_path(const std::string& target, const std::string& initiator) {
  return "target." + quoted_if_needed(target) + ".access." + quoted_if_needed(initiator);
}

std::string port_path(const std::string& target, std::size_t index) {
  return "target." + quoted_if_needed(target) + ".port[" + std::to_string(index) + "]";
}

}  // namespace sluice::config
