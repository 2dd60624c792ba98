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
  std::string to_string() const { return format(why, file); }
};

using loaded = tl::expected<model, refused>;

/// Reads and validates a file, and opens each secret that it names to see that it will do. gateway.name, when absent,
/// becomes the host's name. Blocks on the file system.
loaded load_file(const std::string& path, const known_types& known);

/// The same for a text that claims to be `file`; relative paths are below `directory`. Secrets are not looked at. Pure.
loaded load_text(std::string_view text, const std::string& file, const std::string& directory,
                 const known_types& known);

/// A CHAP secret: the file's first line, 12 to 255 octets. A file that its group or others may read or write is
/// refused. [RFC7143 9.2.1]
result<std::string> read_secret(const std::string& path);

}  // namespace sluice::config
