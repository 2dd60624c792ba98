#include "config/schema/values.hpp"

#include <algorithm>
#include <set>

namespace sluice::config {

const values::row* values::find(const std::string& name) const {
  const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const row& each) { return each.name == name; });
  return found == rows_.end() ? nullptr : &*found;
}

void values::set(const std::string& name, value v, place at) {
  constexpr std::size_t usual_keys = 4;
  if (rows_.empty()) rows_.reserve(usual_keys);
  const auto where = std::lower_bound(rows_.begin(), rows_.end(), name,
                                      [](const row& each, const std::string& wanted) { return each.name < wanted; });
  if (where != rows_.end() && where->name == name)
    *where = {name, std::move(v), at};
  else
    rows_.insert(where, {name, std::move(v), at});
}

void values::erase(const std::string& name) {
  std::erase_if(rows_, [&](const row& each) { return each.name == name; });
}

std::vector<std::string> values::differing(const values& other) const {
  std::set<std::string> out;
  for (const row& here : rows_) {
    const row* found = other.find(here.name);
    if (!found || !(*found == here)) out.insert(here.name);
  }
  for (const row& here : other.rows_)
    if (!has(here.name)) out.insert(here.name);
  return {out.begin(), out.end()};
}

}  // namespace sluice::config
