#pragma once
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "ceph/shared/rados_authority.hpp"

/// The cluster that tests run on: SLUICE_TEST_CEPH_CONF names its ceph.conf, as `tests/ceph/cluster start` prints it.
namespace sluice::shared::test_cluster {

inline std::string conf() {
  const char* path = std::getenv("SLUICE_TEST_CEPH_CONF");
  return path ? path : "";
}
/// A cluster of gateways of its own, with leases that a test can wait for.
inline membership_options usual(const std::string& gateway) {
  static const std::string name = "test-" + std::to_string(::getpid());
  return {{conf(), "sluice", {}},
          "rbd",
          name,
          gateway,
          std::chrono::milliseconds(900),
          std::chrono::milliseconds(300),
          std::chrono::milliseconds(100)};
}

}  // namespace sluice::shared::test_cluster
