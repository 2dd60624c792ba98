#include "tiers/block/block_store.hpp"

#include <utility>

#include "tiers/block/size_watch.hpp"
#include "tiers/store/descriptor_store.hpp"

namespace sluice::block {

result<std::shared_ptr<store::store>> open_store(const std::string& path, bool read_only, reactor::loop& control_loop,
                                                 std::uint64_t deadline_ns) {
  reactor::open_flags flags;
  flags.writable = !read_only;
  flags.direct = true;
  flags.exclusive = true;
  const auto opened = control_loop.open_file(path, flags);
  if (!opened && opened.error().code == errc::busy) {
    return fail(errc::busy, path + " is in use: mounted, part of a volume or array, or held by another program");
  }
  if (!opened) return tl::unexpected(opened.error());
  const auto info = control_loop.info(*opened);
  if (!info || !info->is_block_device) {
    control_loop.close(*opened);
    if (!info) return tl::unexpected(info.error());
    return fail(errc::invalid_argument, path + " is no block device; use a store of type \"file\"");
  }
  auto medium = std::make_unique<store::descriptor>(control_loop, *opened, *info, true, path);
  medium->punches = info->discard_granularity != 0;
  medium->maps = false;
  return watched(std::make_unique<store::descriptor_store>("block", std::move(medium), read_only, deadline_ns),
                 control_loop);
}

}  // namespace sluice::block
