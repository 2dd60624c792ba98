#include "config/schema/values.hpp"

#include <set>

namespace sluice::config {

std::vector<std::string> values::differing(const values& other) const {
  std::set<std::string> out;
  for (const auto& [name, here] : rows_) {
    const auto found = other.rows_.find(name);
    if (found == other.rows_.end() || !(found->second == here)) out.insert(name);
  }
  for (const auto& [name, here] : other.rows_)
    if (!rows_.contains(name)) out.insert(name);
  return {out.begin(), out.end()};
}

}  // namespace sluice::config
