#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/schema/model.hpp"

/// The command line of `sluice`: parses it, talks to a running gateway, renders what it says.
namespace sluice::config {

struct serve_options {
  std::string config_file;             // absolute; SIGHUP and restarts read it again
  std::optional<std::string> control;  // --control overrides the file's, also in `model`
};

struct demo_options {
  std::string directory;  // for the file unit; empty: a temporary one
  listen_address listen{"127.0.0.1", 3260};
  std::optional<std::string> control;
};

struct simulate_options {
  std::string trace;                       // the file
  std::vector<std::uint64_t> sizes_bytes;  // of the tier; empty: a range that suits the trace
  bool write_around = false;
  std::uint64_t bypass_bytes = 0;  // 0: streams are cached as all else
  bool json = false;
};

struct journal_options {
  std::string path;                   // flash of a write-back cache, or a medium under one
  std::optional<store_config> store;  // instead of `path`: that cache, or that medium
  bool keep = false, discard = false;
  bool json = false;
};

/// What the program does and this module cannot: main() supplies it.
struct cli_hooks {
  std::string version;
  known_types known;                                             // from the registries
  std::function<int(const model&, const serve_options&)> serve;  // returns the exit status
  std::function<int(const demo_options&)> demo;
  /// Looks for the media of a model's stores: what is not to be had, and as warnings what is odd. For `check --probe`.
  std::function<diagnostics(const model&, diagnostics& warnings)> probe = [](const model&, diagnostics&) {
    return diagnostics();
  };
  std::function<int(const simulate_options&)> simulate;  // `sluice cache simulate`: prints; returns the exit status
  std::function<int(const journal_options&)> inspect_journal;  // likewise
  std::function<int(const journal_options&)> resolve_journal;
  /// `sluice state repair`, of a directory that no gateway has open.
  std::function<int(const std::string&)> repair_state;
};

/// Prints "sluice: SENTENCE" on standard error and, for whoever asked for JSON, {"ok": false, "error", "code"} on
/// standard output; returns 1.
int complain(const std::string& sentence, bool as_json = false, const std::string& code = "failed");

/// Exit statuses: 0; 2 for a configuration that is refused; 1 for everything else.
int run_cli(int argc, const char* const* argv, const cli_hooks& hooks);

}  // namespace sluice::config
