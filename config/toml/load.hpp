#pragma once
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "actors/base/result.hpp"
#include "config/schema/read.hpp"

/// TOML files in, models out. The only module that knows the format.
namespace sluice::config {

/// Why a file was refused, every reason at once.
struct refused {
  std::string file;
  diagnostics why;
  std::string shared_file = {};  // what those are in whose place is in the text that gateways share
  const std::string& file_of(const diagnostic& d) const { return d.at.is_shared ? shared_file : file; }
  std::string to_string() const;
};

using loaded = tl::expected<model, refused>;

/// Reads and validates a file, and opens each secret that it names to see that it will do. gateway.name, when absent,
/// becomes the host's name. Blocks on the file system.
loaded load_file(const std::string& path, const known_types& known);

/// The text that the gateways of a cluster share, by the name that diagnostics give it.
struct shared_text {
  static constexpr std::size_t max_bytes = 1 << 20;
  std::string text;
  std::string name = "the cluster's configuration";
};
/// A file with such a text, for `apply --cluster`. Blocks on the file system.
result<shared_text> read_shared_file(const std::string& path);

/// What a gateway of a cluster runs by: its own file, and what it shares with others (merge.hpp). Relative paths in
/// both are below the file's folder.
loaded load_file(const std::string& path, const shared_text& shared, const known_types& known);

/// The own file of a gateway whose cluster may share the rest: where it has [cluster], what is wrong between its parts,
/// which that rest may put right, goes to `unsure`; else as load_file().
loaded load_own_file(const std::string& path, const known_types& known, diagnostics& unsure);

/// The same for a text that claims to be `file`; relative paths are below `directory`. Secrets are not looked at. Pure.
loaded load_text(std::string_view text, const std::string& file, const std::string& directory,
                 const known_types& known);

/// A CHAP secret: the file's first line, 12 to 255 octets. A file that its group or others may read or write is
/// refused. [RFC7143 9.2.1]
result<std::string> read_secret(const std::string& path);

}  // namespace sluice::config
