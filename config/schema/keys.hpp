#pragma once
#include <cstdint>
#include <string>
#include <vector>

/// What a table of the configuration file may hold. The parser, `sluice check`, the manual page and the completion all
/// read the same rows, so that a store or a fabric which registers its keys is known everywhere at once.
namespace sluice::config {

enum class kind : std::uint8_t {
  text,
  path,      // made absolute, relative to the file
  size,      // "64GiB": octets
  duration,  // "30 s": nanoseconds
  number,
  flag,
  store_name,  // names a [store.X] table
  choice,      // one of `choices`
  endpoints,   // a list of "host:port"
  endpoint,    // one of them
  hosts,       // a list of "host:port", where host may be a name
  numbers,     // a number, or a list of distinct ones: a list of texts in `settings`
  ranges,      // a list of "OFFSET+LENGTH": of texts in `settings`
  luns,        // a table LUN -> unit
  tables,      // tables with keys of their own
};

struct key {
  std::string name;  // "flash.path" for a key of a nested table
  kind type = kind::text;
  bool required = false;
  std::string help;          // one line
  std::string choices = {};  // separated by '|'
  std::uint64_t minimum = 0;
  std::uint64_t maximum = UINT64_MAX;
  std::string otherwise = {};  // what holds when it is absent, for the manual: "512"
  bool live = false;           // of a store: it can change while the store runs
};

/// One table after it has been checked against its keys: sizes in octets, durations in nanoseconds.
class settings {
 public:
  virtual ~settings() = default;
  /// The value of a text, path, choice or store_name key; null when absent.
  virtual const std::string* text(const std::string& name) const = 0;
  virtual std::uint64_t number(const std::string& name, std::uint64_t otherwise) const = 0;
  virtual bool flag(const std::string& name, bool otherwise) const = 0;
  virtual std::vector<std::string> list(const std::string& name) const = 0;
};

}  // namespace sluice::config
