#pragma once
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "ceph/rbd/rbd_store.hpp"

/// The cluster that tests run on: SLUICE_TEST_CEPH_CONF names its ceph.conf, as `tests/ceph/cluster start` prints it.
namespace sluice::rbd::test_cluster {

inline std::string conf() {
  const char* path = std::getenv("SLUICE_TEST_CEPH_CONF");
  return path ? path : "";
}
/// Why there is none; empty when there is.
inline std::string why_not() {
  return conf().empty() ? "no cluster: SLUICE_TEST_CEPH_CONF is not set (tests/run ceph starts one)" : "";
}
inline options usual() {
  options how;
  how.cluster = {conf(), "sluice", {}};
  how.pool = "rbd";
  how.image = "absent";
  return how;
}
inline std::string new_name() {
  static std::atomic<unsigned> number = 0;
  return "test-" + std::to_string(::getpid()) + "-" + std::to_string(number++);
}

}  // namespace sluice::rbd::test_cluster
