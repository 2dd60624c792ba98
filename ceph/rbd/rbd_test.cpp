#include <gmock/gmock.h>

#include <cstdlib>

#include "ceph/rbd/register.hpp"
#include "ceph/rbd/test_cluster.hpp"
#include "tiers/store/contract.hpp"
#include "tiers/store/contract_setup.hpp"

namespace sluice::store::contract {
namespace {

result<std::shared_ptr<store>> open_image(rbd::options wanted, std::uint64_t size) {
  wanted.create = true;
  wanted.size_bytes = size;
  wanted.image = rbd::test_cluster::new_name();
  return rbd::rbd_store::open(std::make_shared<cluster::connections>(), wanted);
}

subject on_cluster(std::string name, rbd::options how, reactor::backend kind = reactor::backend::automatic) {
  const auto open = [how](reactor::loop&, const temporary_folder&, std::uint64_t size) {
    return open_image(how, size);
  };
  subject made = real_subject(std::move(name), open, kind);
  made.skip = rbd::test_cluster::why_not();
  return made;
}

rbd::options small_objects() {
  rbd::options how = rbd::test_cluster::usual();
  how.object_size_bytes = 64 * kib;
  return how;
}

INSTANTIATE_TEST_SUITE_P(rbd, store_contract,
                         testing::Values(on_cluster("usual", rbd::test_cluster::usual()),
                                         on_cluster("epoll", rbd::test_cluster::usual(), reactor::backend::epoll),
                                         on_cluster("small_objects", small_objects())),
                         name_of);

}  // namespace
}  // namespace sluice::store::contract
