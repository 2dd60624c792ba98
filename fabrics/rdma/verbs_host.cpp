#include "fabrics/rdma/verbs_host.hpp"

#include <fcntl.h>
#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "actors/observe/log.hpp"
#include "fabrics/rdma/verbs.hpp"

namespace sluice::rdma {
namespace {

constexpr std::uint64_t spin_ns = 30 * ns_per_us;  // after work, before completion queues are armed
constexpr int backlog = 256;

void do_not_block(int descriptor) {
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

}  // namespace

// -- a device --------------------------------------------------------------------------------------------------------

result<std::unique_ptr<verbs_device>> verbs_device::open(verbs_host& of, ibv_context* context) {
  std::unique_ptr<verbs_device> made(new verbs_device(of));
  if (ibv_query_device(context, &made->attributes_) != 0) return fail_errno(errno, "query an RDMA device");
  made->domain_ = ibv_alloc_pd(context);
  if (!made->domain_) return fail_errno(errno, "make a protection domain");
  made->channel_ = ibv_create_comp_channel(context);
  if (!made->channel_) return fail_errno(errno, "make a completion channel");
  do_not_block(made->channel_->fd);
  made->regions_.resize(of.loop().buffers().region_limit());
  made->wait();
  return made;
}

verbs_device::~verbs_device() {
  for (ibv_mr* const each : regions_)
    if (each) ibv_dereg_mr(each);
  if (channel_) ibv_destroy_comp_channel(channel_);
  if (domain_) ibv_dealloc_pd(domain_);
}

std::uint32_t verbs_device::key_of(const iovec& part) {
  memory::pool& buffers = host_.loop().buffers();
  const unsigned number = buffers.region_of(part);
  SLUICE_CHECK(number != memory::pool::no_region);
  ibv_mr*& region = regions_[number];
  if (!region) {
    const iovec all = buffers.region(number);
    region = ibv_reg_mr(domain_, all.iov_base, all.iov_len, int{IBV_ACCESS_LOCAL_WRITE});
    if (!region) {
      SLUICE_LOG(error, "rdma", "memory cannot be registered; is the limit of locked memory too low?",
                 {"errno", errno});
      return 0;
    }
  }
  return region->lkey;
}

void verbs_device::wait() {
  host_.loop().poll(ready_, channel_->fd, reactor::poll_event::readable);
}

bool verbs_device::stop() {
  if (!ready_.in_flight()) return true;
  host_.loop().cancel(ready_);
  return false;
}

void verbs_device::ready(std::int64_t found) noexcept {
  if (found < 0 || host_.stopping()) return host_.stopped();
  ibv_cq* queue = nullptr;
  void* context = nullptr;
  while (ibv_get_cq_event(channel_, &queue, &context) == 0) {
    auto& which = *static_cast<verbs_connection*>(context);
    which.count_event();
    host_.is_busy(which);
  }
  wait();
}

// -- the host --------------------------------------------------------------------------------------------------------

host_maker verbs_hosts() {
  return [](reactor::loop& on) { return verbs_host::open(on); };
}

result<std::unique_ptr<host>> verbs_host::open(reactor::loop& on) {
  std::unique_ptr<verbs_host> made(new verbs_host(on));
  made->events_ = rdma_create_event_channel();
  if (!made->events_)
    return fail(errc::not_found, std::string("no RDMA connection manager here (") + std::strerror(errno) +
                                     "): is there an RDMA device, and is the module rdma_ucm loaded?");
  do_not_block(made->events_->fd);
  made->wait();
  return made;
}

verbs_host::~verbs_host() {
  partings_.end();
  devices_.clear();
  if (events_) rdma_destroy_event_channel(events_);
}

void verbs_host::close(std::function<void()> ended) {
  closed_ = std::move(ended);
  stopping_ = 1;
  for (const auto& [context, device] : devices_)
    if (!device->stop()) ++stopping_;
  if (ready_.in_flight())
    loop_.cancel(ready_);
  else
    stopped();
}

void verbs_host::stopped() {
  if (!stopping()) SLUICE_LOG(error, "rdma", "events of RDMA cannot be waited for any more");
  if (stopping_ > 0 && --stopping_ == 0) loop_.post(std::move(closed_));
}

result<std::unique_ptr<listener>> verbs_host::listen(const reactor::endpoint& where, listener::asked told) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found) != 0)
    return fail(errc::invalid_argument, where.to_string() + " is no address to listen on");
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> address(found, freeaddrinfo);
  rdma_cm_id* id = nullptr;
  if (rdma_create_id(events_, &id, nullptr, RDMA_PS_TCP) != 0) return fail_errno(errno, "listen by RDMA");
  if (rdma_bind_addr(id, address->ai_addr) != 0 || rdma_listen(id, backlog) != 0) {
    const int why = errno;
    rdma_destroy_id(id);
    if (why == ENODEV) return fail(errc::not_found, "no RDMA device has the address " + where.to_string());
    return fail_errno(why, "listen by RDMA at " + where.to_string());
  }
  const reactor::endpoint bound{where.host, ntohs(rdma_get_src_port(id))};
  return std::make_unique<verbs_listener>(id, bound.to_string(), std::move(told));
}

void verbs_host::wait() {
  loop_.poll(ready_, events_->fd, reactor::poll_event::readable);
}

void verbs_host::ready(std::int64_t found) noexcept {
  if (found < 0 || stopping()) return stopped();
  take_events();
  wait();
}

void verbs_host::take_events() {
  rdma_cm_event* event = nullptr;
  while (rdma_get_cm_event(events_, &event) == 0) {
    // Acknowledged before anybody hears of it: an identifier can be destroyed or moved only then.
    const rdma_cm_event copy = *event;
    std::vector<std::uint8_t> said;
    if (copy.event == RDMA_CM_EVENT_CONNECT_REQUEST && copy.param.conn.private_data) {
      const auto* from = static_cast<const std::uint8_t*>(copy.param.conn.private_data);
      said.assign(from, from + copy.param.conn.private_data_len);
    }
    rdma_ack_cm_event(event);
    handle(copy, std::move(said));
  }
}

void verbs_host::handle(const rdma_cm_event& event, std::vector<std::uint8_t> private_data) {
  if (event.event != RDMA_CM_EVENT_CONNECT_REQUEST) {
    if (event.id->context) static_cast<cm_owner*>(event.id->context)->on_event(event);
    return;
  }
  const auto device = device_of(event.id->verbs);
  if (!device) {
    SLUICE_LOG(error, "rdma", "a connection is refused", {"why", device.error().message});
    event.id->context = nullptr;
    rdma_reject(event.id, nullptr, 0);
    rdma_destroy_id(event.id);
    return;
  }
  const auto& at = static_cast<verbs_listener&>(*static_cast<cm_owner*>(event.listen_id->context));
  at.told_(std::make_unique<verbs_connection>(*this, event.id, **device, std::move(private_data), event.param.conn));
}

result<verbs_device*> verbs_host::device_of(ibv_context* context) {
  auto& device = devices_[context];
  if (!device) {
    auto made = verbs_device::open(*this, context);
    if (!made) return tl::unexpected(made.error());
    device = std::move(*made);
  }
  return device.get();
}

// -- completions -----------------------------------------------------------------------------------------------------

void verbs_host::is_busy(verbs_connection& which) {
  last_work_ns_ = loop_.now_ns();
  if (std::exchange(which.busy, true)) return;
  busy_.push_back(&which);
  loop_.defer(look_);
}

void verbs_host::is_gone(verbs_connection& which) {
  std::erase(busy_, &which);
}

void verbs_host::look() noexcept {
  const std::vector<verbs_connection*> all = busy_;  // whoever is taken down meanwhile leaves it
  const std::uint64_t now = loop_.now_ns();
  const auto still = [&](verbs_connection* each) { return std::ranges::find(busy_, each) != busy_.end(); };
  bool worked = false;
  for (verbs_connection* const each : all) worked |= still(each) && each->look() > 0;
  if (worked) last_work_ns_ = now;
  if (now - last_work_ns_ >= spin_ns)
    for (verbs_connection* const each : all) {
      if (!still(each)) continue;
      each->busy = false;
      std::erase(busy_, each);
      each->arm();
      if (each->look() > 0) is_busy(*each);  // it came before the queue was armed
    }
  if (!busy_.empty()) loop_.defer(look_);
}

}  // namespace sluice::rdma
