#include "ceph/rbd/register.hpp"

#include <bit>
#include <utility>

#include "ceph/rbd/rbd_store.hpp"

namespace sluice::rbd {
namespace {

std::string text_of(const config::settings& s, const char* name) {
  const std::string* found = s.text(name);
  return found ? *found : std::string();
}

bool pool_is_there(const std::shared_ptr<cluster::connection>& on, const options& wanted) {
  return cluster::pool::open(on, wanted.pool, wanted.name_space).has_value();
}

std::vector<config::key> keys() {
  using config::kind;
  return {
      {"pool", kind::text, true, "the pool of the image"},
      {"image", kind::text, true, "the image's name"},
      {"namespace", kind::text, false, "the pool's namespace"},
      {"snapshot", kind::text, false, "serve this snapshot of the image, read only"},
      {"read_only",
       kind::flag,
       false,
       "never write to it: `profile rbd-read-only` is enough. That it was resized is seen when it is opened",
       {},
       0,
       UINT64_MAX,
       "false"},
      {"user", kind::text, false, "the cephx user, without \"client.\"", {}, 0, UINT64_MAX, "admin"},
      {"conf", kind::path, false, "the cluster's ceph.conf", {}, 0, UINT64_MAX, "where librados looks"},
      {"create", kind::flag, false, "make the image when it is absent; needs size", {}, 0, UINT64_MAX, "false"},
      {"size", kind::size, false, "of an image that is created, or to which a running one is resized", {}, 512},
      {"data_pool", kind::text, false, "created images keep their data here, for example in an erasure-coded pool"},
      {"object_size", kind::size, false, "of created images: a power of two", {}, 4 * kib, 32 * mib, "the cluster's"},
      {"encryption", kind::choice, false, "the image's encryption, loaded by librbd", "luks1|luks2"},
      {"passphrase_file", kind::path, false,
       "a file that is the passphrase, the whole of it, readable by its owner only"},
      {"deadline",
       kind::duration,
       false,
       "how long a command waits for the cluster",
       {},
       1 * ns_per_s,
       600 * ns_per_s,
       "30 s"},
      {"failover_group", kind::text, false,
       "images of one group share a connection, and what the cluster fences is it"},
  };
}

/// Opens the image and closes it again. One that open() would create is good, too: then only the pool must be there.
result<void> probe(cluster::connections& all, const config::settings& s) {
  auto wanted = options_of(s);
  if (!wanted) return tl::unexpected(wanted.error());
  auto connected = all.get(wanted->cluster);
  if (!connected) return tl::unexpected(connected.error());
  const bool creates = std::exchange(wanted->create, false);
  const auto opened = image::open(*connected, *wanted, medium::open_limit);
  if (opened || (creates && opened.error().code == errc::not_found && pool_is_there(*connected, *wanted))) return {};
  return tl::unexpected(opened.error());
}

}  // namespace

result<options> options_of(const config::settings& s) {
  options wanted;
  wanted.cluster = {text_of(s, "conf"), text_of(s, "user"), text_of(s, "failover_group")};
  wanted.pool = text_of(s, "pool");
  wanted.name_space = text_of(s, "namespace");
  wanted.image = text_of(s, "image");
  wanted.snapshot = text_of(s, "snapshot");
  wanted.read_only = s.flag("read_only", false);
  wanted.create = s.flag("create", false);
  wanted.size_bytes = s.number("size", 0);
  wanted.data_pool = text_of(s, "data_pool");
  wanted.object_size_bytes = s.number("object_size", 0);
  wanted.encryption = text_of(s, "encryption");
  wanted.passphrase_file = text_of(s, "passphrase_file");
  wanted.deadline_ns = s.number("deadline", 30 * ns_per_s);
  wanted.exclusive = s.flag("exclusive", false);  // no key of the file: asked for by commands that need no gateway
  if (wanted.size_bytes % 512 != 0) return fail(errc::invalid_argument, "size: must be a multiple of 512 octets");
  if (wanted.create && wanted.size_bytes == 0) return fail(errc::invalid_argument, "create: needs a size");
  if (wanted.create && !wanted.snapshot.empty())
    return fail(errc::invalid_argument, "create: a snapshot cannot be created");
  if (wanted.create && wanted.read_only)
    return fail(errc::invalid_argument, "create: an image that is never written to cannot be created");
  if (wanted.object_size_bytes != 0 && !std::has_single_bit(wanted.object_size_bytes))
    return fail(errc::invalid_argument, "object_size: must be a power of two");
  if (wanted.encryption.empty() != wanted.passphrase_file.empty())
    return fail(errc::invalid_argument, "encryption and passphrase_file: one needs the other");
  return wanted;
}

void register_store(store::registry& to) {
  const auto all = cluster::connections::of_this_process();
  to.add({"rbd", keys(),
          [all](const config::settings& s, reactor::loop&, const auto&) -> result<std::shared_ptr<store::store>> {
            const auto wanted = options_of(s);
            if (!wanted) return tl::unexpected(wanted.error());
            return rbd_store::open(all, *wanted);
          },
          [](const config::settings& s) { return options_of(s).map([](const options&) {}); },
          [all](const config::settings& s) { return probe(*all, s); }, true});
}

}  // namespace sluice::rbd
