#include <cstdio>

#include "config/cli/commands.hpp"
#include "config/cli/control_client.hpp"
#include "config/cli/render.hpp"
#include "config/schema/quantity.hpp"

// What is asked about write-back caches that no gateway has open, and what is given up of one that runs.
namespace sluice::config {

void command_tree::add_journal_commands(CLI::App* cache) {
  const auto add_for_medium = [&](const char* name, const char* what, const std::string& example,
                                  const std::function<int(const journal_options&)>& work) {
    CLI::App* command = add(cache, name, what, example, [this, &work] { return ask_journal(work); });
    CLI::Option* path = command->add_option("path", options_.file, "flash.path of the cache, or the medium");
    CLI::Option* store = command->add_option("--store", options_.store, "instead of PATH: that cache, or that medium");
    CLI::Option* config = command->add_option("--config", options_.config, "where STORE is configured");
    path->type_name("PATH")->excludes(store);
    store->type_name("STORE");
    config->type_name("FILE")->needs(store);
    return command;
  };
  CLI::App* inspect = add_for_medium(
      "inspect", "what the flash of a write-back cache holds that the store below lacks; no gateway may have it open",
      "sluice cache inspect /var/lib/sluice/images.cache", hooks_.inspect_journal);
  inspect->add_flag("--json", options_.json, "print JSON");
  inspect->get_option("--store")->needs(inspect->get_option("--config"));
  CLI::App* resolve =
      add_for_medium("resolve", "decide about data that a write-back cache cannot bring below by itself",
                     "sluice cache resolve --store vm1 --config gateway.toml --discard", hooks_.resolve_journal);
  resolve->add_flag("--keep", options_.keep,
                    "the intact ones are brought to the medium that the cache is opened over next");
  resolve->add_flag("--discard", options_.discard, "give them up: the medium stays as it is");
  add_control(resolve);
  resolve->get_option("--store")->description(
      "instead of PATH: that cache, or that medium; without --config that cache of the running gateway, whose lost "
      "blocks are given up");
}

/// A running gateway brings below what it can by itself; what is left to decide is what it has lost.
int command_tree::give_up_lost() {
  if (options_.keep || !options_.discard)
    return misused("a running gateway keeps all that it can: say --discard to give up what is lost");
  return ask("cache.resolve", {{"store", options_.store}}, [](const nlohmann::json& answer) {
    const nlohmann::json& octets = member(answer, "discarded_bytes");
    return approximate_size(octets.is_number_unsigned() ? octets.get<std::uint64_t>() : 0) + " given up\n";
  });
}

int command_tree::ask_journal(const std::function<int(const journal_options&)>& work) {
  journal_options how{absolute(options_.file), std::nullopt, options_.keep, options_.discard, options_.json};
  if (options_.store.empty() && options_.file.empty()) return misused("say a PATH, or --store");
  if (!options_.store.empty() && options_.config.empty()) return give_up_lost();
  if (options_.store.empty()) return work(how);
  const loaded m = load_file(options_.config, hooks_.known);
  if (!m) return refuse(m.error());
  const store_config* found = find_named(m->stores, options_.store);
  if (!found) {
    std::vector<std::string> names;
    for (const store_config& each : m->stores) names.push_back(each.name);
    return misused(options_.config + " has no store \"" + options_.store + "\"" + did_you_mean(options_.store, names));
  }
  how.path.clear();
  how.store = *found;
  return work(how);
}

}  // namespace sluice::config
