#include "ceph/rbd/rbd_store.hpp"

#include "ceph/rbd/rbd_channel.hpp"

namespace sluice::rbd {

result<std::shared_ptr<rbd_store>> rbd_store::open(std::shared_ptr<cluster::connections> all, const options& wanted) {
  auto opened = medium::open(*all, wanted);
  if (!opened) return tl::unexpected(opened.error());
  return std::shared_ptr<rbd_store>(new rbd_store(std::move(all), std::move(*opened)));
}

std::unique_ptr<sluice::store::channel> rbd_store::attach(reactor::loop& loop) {
  return std::make_unique<rbd_channel>(medium_, loop);
}

}  // namespace sluice::rbd
