#include "ceph/cluster/connection.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "actors/base/bytes.hpp"

namespace sluice::cluster {
namespace {

// librados' own limits of what a connection has in flight, and the budget that keeps below them.
constexpr std::uint64_t library_operations = 8192;
constexpr std::uint64_t library_bytes = 1024 * mib;
constexpr std::uint64_t budget_operations = library_operations / 2;
constexpr std::uint64_t budget_bytes = library_bytes / 2;

/// What the gateway relies on, whatever ceph.conf says.
result<void> configure(rados_t handle, std::chrono::seconds osd_patience) {
  std::vector<std::pair<std::string_view, std::string>> settings = {
      // An operation that times out in librados is not taken back: a write could land after it was reported as failed.
      // Deadlines are the unit's, which keeps the blocks locked until the write has landed.
      {"rados_osd_op_timeout", std::to_string(osd_patience.count())},
      {"rados_mon_op_timeout", std::to_string(connection::patience.count())},
      {"client_mount_timeout", std::to_string(connection::patience.count())},
      // With writes that are not copied, librbd 16.2 never completes one that it refuses by itself (fenced, lock lost,
      // read only, beyond the end): the completion waits for the buffer, and the buffer for the completion.
      {"rbd_disable_zero_copy_writes", "true"},
      {"objecter_inflight_ops", std::to_string(library_operations)},
      {"objecter_inflight_op_bytes", std::to_string(library_bytes)},
      {"log_to_stderr", "false"},
      {"err_to_stderr", "false"},
  };
  settings.insert(settings.end(), std::begin(connection::caches), std::end(connection::caches));
  for (const auto& [name, value] : settings)
    if (const int done = rados_conf_set(handle, name.data(), value.c_str()); done < 0)
      return fail(errc::unsupported, std::string("this librados does not take ") + name.data() + " = " + value);
  return {};
}

/// What pays, where ceph.conf leaves the default. The threads of librados take turns at the same locks: where there are
/// few cores, more threads only switch. A level that is gathered for a crash dump costs each I/O some microseconds. The
/// scheduler of librbd holds writes back to merge neighbours, which initiators have done already.
void tune(rados_t handle, rados_t defaults) {
  const std::string threads = std::to_string(std::clamp(std::thread::hardware_concurrency() / 4, 1U, 2U));
  const std::pair<const char*, std::string> settings[] = {
      {"librados_thread_count", threads},
      {"ms_async_op_threads", threads},
      {"rbd_io_scheduler", "none"},
      {"debug_rbd", "0/0"},
      {"debug_rados", "0/0"},
      {"debug_objecter", "0/0"},
      {"debug_ms", "0/0"},
      {"debug_throttle", "0/0"},
      {"debug_finisher", "0/0"},
  };
  for (const auto& [name, value] : settings) {
    char set[64], otherwise[64];
    if (rados_conf_get(handle, name, set, sizeof set) == 0 &&
        rados_conf_get(defaults, name, otherwise, sizeof otherwise) == 0 && std::strcmp(set, otherwise) == 0)
      rados_conf_set(handle, name, value.c_str());  // refused: then it stays as it is
  }
}

tl::unexpected<error> refusal(const address& to, int negative_error) {
  const std::string client = to.client();
  switch (-negative_error) {
    case ETIMEDOUT:
      return fail(errc::timeout, "no monitor of the Ceph cluster answered within " +
                                     std::to_string(connection::patience.count()) + " s");
    case ENOENT:
      return fail(errc::not_found, "no key for " + client + ": none of the keyrings that the conf names has one");
    case EACCES:
    case EPERM:
    case ENOTSUP:
      return fail(errc::permission,
                  "the Ceph cluster refuses " + client + ": it does not know the user, or not this key");
    default:
      return fail(errc::io, "cannot connect to the Ceph cluster as " + client + ": " + text_of(negative_error));
  }
}

struct destroyer {
  void operator()(void* handle) const { rados_shutdown(handle); }
};

}  // namespace

std::string text_of(int negative_error) {
  char text[128];
  return strerror_r(-negative_error, text, sizeof text);
}

connection::connection(address to, rados_t handle)
    : to_(std::move(to)), handle_(handle), budget_(budget_operations, budget_bytes) {}

result<std::shared_ptr<connection>> connection::open(const address& to, std::chrono::seconds osd_patience) {
  rados_t made = nullptr;
  if (const int done = rados_create(&made, to.user.empty() ? nullptr : to.user.c_str()); done < 0)
    return fail(errc::io, "librados does not start: " + text_of(done));
  std::unique_ptr<void, destroyer> handle(made);
  if (const int done = rados_conf_read_file(made, to.conf.empty() ? nullptr : to.conf.c_str()); done < 0)
    return fail(errc::not_found, to.conf.empty() ? "no ceph.conf in the places where librados looks; give `conf`"
                                                 : "conf: cannot read " + to.conf + ": " + text_of(done));
  rados_t untouched = nullptr;
  if (rados_create(&untouched, nullptr) == 0) {
    tune(made, untouched);
    rados_shutdown(untouched);
  }
  if (auto ready = configure(made, osd_patience); !ready) return tl::unexpected(ready.error());
  if (const int done = rados_connect(made); done < 0) return refusal(to, done);
  std::shared_ptr<connection> connected(new connection(to, handle.release()));
  char* addresses = nullptr;
  if (rados_getaddrs(made, &addresses) == 0 && addresses) {
    connected->addresses_ = addresses;
    rados_buffer_free(addresses);
  }
  return connected;
}

bool connection::claim_trial(std::chrono::steady_clock::time_point now) {
  constexpr std::chrono::seconds apart{15};
  const std::lock_guard lock(trial_guard_);
  if (now < next_trial_) return false;
  next_trial_ = now + apart;
  return true;
}

bool connection::fence(const connection& other) const {
  constexpr unsigned as_long_as_the_cluster_likes = 0;
  std::string where = other.addresses();
  return rados_blocklist_add(handle_, where.data(), as_long_as_the_cluster_likes) == 0 &&
         rados_wait_for_latest_osdmap(handle_) == 0;
}

void connection::abandon() {
  abandoned_.store(true);
  condemn();
  offload_.abandon();
  leave_stuck_helpers_behind();
}

connection::~connection() {
  if (abandoned()) return;
  offload_.run([handle = handle_] { rados_shutdown(handle); });
}

result<std::shared_ptr<pool>> pool::open(std::shared_ptr<connection> on, const std::string& name,
                                         const std::string& name_space) {
  rados_ioctx_t handle = nullptr;
  if (const int done = rados_ioctx_create(on->handle(), name.c_str(), &handle); done < 0) {
    if (done == -ENOENT) return fail(errc::not_found, "the Ceph cluster has no pool \"" + name + "\"");
    return fail(errc::io, "cannot use the pool \"" + name + "\": " + text_of(done));
  }
  if (!name_space.empty()) rados_ioctx_set_namespace(handle, name_space.c_str());
  // A full pool is an answer, not a wait without end.
  rados_set_pool_full_try(handle);
  return std::shared_ptr<pool>(new pool(std::move(on), handle));
}

pool::~pool() {
  rados_ioctx_destroy(handle_);
}

}  // namespace sluice::cluster
