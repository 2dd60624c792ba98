#include "tiers/file/register.hpp"

#include "tiers/file/file_store.hpp"
#include "tiers/store/descriptor_store.hpp"

namespace sluice::file {

namespace {

options read_options(const config::settings& s) {
  const std::string* path = s.text("path");
  return {.path = path ? *path : std::string(),
          .size_bytes = s.number("size", 0),
          .direct = s.flag("direct", false),
          .read_only = s.flag("read_only", false),
          .deadline_ns = s.number("deadline", store::descriptor_deadline_ns)};
}

}  // namespace

void register_store(store::registry& to) {
  using config::kind;
  to.add({"file",
          {{"path", kind::path, true, "the file; created sparse when absent and size is given"},
           {"create",
            kind::flag,
            false,
            "make it, empty, also where a unit over it had another one before",
            {},
            0,
            UINT64_MAX,
            "false"},
           {"size", kind::size, false, "its size; a smaller file grows to it", {}, 0, UINT64_MAX, "as the file is"},
           {"direct", kind::flag, false, "read and write past the page cache (O_DIRECT)", {}, 0, UINT64_MAX, "false"},
           {"read_only", kind::flag, false, "never write to it", {}, 0, UINT64_MAX, "false"},
           store::deadline_key()},
          [](const config::settings& s, reactor::loop& loop, const auto&) { return open_store(read_options(s), loop); },
          {},
          [](const config::settings& s) { return probe(read_options(s)); }});
}

}  // namespace sluice::file
