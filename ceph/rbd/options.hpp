#pragma once
#include <cstdint>
#include <string>

#include "actors/base/bytes.hpp"
#include "ceph/cluster/connection.hpp"

namespace sluice::rbd {

/// Which image, and how it is used: the keys of a [store.X] table of type "rbd".
struct options {
  cluster::address cluster;
  std::string pool;
  std::string name_space;
  std::string image;
  std::string snapshot;  // serve this one, read only; empty: the image itself
  bool read_only = false;
  bool create = false;  // the image when it is absent
  std::uint64_t size_bytes = 0;
  std::string data_pool;                // create only
  std::uint64_t object_size_bytes = 0;  // create only; 0: what the cluster's configuration says
  std::string encryption;               // "luks1", "luks2", or empty
  std::string passphrase_file;
  std::uint64_t deadline_ns = 30 * ns_per_s;
  bool exclusive = false;  // refuse an image that another client has open

  /// A snapshot cannot be, and an image that is served read only is not.
  bool is_written() const { return !read_only && snapshot.empty(); }
  std::string path() const {  // as the rbd tool writes it
    return pool + "/" + (name_space.empty() ? "" : name_space + "/") + image + (snapshot.empty() ? "" : "@" + snapshot);
  }
};

}  // namespace sluice::rbd
