#include "ceph/rbd/image.hpp"

#include <rbd/features.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "actors/observe/log.hpp"
#include "ceph/rbd/passphrase.hpp"

namespace sluice::rbd {
namespace {

using cluster::text_of;

tl::unexpected<error> refusal(const std::string& what, const options& wanted, int negative_error) {
  switch (-negative_error) {
    case ENOENT:
      return fail(errc::not_found, wanted.snapshot.empty()
                                       ? "pool \"" + wanted.pool + "\" has no image \"" + wanted.image +
                                             "\"; make it with the rbd tool, or give `create = true` and a size"
                                       : "there is no image or snapshot " + wanted.path());
    case EPERM:
    case EACCES:
      return fail(errc::permission,
                  wanted.cluster.client() + " may not use pool \"" + wanted.pool +
                      "\"; it needs the capabilities mon 'profile rbd', osd 'profile rbd pool=" + wanted.pool + "'");
    default:
      return fail(errc::io, what + " " + wanted.path() + ": " + text_of(negative_error));
  }
}

struct image_options {
  image_options() { rbd_image_options_create(&handle); }
  ~image_options() { rbd_image_options_destroy(handle); }
  image_options(const image_options&) = delete;
  image_options& operator=(const image_options&) = delete;
  rbd_image_options_t handle = nullptr;
};

}  // namespace

result<std::shared_ptr<image>> image::open(std::shared_ptr<cluster::connection> on, const options& wanted,
                                           std::chrono::nanoseconds limit) {
  cluster::connection& connection = *on;
  auto opened = connection.offload().call_within(
      limit, [on = std::move(on), wanted] { return open_now(on, wanted); },
      [](const result<std::shared_ptr<image>>&) {});
  if (opened) return std::move(*opened);
  return fail(errc::timeout, "the Ceph cluster did not open " + wanted.path() + " within " +
                                 std::to_string(limit / std::chrono::seconds(1)) + " s: its OSDs do not answer");
}

result<std::shared_ptr<image>> image::open_now(std::shared_ptr<cluster::connection> on, const options& wanted) {
  auto in = cluster::pool::open(on, wanted.pool, wanted.name_space);
  if (!in) return tl::unexpected(in.error());
  if (!wanted.name_space.empty()) {
    bool exists = false;
    if (rbd_namespace_exists((*in)->handle(), wanted.name_space.c_str(), &exists) == 0 && !exists)
      return fail(errc::not_found, "pool \"" + wanted.pool + "\" has no namespace \"" + wanted.name_space + "\"");
  }
  const char* snapshot = wanted.snapshot.empty() ? nullptr : wanted.snapshot.c_str();
  rbd_image_t handle = nullptr;
  const auto open = wanted.read_only ? rbd_open_read_only : rbd_open;
  int done = open((*in)->handle(), wanted.image.c_str(), &handle, snapshot);
  if (done == -ENOENT && wanted.create && !snapshot) {
    if (auto created = create(**in, wanted); !created) return tl::unexpected(created.error());
    done = rbd_open((*in)->handle(), wanted.image.c_str(), &handle, nullptr);
  }
  if (done < 0) return refusal("cannot open", wanted, done);
  std::shared_ptr<image> opened(new image(std::move(on), std::move(*in), handle));
  if (auto ready = opened->load_encryption(wanted); !ready) return tl::unexpected(ready.error());
  if (auto known = opened->learn(); !known) return tl::unexpected(known.error());
  if (auto plain = opened->refuse_a_cache(wanted); !plain) return tl::unexpected(plain.error());
  if (wanted.exclusive)
    if (auto alone = opened->refuse_company(wanted); !alone) return tl::unexpected(alone.error());
  return opened;
}

result<void> image::create(cluster::pool& in, const options& wanted) {
  const image_options how;
  if (!wanted.data_pool.empty())
    rbd_image_options_set_string(how.handle, RBD_IMAGE_OPTION_DATA_POOL, wanted.data_pool.c_str());
  if (wanted.object_size_bytes != 0)
    rbd_image_options_set_uint64(how.handle, RBD_IMAGE_OPTION_ORDER,
                                 static_cast<std::uint64_t>(std::countr_zero(wanted.object_size_bytes)));
  const int done = rbd_create4(in.handle(), wanted.image.c_str(), wanted.size_bytes, how.handle);
  if (done == -ENOENT && !wanted.data_pool.empty())
    return fail(errc::not_found, "the Ceph cluster has no pool \"" + wanted.data_pool + "\" for data_pool");
  if (done < 0 && done != -EEXIST) return refusal("cannot create", wanted, done);
  if (done == 0) SLUICE_LOG(info, "rbd", "image created", {"image", wanted.path()}, {"size_bytes", wanted.size_bytes});
  return {};
}

result<void> image::load_encryption(const options& wanted) {
  if (wanted.encryption.empty()) return {};
  auto secret = read_passphrase(wanted.passphrase_file);
  if (!secret) return tl::unexpected(secret.error());
  int done = 0;
  if (wanted.encryption == "luks1") {
    rbd_encryption_luks1_format_options_t how{RBD_ENCRYPTION_ALGORITHM_AES256, secret->data(), secret->size()};
    done = rbd_encryption_load(handle_, RBD_ENCRYPTION_FORMAT_LUKS1, &how, sizeof how);
  } else {
    rbd_encryption_luks2_format_options_t how{RBD_ENCRYPTION_ALGORITHM_AES256, secret->data(), secret->size()};
    done = rbd_encryption_load(handle_, RBD_ENCRYPTION_FORMAT_LUKS2, &how, sizeof how);
  }
  ::explicit_bzero(secret->data(), secret->size());
  if (done == -EPERM)
    return fail(errc::permission, "the passphrase in " + wanted.passphrase_file + " does not open " + wanted.path());
  if (done < 0)
    return fail(errc::io, "cannot read " + wanted.path() + " as " + wanted.encryption + ": " + text_of(done));
  facts_.encrypted = true;
  return {};
}

result<void> image::learn() {
  char id[128] = {};
  std::uint64_t stripe_unit = 0;
  rbd_image_info_t info{};
  std::uint8_t old_format = 0;
  for (const int done : {rbd_get_old_format(handle_, &old_format), rbd_stat(handle_, &info, sizeof info),
                         rbd_get_stripe_unit(handle_, &stripe_unit), rbd_get_features(handle_, &facts_.features)})
    if (done < 0) return fail(errc::io, "cannot read what the image is: " + text_of(done));
  if (old_format) return fail(errc::unsupported, "images of format 1 are not served; migrate it with the rbd tool");
  if (const int done = rbd_get_id(handle_, id, sizeof id); done < 0)
    return fail(errc::io, "cannot read the image's id: " + text_of(done));
  facts_.id = id;
  facts_.object_bytes = info.obj_size;
  facts_.atomic_bytes = stripe_unit == 0 ? info.obj_size : stripe_unit;
  return {};
}

/// The settings of a pool or an image go before the client's own: one that turns a cache of librbd on would acknowledge
/// writes that are not in the cluster.
result<void> image::refuse_a_cache(const options& wanted) const {
  std::vector<rbd_config_option_t> settings(64);
  int count = static_cast<int>(settings.size());
  int done = rbd_config_image_list(handle_, settings.data(), &count);
  while (done == -ERANGE && count > 0 && count < 100'000) {
    settings.resize(static_cast<std::size_t>(count));
    done = rbd_config_image_list(handle_, settings.data(), &count);
  }
  if (done < 0) return fail(errc::io, "cannot read the settings of " + wanted.path() + ": " + text_of(done));
  std::string_view cached_by;
  for (int i = 0; i < count; ++i)
    for (const auto& [name, off] : cluster::connection::caches)
      if (name == settings[static_cast<std::size_t>(i)].name && off != settings[static_cast<std::size_t>(i)].value)
        cached_by = name;
  rbd_config_image_list_cleanup(settings.data(), count);
  if (cached_by.empty()) return {};
  return fail(errc::invalid_argument, wanted.path() + " has " + std::string(cached_by) +
                                          " turned on in the settings of the image or its pool; " +
                                          "writes would be acknowledged before they are durable; remove that setting");
}

/// Whoever has an image open to write to it watches its header.
result<void> image::refuse_company(const options& wanted) const {
  std::array<rbd_image_watcher_t, 16> watchers{};
  std::size_t count = watchers.size();
  const int done = rbd_watchers_list(handle_, watchers.data(), &count);
  if (done < 0 && done != -ERANGE)
    return fail(errc::io, "cannot tell who has " + wanted.path() + " open: " + text_of(done));
  std::string others = done == -ERANGE ? "many clients" : "";
  if (done == 0) {
    const auto own = static_cast<std::int64_t>(rados_get_instance_id(on_->handle()));
    for (std::size_t i = 0; i < count; ++i)
      if (watchers[i].id != own) others += (others.empty() ? "" : ", ") + std::string(watchers[i].addr);
    rbd_watchers_list_cleanup(watchers.data(), count);
  }
  if (others.empty()) return {};
  return fail(errc::busy, wanted.path() + " is in use by " + others +
                              ": stop the gateway that has it open first; one that was killed counts for half a "
                              "minute more");
}

image::~image() {
  if (on_->abandoned()) {
    // Closing would wait for what will never be answered.
    new auto(std::pair(std::move(pool_), std::move(watcher_)));
    return;
  }
  // The connection outlives the call: its last reference goes with the job.
  cluster::helper& offload = on_->offload();
  offload.run([on = std::move(on_), in = std::move(pool_), handle = handle_, watch = watch_, watcher = watcher_] {
    if (watcher) rbd_update_unwatch(handle, watch);
    rbd_close(handle);
  });
}

result<std::uint64_t> image::size() const {
  std::uint64_t octets = 0;
  if (const int done = rbd_get_size(handle_, &octets); done < 0)
    return fail(errc::io, "cannot read the image's size: " + text_of(done));
  return octets;
}

result<void> image::resize(std::uint64_t size_bytes) {
  const int done = rbd_resize2(
      handle_, size_bytes, true, [](std::uint64_t, std::uint64_t, void*) { return 0; }, nullptr);
  if (done < 0) return fail(errc::io, "the image cannot be resized: " + text_of(done));
  return {};
}

std::string image::object_map() const {
  std::uint64_t flags = 0, features = 0;
  if (rbd_get_features(handle_, &features) < 0 || (features & RBD_FEATURE_OBJECT_MAP) == 0) return "off";
  if (rbd_get_flags(handle_, &flags) < 0) return "unknown";
  return (flags & RBD_FLAG_OBJECT_MAP_INVALID) != 0 ? "invalid" : "valid";
}

result<void> image::watch(changed callback) {
  auto watcher = std::make_shared<changed>(std::move(callback));
  const int done = rbd_update_watch(
      handle_, &watch_, [](void* told) { (*static_cast<changed*>(told))(); }, watcher.get());
  if (done < 0) return fail(errc::io, "cannot watch the image: " + text_of(done));
  watcher_ = std::move(watcher);
  return {};
}

result<std::string> image::note(const char* name) const {
  std::array<char, 1024> text;
  const int length = rados_getxattr(pool_->handle(), header_object().c_str(), name, text.data(), text.size());
  if (length >= 0) return std::string(text.data(), static_cast<std::size_t>(length));
  if (length == -ENODATA) return std::string();
  if (length == -ERANGE) return fail(errc::corrupt, "the note with the image is none of sluice's");
  return fail(errc::io, "cannot read the note with the image: " + text_of(length));
}

result<void> image::set_attribute(const char* name, const std::string& text) {
  const std::unique_ptr<void, void (*)(rados_write_op_t)> change(rados_create_write_op(), rados_release_write_op);
  rados_write_op_assert_exists(change.get());  // else an image that is gone would leave a header behind
  rados_write_op_setxattr(change.get(), name, text.data(), text.size());
  const int done = rados_write_op_operate2(change.get(), pool_->handle(), header_object().c_str(), nullptr,
                                           LIBRADOS_OPERATION_NOFLAG);
  if (done < 0) return fail(errc::io, "cannot write a note with the image: " + text_of(done));
  return {};
}

}  // namespace sluice::rbd
