#include "tiers/file/file_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <string_view>
#include <utility>

#include "tiers/store/descriptor_store.hpp"
#include "tiers/store/probe.hpp"

namespace sluice::file {
namespace {

result<reactor::handle> open_or_create(const options& wanted, reactor::loop& loop) {
  reactor::open_flags flags;
  flags.writable = !wanted.read_only;
  flags.direct = wanted.direct;
  flags.exclusive = true;
  auto opened = loop.open_file(wanted.path, flags);
  if (!opened && opened.error().code == errc::busy) {
    return fail(errc::busy, wanted.path + " is in use: another gateway or program holds it");
  }
  if (opened || opened.error().code != errc::not_found) return opened;
  if (wanted.size_bytes == 0 || wanted.read_only) {
    return fail(errc::not_found, wanted.path + " is absent; a writable file store with a size creates it");
  }
  flags.create = true;
  return loop.open_file(wanted.path, flags);
}

/// The file's number, and when it was made: a copy has others, however it came to the name.
std::uint64_t identity_of(const std::string& path) {
  struct statx about {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &about) != 0) return 0;
  std::uint64_t identity = about.stx_ino;
  if (about.stx_mask & STATX_BTIME)
    identity ^=
        (static_cast<std::uint64_t>(about.stx_btime.tv_sec) << 32 | about.stx_btime.tv_nsec) * 0x9e3779b97f4a7c15;
  return identity;
}

/// A file that lost its end while nobody served it would read as zeroes there.
result<void> check_whole(store::descriptor& medium, const std::string& path) {
  const std::uint64_t before = medium.noted_size();
  if (medium.size() >= before) return {};
  return fail(errc::corrupt, path + " has " + std::to_string(medium.size()) + " octets and had " +
                                 std::to_string(before) +
                                 " when a gateway last used it: restore it; or, to let what is missing be zeroes: "
                                 "truncate -s " +
                                 std::to_string(before) + " " + path);
}

/// Gives the file its size where the options ask for one.
result<void> fit(store::descriptor& medium, const options& wanted) {
  if (medium.info.is_block_device) {
    return fail(errc::invalid_argument, wanted.path + " is a block device; use a store of type \"block\"");
  }
  if (wanted.size_bytes == 0 && medium.size() < 512) {
    return fail(errc::invalid_argument, wanted.path + " is empty; give the store a size");
  }
  if (auto whole = check_whole(medium, wanted.path); !whole) return whole;
  if (!wanted.read_only && medium.size() >= wanted.size_bytes) medium.note_size();
  if (medium.size() >= wanted.size_bytes) return {};  // nothing is cut; the gateway tells what the size should say
  if (wanted.read_only)
    return fail(errc::invalid_argument, wanted.path + " is read-only and smaller than the size given");
  return medium.resize(wanted.size_bytes);
}

}  // namespace

result<std::shared_ptr<store::store>> open_store(const options& wanted, reactor::loop& control_loop) {
  if (wanted.size_bytes % 512 != 0) return fail(errc::invalid_argument, "size: must be a multiple of 512 octets");
  const auto opened = open_or_create(wanted, control_loop);
  if (!opened) return tl::unexpected(opened.error());
  const auto info = control_loop.info(*opened);
  if (!info) {
    control_loop.close(*opened);
    return tl::unexpected(info.error());
  }
  auto medium = std::make_unique<store::descriptor>(control_loop, *opened, *info, wanted.direct, wanted.path);
  const bool is_real = control_loop.kind() != std::string_view("simulated");
  if (is_real) medium->set_identity(identity_of(wanted.path));
  if (auto fitted = fit(*medium, wanted); !fitted) return tl::unexpected(fitted.error());
  auto made =
      std::make_shared<store::descriptor_store>("file", std::move(medium), wanted.read_only, wanted.deadline_ns);
  if (is_real) made->watch(wanted.path);
  return made;
}

result<void> probe(const options& wanted) {
  struct stat about;
  if (::stat(wanted.path.c_str(), &about) == 0) {
    if (S_ISBLK(about.st_mode))
      return fail(errc::invalid_argument, wanted.path + " is a block device; use a store of type \"block\"");
    if (wanted.size_bytes == 0 && about.st_size < 512)
      return fail(errc::invalid_argument, wanted.path + " is empty; give the store a size");
    if (wanted.read_only && static_cast<std::uint64_t>(about.st_size) < wanted.size_bytes)
      return fail(errc::invalid_argument, "size: " + wanted.path + " is read-only and smaller");
  }
  return store::probe_file({.path = wanted.path,
                            .writable = !wanted.read_only,
                            .direct = wanted.direct,
                            .made_when_absent = wanted.size_bytes != 0 && !wanted.read_only,
                            .alone = true});
}

}  // namespace sluice::file
