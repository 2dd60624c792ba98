#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "actors/observe/log.hpp"
#include "fabrics/rdma/verbs_host.hpp"

namespace sluice::rdma {
namespace {

constexpr std::uint64_t receive_mark = 1, send_mark = 2, last_send_mark = 3;  // wr_id: queues are in order
constexpr std::uint64_t drain_ns = 3 * ns_per_s;  // that a device may take to give back what was posted
constexpr std::uint32_t max_entries = 1024;       // of a queue, whatever a device could do
constexpr int completions_at_once = 32;

std::string to_text(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(address);
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    return reactor::endpoint{text, ntohs(in->sin_port)}.to_string();
  }
  if (address->sa_family != AF_INET6) return "an InfiniBand address";
  const auto* in = reinterpret_cast<const sockaddr_in6*>(address);
  inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
  return reactor::endpoint{text, ntohs(in->sin6_port)}.to_string();
}

ibv_wr_opcode operation_of(const request& r) {
  switch (r.what) {
    case request::kind::send:
      return r.remote_key ? IBV_WR_SEND_WITH_INV : IBV_WR_SEND;
    case request::kind::read:
      return IBV_WR_RDMA_READ;
    case request::kind::write:
      return IBV_WR_RDMA_WRITE;
  }
  return IBV_WR_SEND;
}

}  // namespace

verbs_connection::verbs_connection(verbs_host& on, rdma_cm_id* id, verbs_device& device,
                                   std::vector<std::uint8_t> asked, const rdma_conn_param& wishes)
    : host_(&on), id_(id), device_(&device), asked_(std::move(asked)), wishes_(wishes) {
  wishes_.private_data = nullptr;
  id_->context = static_cast<cm_owner*>(this);
}

verbs_connection::~verbs_connection() {
  SLUICE_CHECK(!handler_);  // opened, and not drained
  if (!answered_) reject({});
  id_->context = nullptr;
  if (accepted_ && broken_)
    host_->partings().add(id_);
  else
    rdma_destroy_id(id_);
}

std::string verbs_connection::peer() const {
  return to_text(rdma_get_peer_addr(id_));
}
std::string verbs_connection::local() const {
  return to_text(rdma_get_local_addr(id_));
}

queue_depths verbs_connection::limits() const {
  const auto entries =
      std::min<std::uint32_t>(max_entries, static_cast<std::uint32_t>(device_->attributes().max_qp_wr));
  const auto both = static_cast<std::uint32_t>(device_->attributes().max_cqe);
  return {std::min(entries, both / 2), std::min(entries, both / 2)};
}

unsigned verbs_connection::max_parts(request::kind what) const {
  const ibv_device_attr& a = device_->attributes();
  const int most = what == request::kind::read && a.max_sge_rd > 0 ? std::min(a.max_sge, a.max_sge_rd) : a.max_sge;
  return std::clamp(most, 1, static_cast<int>(request::max_parts));
}

result<void> verbs_connection::move_to(host& other) {
  auto& to = static_cast<verbs_host&>(other);
  host_ = &to;  // from the moment that it has moved, events come there
  if (rdma_migrate_id(id_, to.events()) != 0) return fail_errno(errno, "move an RDMA connection to another core");
  return {};
}

result<void> verbs_connection::open(const queue_depths& depths, handler& told) {
  const auto device = host_->device_of(id_->verbs);  // of this core
  if (!device) return tl::unexpected(device.error());
  device_ = *device;
  completions_ =
      ibv_create_cq(id_->verbs, static_cast<int>(depths.sends + depths.receives), this, device_->channel(), 0);
  if (!completions_) return fail(errc::no_space, std::string("make a completion queue: ") + std::strerror(errno));
  ibv_qp_init_attr wanted{};
  wanted.send_cq = wanted.recv_cq = completions_;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap.max_send_wr = depths.sends;
  wanted.cap.max_recv_wr = depths.receives;
  wanted.cap.max_send_sge = std::max(max_parts(request::kind::write), max_parts(request::kind::read));
  wanted.cap.max_recv_sge = 1;
  if (rdma_create_qp(id_, device_->domain(), &wanted) != 0) {
    const std::string why = std::strerror(errno);
    ibv_destroy_cq(std::exchange(completions_, nullptr));
    return fail(errc::no_space, "make a queue pair: " + why);
  }
  depths_ = depths;
  handler_ = &told;
  arm();
  if (lost_) host_->loop().defer(tell_);
  return {};
}

void verbs_connection::arm() {
  if (completions_) ibv_req_notify_cq(completions_, 0);
}

// -- login -----------------------------------------------------------------------------------------------------------

result<void> verbs_connection::accept(const_bytes private_data) {
  answered_ = true;
  const ibv_device_attr& a = device_->attributes();
  rdma_conn_param said{};
  said.private_data = private_data.data();
  said.private_data_len = static_cast<std::uint8_t>(private_data.size());
  // As the peer asked, and no more than the device has: it refuses what is beyond.
  said.responder_resources = static_cast<std::uint8_t>(std::min<int>(wishes_.responder_resources, a.max_qp_rd_atom));
  said.initiator_depth = static_cast<std::uint8_t>(std::min<int>(wishes_.initiator_depth, a.max_qp_init_rd_atom));
  said.flow_control = 1;
  said.retry_count = said.rnr_retry_count = 7;  // of "not ready": for ever
  if (rdma_accept(id_, &said) != 0) return fail_errno(errno, "accept an RDMA connection");
  accepted_ = true;
  return {};
}

void verbs_connection::reject(const_bytes private_data) noexcept {
  if (std::exchange(answered_, true)) return;
  rdma_reject(id_, private_data.data(), static_cast<std::uint8_t>(private_data.size()));
}

void verbs_connection::on_event(const rdma_cm_event& event) {
  switch (event.event) {
    case RDMA_CM_EVENT_ESTABLISHED:
      if (handler_ && !closing_ && !lost_) handler_->on_established();
      return;
    case RDMA_CM_EVENT_DISCONNECTED:
    case RDMA_CM_EVENT_REJECTED:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      return lose(event.event == RDMA_CM_EVENT_DISCONNECTED ? "the peer has disconnected"
                                                            : rdma_event_str(event.event));
    default:
      return;  // of TIMEWAIT nobody needs to hear
  }
}

// -- work ------------------------------------------------------------------------------------------------------------

void verbs_connection::receive(work& w, const iovec& into) noexcept {
  ibv_sge part{reinterpret_cast<std::uint64_t>(into.iov_base), static_cast<std::uint32_t>(into.iov_len),
               device_->key_of(into)};
  ibv_recv_wr entry{};
  entry.wr_id = receive_mark;
  entry.sg_list = &part;
  entry.num_sge = 1;
  ibv_recv_wr* bad = nullptr;
  const int wrong = closing_ ? ECANCELED : part.lkey == 0 ? ENOMEM : ibv_post_recv(id_->qp, &entry, &bad);
  if (wrong == 0) {
    receives_.push_back({&w, 1});
    return;
  }
  unposted_.push_back(&w);
  fail_posts("a receive cannot be posted", wrong);
}

void verbs_connection::send(work& w, std::span<const request> chain) noexcept {
  SLUICE_CHECK(!chain.empty() && chain.size() <= send_room());
  auto& [entries, parts] = host_->scratch();
  entries.assign(chain.size(), {});
  parts.resize(chain.size() * request::max_parts);
  int wrong = closing_ ? ECANCELED : 0;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const request& from = chain[i];
    ibv_send_wr& to = entries[i];
    ibv_sge* const here = &parts[i * request::max_parts];
    for (unsigned k = 0; k < from.part_count && wrong == 0; ++k) {
      here[k] = {reinterpret_cast<std::uint64_t>(from.parts[k].iov_base),
                 static_cast<std::uint32_t>(from.parts[k].iov_len), device_->key_of(from.parts[k])};
      if (here[k].lkey == 0) wrong = ENOMEM;
    }
    to.wr_id = send_mark;
    to.sg_list = here;
    to.num_sge = from.part_count;
    to.opcode = operation_of(from);
    if (from.what == request::kind::send) {
      to.invalidate_rkey = from.remote_key;
    } else {
      to.wr.rdma.remote_addr = from.remote_address;
      to.wr.rdma.rkey = from.remote_key;
    }
    if (i + 1 < chain.size()) {
      to.next = &entries[i + 1];
    } else {  // reliable connections complete in order: the last one speaks for all
      to.wr_id = last_send_mark;
      to.send_flags = IBV_SEND_SIGNALED;
    }
  }
  ibv_send_wr* bad = nullptr;
  if (wrong == 0) wrong = ibv_post_send(id_->qp, entries.data(), &bad);
  if (wrong == 0) {
    sends_.push_back({&w, static_cast<std::uint32_t>(chain.size())});
    send_entries_ += static_cast<std::uint32_t>(chain.size());
    return;
  }
  // A part of the chain may be posted: without its last entry nobody waits for it, but for the end of the queue pair.
  unposted_.push_back(&w);
  fail_posts("a send cannot be posted", wrong);
}

void verbs_connection::fail_posts(const char* what, int error_number) {
  if (!closing_) lose(std::string(what) + ": " + std::strerror(error_number));
  host_->loop().defer(tell_);
}

unsigned verbs_connection::look() {
  ibv_wc found[completions_at_once];
  if (down_) return 0;
  const int count = ibv_poll_cq(completions_, completions_at_once, found);
  for (int i = 0; i < count && !down_; ++i) completed(found[i]);
  if (closing_ && sends_.empty() && receives_.empty()) host_->loop().defer(tell_);
  return count > 0 ? static_cast<unsigned>(count) : 0;
}

void verbs_connection::completed(const ibv_wc& how) {
  const outcome ended = how.status == IBV_WC_SUCCESS        ? outcome::done
                        : how.status == IBV_WC_WR_FLUSH_ERR ? outcome::flushed
                                                            : outcome::failed;
  if (ended == outcome::failed) {
    broken_ = true;
    lose(ibv_wc_status_str(how.status));
  }
  if (how.wr_id == receive_mark) {
    if (receives_.empty()) return;
    const posted done = receives_.front();
    receives_.pop_front();
    return done.of->on_done(ended, ended == outcome::done ? how.byte_len : 0);
  }
  if (sends_.empty()) return;
  if (sends_.front().how == outcome::done) sends_.front().how = ended;
  if (how.wr_id != last_send_mark) return;
  const posted done = sends_.front();
  sends_.pop_front();
  send_entries_ -= done.entries;
  done.of->on_done(done.how, 0);
}

/// What comes of it is told in a step of its own.
void verbs_connection::lose(const std::string& why) {
  if (std::exchange(lost_, true)) return;
  why_lost_ = why;
  if (handler_) host_->loop().defer(tell_);
}

void verbs_connection::tell() noexcept {
  if (!why_lost_.empty() && !closing_) handler_->on_lost(std::exchange(why_lost_, {}));
  while (!unposted_.empty()) {
    work* const next = unposted_.front();
    unposted_.pop_front();
    next->on_done(outcome::flushed, 0);
  }
  // Whoever owns this may destroy it then: not while it is to run again.
  if (closing_ && (overdue_ || (sends_.empty() && receives_.empty())) && !tell_.queued_) take_down();
}

// -- the end ---------------------------------------------------------------------------------------------------------

void verbs_connection::close() noexcept {
  if (std::exchange(closing_, true)) return;
  reject({});
  if (accepted_ && !broken_) rdma_disconnect(id_);
  ibv_qp_attr error{};
  error.qp_state = IBV_QPS_ERR;
  ibv_modify_qp(id_->qp, &error, IBV_QP_STATE);
  host_->is_busy(*this);
  host_->loop().arm(too_late_, drain_ns);
  if (sends_.empty() && receives_.empty()) host_->loop().defer(tell_);
}

/// A device that gives nothing back touches nothing either, once its queue pair is destroyed.
void verbs_connection::too_late() noexcept {
  SLUICE_LOG(warning, "rdma", "a queue pair does not give back what was posted", {"peer", peer()},
             {"receives", receives_.size()}, {"sends", sends_.size()});
  overdue_ = true;
  host_->loop().defer(tell_);
}

void verbs_connection::take_down() noexcept {
  if (std::exchange(down_, true)) return;
  host_->loop().disarm(too_late_);
  host_->is_gone(*this);
  rdma_destroy_qp(id_);
  if (unacknowledged_ > 0) ibv_ack_cq_events(completions_, std::exchange(unacknowledged_, 0));
  ibv_destroy_cq(std::exchange(completions_, nullptr));
  flush_rest();
  std::exchange(handler_, nullptr)->on_drained();
}

void verbs_connection::flush_rest() {
  for (auto* const queue : {&sends_, &receives_})
    while (!queue->empty()) {
      const posted next = queue->front();
      queue->pop_front();
      next.of->on_done(outcome::flushed, 0);
    }
  while (!unposted_.empty()) {
    work* const next = unposted_.front();
    unposted_.pop_front();
    next->on_done(outcome::flushed, 0);
  }
}

}  // namespace sluice::rdma
