#include "config/schema/merge.hpp"

#include <algorithm>
#include <map>

#include "config/schema/key_reader.hpp"

namespace sluice::config {

namespace {

void mark_shared(tree_node& node);

void mark_shared(tree_table& table) {
  for (tree_entry& entry : table.entries) {
    entry.at.is_shared = true;
    mark_shared(entry.value);
  }
}

/// As deep as a document may nest.
void mark_shared(tree_node& node) {
  node.at.is_shared = true;
  if (auto* table = std::get_if<tree_table>(&node.value)) mark_shared(*table);
  if (auto* list = std::get_if<std::vector<tree_node>>(&node.value))
    for (tree_node& each : *list) mark_shared(each);
}

tree_entry* find(tree_table& table, const std::string& name) {
  const auto found = std::find_if(table.entries.begin(), table.entries.end(),
                                  [&](const tree_entry& each) { return each.name == name; });
  return found == table.entries.end() ? nullptr : &*found;
}

class merger {
 public:
  explicit merger(diagnostics& wrong) : wrong_(wrong) {}

  void root(tree_table& own, tree_table& shared) {
    std::erase_if(shared.entries, [&](tree_entry& entry) {
      if (entry.name == "target") refuse_ports(entry);
      if (entry.name != "gateway" && entry.name != "cluster") return false;
      wrong_.push_back({entry.at, entry.name, "is each gateway's own", "[" + entry.name + "] in its file alone"});
      return true;
    });
    add(own, shared, "", [](const std::string& name) { return name == "target" ? 2 : 1; });
  }

 private:
  /// What both have goes together as far as it is tables; `levels`: how deep.
  template <class Levels>
  void add(tree_table& own, tree_table& shared, const std::string& above, Levels levels) {
    std::map<std::string, std::size_t> places;
    for (std::size_t i = 0; i < own.entries.size(); ++i) places.emplace(own.entries[i].name, i);
    for (tree_entry& entry : shared.entries) {
      const auto there = places.find(entry.name);
      if (there == places.end())
        own.entries.push_back(std::move(entry));
      else
        join(own.entries[there->second], entry, above, levels(entry.name));
    }
  }

  void join(tree_entry& own, tree_entry& shared, const std::string& above, int levels) {
    const std::string path = above + quoted_if_needed(own.name);
    auto* const ours = std::get_if<tree_table>(&own.value.value);
    auto* const theirs = std::get_if<tree_table>(&shared.value.value);
    if (levels > 0 && ours && theirs)
      return add(*ours, *theirs, path + ".", [levels](const std::string&) { return levels - 1; });
    wrong_.push_back(
        {own.at, path,
         "is in what the gateways of the cluster share as well (line " + std::to_string(shared.at.line) + " there)",
         "one of the two"});
  }

  void refuse_ports(tree_entry& targets) {
    auto* const all = std::get_if<tree_table>(&targets.value.value);
    if (!all) return;
    for (tree_entry& target : all->entries) {
      auto* const keys = std::get_if<tree_table>(&target.value.value);
      tree_entry* const port = keys ? find(*keys, "port") : nullptr;
      if (!port) continue;
      const std::string name = "target." + quoted_if_needed(target.name);
      wrong_.push_back({port->at, name + ".port", "is each gateway's own: addresses and groups differ",
                        "[[" + name + ".port]] in its file"});
      keys->entries.erase(keys->entries.begin() + (port - keys->entries.data()));
    }
  }

  diagnostics& wrong_;
};

}  // namespace

tree_table merge(tree_table own, tree_table shared, diagnostics& wrong) {
  mark_shared(shared);
  merger(wrong).root(own, shared);
  return own;
}

}  // namespace sluice::config
