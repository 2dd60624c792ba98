#include "gateway/daemon/journal_commands.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "actors/reactor/loop.hpp"
#include "config/schema/quantity.hpp"
#include "tiers/journal/offline.hpp"
#include "tiers/store/descriptor.hpp"

namespace sluice::daemon {

namespace {

using config::complain;

/// The file or device, held against gateways.
class held_file {
 public:
  static result<std::unique_ptr<held_file>> open(const std::string& path) {
    auto loop = reactor::make_loop({});
    if (!loop) return tl::unexpected(loop.error());
    auto opened = (*loop)->open_file(path, {.exclusive = true});
    if (!opened && opened.error().code == errc::busy)
      return fail(errc::busy, path + " is in use: stop the gateway that holds it first");
    if (!opened) return tl::unexpected(opened.error());
    return std::make_unique<held_file>(std::move(*loop), *opened);
  }
  held_file(std::unique_ptr<reactor::loop> with, reactor::handle opened)
      : loop(std::move(with)), medium(*loop, opened, {}, false) {}

  const std::unique_ptr<reactor::loop> loop;
  store::descriptor medium;  // closes it
};

/// A medium that is no file, opened as its type opens it; nobody else may have it open.
class held_store {
 public:
  static result<std::unique_ptr<held_store>> open(const config::store_config& which, const store::registry& types) {
    const std::string name = "store." + which.name;
    if (!which.over.empty())
      return fail(errc::invalid_argument, name + " has no flash: name the store below it, " + which.over);
    auto loop = reactor::make_loop({});
    if (!loop) return tl::unexpected(loop.error());
    config::values settings = which.settings;
    settings.erase("create");
    settings.set("exclusive", true);
    auto opened = types.find(which.type)->open(settings, **loop, {});
    if (!opened) return fail(opened.error().code, name + ": " + opened.error().message);
    return std::make_unique<held_store>(std::move(*loop), std::move(*opened));
  }
  held_store(std::unique_ptr<reactor::loop> with, std::shared_ptr<store::store> opened)
      : loop(std::move(with)), medium(std::move(opened)) {}

  const std::unique_ptr<reactor::loop> loop;
  const std::shared_ptr<store::store> medium;
};

/// The file or device that is meant: of a cache its flash. Empty when it is neither.
std::string path_of(const config::journal_options& options) {
  if (!options.store) return options.path;
  const config::values& settings = options.store->settings;
  return settings.text_or("flash.path", settings.text_or("path", {}));
}

std::string id_of(const journal::superblock& super) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(super.id));
  return text;
}

const char* state_of(const journal::inspection& seen) {
  if (seen.damaged_from != 0) return "damaged";
  return seen.records != 0 || seen.lost_bytes != 0 ? "dirty" : "clean";
}

void print_json(const journal::inspection& seen) {
  const nlohmann::json all{{"state", state_of(seen)},
                           {"id", id_of(seen.super)},
                           {"medium", seen.super.medium},
                           {"owner", seen.super.owner},
                           {"epoch", seen.super.epoch},
                           {"changed_unix", seen.super.changed_unix},
                           {"journal_bytes", seen.super.journal_bytes},
                           {"records", seen.records},
                           {"dirty_bytes", seen.dirty_bytes},
                           {"lost_bytes", seen.lost_bytes},
                           {"damaged_from", seen.damaged_from}};
  std::printf("%s\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print_text(const journal::inspection& seen) {
  std::printf("%s: journal %s of store %s, last used as %s\n", state_of(seen), id_of(seen.super).c_str(),
              seen.super.medium.c_str(), seen.super.owner.c_str());
  std::printf("%llu octets in %llu records are not below yet, of %s\n",
              static_cast<unsigned long long>(seen.dirty_bytes), static_cast<unsigned long long>(seen.records),
              config::approximate_size(seen.super.journal_bytes).c_str());
  if (seen.lost_bytes != 0)
    std::printf("%llu octets were acknowledged and are lost\n", static_cast<unsigned long long>(seen.lost_bytes));
  if (seen.damaged_from != 0)
    std::printf("acknowledged records are missing from number %llu on: --keep keeps what lies before\n",
                static_cast<unsigned long long>(seen.damaged_from));
}

/// What a medium says of the data that it lacks.
void print_ownership(const store::ownership& ownership, bool as_json) {
  const bool lacks = !ownership.holder.empty();
  if (as_json)
    std::printf("%s\n",
                nlohmann::json{
                    {"state", lacks ? "lacks data" : "whole"}, {"holder", ownership.holder}, {"epoch", ownership.epoch}}
                    .dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
                    .c_str());
  else if (lacks)
    std::printf("a medium that lacks data, which are in %s\n", ownership.holder.c_str());
  else
    std::printf("a medium that lacks nothing\n");
}

/// Lets a medium be used without the data that it lacks. `medium` is a store or a descriptor.
template <class Medium>
int resolve_ownership(Medium& medium, const store::ownership& ownership, const std::string& name, bool keep) {
  if (ownership.holder.empty()) return complain(name + " lacks nothing");
  if (keep) return complain(name + " is a medium that lacks data: they are in " + ownership.holder);
  const auto cleared = medium.write_ownership({ownership.epoch + 1, {}});
  return cleared ? 0 : complain(cleared.error().message);
}

/// Of a medium that is no file.
int ask_store(const config::journal_options& options, const store::registry& types, bool resolves) {
  const auto held = held_store::open(*options.store, types);
  if (!held) return complain(held.error().message, options.json);
  store::store& medium = *(*held)->medium;
  const std::string name = "store." + options.store->name;
  const auto ownership = medium.read_ownership();
  if (!ownership) return complain(name + ": " + ownership.error().message, options.json);
  if (resolves) return resolve_ownership(medium, *ownership, name, options.keep);
  print_ownership(*ownership, options.json);
  return 0;
}

}  // namespace

int inspect_journal(const config::journal_options& options, const store::registry& types) {
  const std::string path = path_of(options);
  if (path.empty()) return ask_store(options, types, false);
  const auto file = held_file::open(path);
  if (!file) return complain(file.error().message, options.json);
  const auto seen = journal::inspect(*(*file)->loop, (*file)->medium.handle);
  if (seen) {
    options.json ? print_json(*seen) : print_text(*seen);
    return 0;
  }
  const auto ownership = (*file)->medium.read_ownership();
  if (seen.error().code != errc::not_found || !ownership || ownership->holder.empty())
    return complain(path + ": " + seen.error().message, options.json);
  print_ownership(*ownership, options.json);
  return 0;
}

int resolve_journal(const config::journal_options& options, const store::registry& types) {
  if (options.keep == options.discard) return complain("say either --keep or --discard");
  const std::string path = path_of(options);
  if (path.empty()) return ask_store(options, types, true);
  const auto file = held_file::open(path);
  if (!file) return complain(file.error().message);
  const auto done = journal::resolve(*(*file)->loop, (*file)->medium.handle,
                                     options.keep ? journal::decision::keep : journal::decision::discard);
  if (done) return 0;
  store::descriptor& medium = (*file)->medium;
  const auto ownership = medium.read_ownership();
  if (done.error().code != errc::not_found || !ownership || ownership->holder.empty())
    return complain(path + ": " + done.error().message);
  return resolve_ownership(medium, *ownership, path, options.keep);
}

}  // namespace sluice::daemon
