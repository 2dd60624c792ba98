#include "gateway/daemon/journal_commands.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "actors/reactor/loop.hpp"
#include "config/schema/quantity.hpp"
#include "tiers/journal/offline.hpp"
#include "tiers/store/descriptor.hpp"

namespace sluice::daemon {

namespace {

int complain(const std::string& sentence) {
  std::fprintf(stderr, "sluice: %s\n", sentence.c_str());
  return 1;
}

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
int inspect_medium(const store::mark& mark, bool as_json) {
  if (as_json)
    std::printf("%s\n", nlohmann::json{{"state", mark.holder.empty() ? "whole" : "lacks data"},
                                       {"holder", mark.holder},
                                       {"epoch", mark.epoch}}
                            .dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
                            .c_str());
  else
    std::printf("a medium that lacks data, which are in %s\n", mark.holder.c_str());
  return 0;
}

}  // namespace

int inspect_journal(const config::journal_options& options) {
  const auto file = held_file::open(options.path);
  if (!file) return complain(file.error().message);
  const auto seen = journal::inspect(*(*file)->loop, (*file)->medium.handle);
  if (!seen) {
    const auto mark = (*file)->medium.read_mark();
    if (seen.error().code == errc::not_found && mark && !mark->holder.empty())
      return inspect_medium(*mark, options.json);
    return complain(options.path + ": " + seen.error().message);
  }
  options.json ? print_json(*seen) : print_text(*seen);
  return 0;
}

int resolve_journal(const config::journal_options& options) {
  if (options.keep == options.discard) return complain("say either --keep or --discard");
  const auto file = held_file::open(options.path);
  if (!file) return complain(file.error().message);
  const auto done = journal::resolve(*(*file)->loop, (*file)->medium.handle,
                                     options.keep ? journal::decision::keep : journal::decision::discard);
  if (done) return 0;
  store::descriptor& medium = (*file)->medium;
  const auto mark = medium.read_mark();
  if (done.error().code != errc::not_found || !mark || mark->holder.empty())
    return complain(options.path + ": " + done.error().message);
  if (options.keep) return complain(options.path + " is a medium that lacks data: they are in " + mark->holder);
  const auto cleared = medium.write_mark({mark->epoch + 1, {}});
  return cleared ? 0 : complain(cleared.error().message);
}

}  // namespace sluice::daemon
