#include "tiers/block/register.hpp"

#include "tiers/block/block_store.hpp"
#include "tiers/store/descriptor_store.hpp"
#include "tiers/store/probe.hpp"

namespace sluice::block {

void register_store(store::registry& to) {
  using config::kind;
  to.add({"block",
          {{"path", kind::path, true, "the block device, best by a name that stays: /dev/disk/by-id/..."},
           {"read_only", kind::flag, false, "never write to it", {}, 0, UINT64_MAX, "false"},
           store::deadline_key()},
          [](const config::settings& s, reactor::loop& loop, const auto&) {
            const std::string* path = s.text("path");
            return open_store(path ? *path : std::string(), s.flag("read_only", false), loop,
                              s.number("deadline", store::descriptor_deadline_ns));
          },
          {},
          [](const config::settings& s) {
            const std::string* path = s.text("path");
            return store::probe_device(path ? *path : std::string(), !s.flag("read_only", false));
          }});
}

}  // namespace sluice::block
