#include "fabrics/vhost/front_end.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "actors/base/check.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/little_endian.hpp"

namespace sluice::vhost {
namespace {

namespace le = wire::little;

constexpr unsigned control_index = 0, event_index = 1, first_request_index = 2;
constexpr std::uint16_t event_buffers = 8;
constexpr std::size_t max_control_bytes = 512, max_handles = 8;

std::vector<std::uint8_t> numbers(std::initializer_list<std::uint64_t> words) {
  std::vector<std::uint8_t> out(words.size() * 8);
  std::size_t at = 0;
  for (const std::uint64_t each : words) le::store64(out, std::exchange(at, at + 8), each);
  return out;
}
std::vector<std::uint8_t> state(std::uint32_t index, std::uint32_t value) {
  return numbers({std::uint64_t{value} << 32 | index});
}
void close_handle(int& h) {
  if (h >= 0) ::close(std::exchange(h, -1));
}

}  // namespace

front_end::front_end(const options& wanted) : options_(wanted) {
  memory_ = ::memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  SLUICE_CHECK(memory_ >= 0 && ::ftruncate(memory_, static_cast<off_t>(options_.memory_bytes)) == 0);
  SLUICE_CHECK(::fcntl(memory_, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  void* const at = ::mmap(nullptr, options_.memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_, 0);
  SLUICE_CHECK(at != MAP_FAILED);
  at_ = static_cast<std::uint8_t*>(at);
  rings_.resize(first_request_index + options_.request_queues);
  for (own_ring& each : rings_) {
    each.ring =
        driver_ring(allocate(driver_ring::bytes_of(options_.ring_size), 64), options_.ring_size, options_.event_index);
    each.kick = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    each.call = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
  waiting_.assign(rings_.size(), std::vector<waiting>(options_.ring_size));
  next_head_.assign(rings_.size(), 0);
  if (!options_.events) return;
  event_room_ = allocate(event_buffers * event::bytes);
  for (std::uint16_t i = 0; i < event_buffers; ++i) offer_event(i);
}

front_end::~front_end() {
  disconnect();
  for (own_ring& each : rings_) {
    close_handle(each.kick);
    close_handle(each.call);
  }
  close_handle(inflight_);
  ::munmap(at_, options_.memory_bytes);
  close_handle(memory_);
}

std::uint8_t* front_end::allocate(std::size_t size, std::size_t alignment) {
  const std::uint64_t from = (next_ + alignment - 1) / alignment * alignment;
  if (from + size > options_.memory_bytes) return nullptr;
  next_ = from + size;
  return at_ + from;
}

std::uint64_t front_end::address_of(const void* in_memory) const {
  return guest_base + static_cast<std::uint64_t>(static_cast<const std::uint8_t*>(in_memory) - at_);
}

// -- messages --------------------------------------------------------------------------------------------------------

result<void> front_end::open(const std::string& path) {
  disconnect();
  socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) return fail(errc::invalid_argument, "a path that is too long");
  std::memcpy(to.sun_path, path.data(), path.size());
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    const int problem = errno;
    disconnect();
    return fail_errno(problem, "connect to " + path);
  }
  return {};
}

void front_end::disconnect() {
  close_handle(socket_);
}

bool front_end::is_closed(std::uint64_t timeout_ns) {
  pollfd one{socket_, POLLIN, 0};
  if (::poll(&one, 1, static_cast<int>(timeout_ns / ns_per_ms)) <= 0) return false;
  std::uint8_t octet;
  return ::recv(socket_, &octet, 1, MSG_PEEK) <= 0;
}

result<void> front_end::say(request what, const_bytes payload, const std::vector<int>& passed, bool wants_reply) {
  std::vector<std::uint8_t> octets(message_header::bytes);
  le::store32(octets, 0, static_cast<std::uint32_t>(what));
  le::store32(octets, 4, wants_reply ? 9 : 1);
  le::store32(octets, 8, static_cast<std::uint32_t>(payload.size()));
  octets.insert(octets.end(), payload.begin(), payload.end());
  iovec part{octets.data(), octets.size()};
  alignas(cmsghdr) std::array<char, max_control_bytes> control{};
  msghdr sent{};
  sent.msg_iov = &part;
  sent.msg_iovlen = 1;
  if (!passed.empty()) {
    SLUICE_CHECK(CMSG_SPACE(passed.size() * sizeof(int)) <= control.size());
    sent.msg_control = control.data();
    sent.msg_controllen = CMSG_SPACE(passed.size() * sizeof(int));
    cmsghdr* const rights = CMSG_FIRSTHDR(&sent);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(passed.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), passed.data(), passed.size() * sizeof(int));
  }
  if (::sendmsg(socket_, &sent, MSG_NOSIGNAL) != static_cast<ssize_t>(octets.size()))
    return fail_errno(errno, "send a message");
  return {};
}

result<front_end::heard> front_end::hear() {
  heard out;
  std::vector<std::uint8_t> octets(message_header::bytes);
  std::size_t come = 0;
  while (come < octets.size()) {
    pollfd one{socket_, POLLIN, 0};
    if (::poll(&one, 1, static_cast<int>(options_.timeout_ns / ns_per_ms)) <= 0)
      return fail(errc::timeout, "no reply came in time");
    iovec part{octets.data() + come, octets.size() - come};
    alignas(cmsghdr) std::array<char, max_control_bytes> control{};
    msghdr got{};
    got.msg_iov = &part;
    got.msg_iovlen = 1;
    got.msg_control = control.data();
    got.msg_controllen = control.size();
    const ssize_t more = ::recvmsg(socket_, &got, MSG_CMSG_CLOEXEC);
    if (more <= 0) return fail(errc::closed, "the gateway has closed the connection");
    for (cmsghdr* c = CMSG_FIRSTHDR(&got); c; c = CMSG_NXTHDR(&got, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = std::min((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), max_handles);
      std::array<int, max_handles> all{};
      std::memcpy(all.data(), CMSG_DATA(c), count * sizeof(int));
      out.passed.insert(out.passed.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
    }
    come += static_cast<std::size_t>(more);
    if (come == message_header::bytes && octets.size() == come)
      octets.resize(come + std::min(le::load32(octets, 8), message_header::max_payload_bytes));
  }
  out.what = static_cast<request>(le::load32(octets, 0));
  out.payload.assign(octets.begin() + message_header::bytes, octets.end());
  return out;
}

result<std::uint64_t> front_end::ask(request what, const_bytes payload, const std::vector<int>& passed) {
  if (auto said = say(what, payload, passed); !said) return tl::unexpected(said.error());
  const auto reply = hear();
  if (!reply) return tl::unexpected(reply.error());
  return decode_u64(reply->payload);
}

result<void> front_end::tell(request what, const_bytes payload, const std::vector<int>& passed) {
  if (auto said = say(what, payload, passed, true); !said) return said;
  const auto reply = hear();
  if (!reply) return tl::unexpected(reply.error());
  if (decode_u64(reply->payload) != std::uint64_t{0}) return fail(errc::invalid_argument, "refused");
  return {};
}

std::vector<std::uint8_t> front_end::memory_table() const {
  return numbers({1, guest_base, options_.memory_bytes, reinterpret_cast<std::uintptr_t>(at_), 0});
}

result<void> front_end::start_ring(unsigned index, std::uint16_t base) {
  own_ring& own = rings_[index];
  const auto user = [](const std::uint8_t* at) { return reinterpret_cast<std::uintptr_t>(at); };
  const auto addresses =
      numbers({index, user(own.ring.descriptors()), user(own.ring.used_ring()), user(own.ring.available()), 0});
  if (auto done = tell(request::set_vring_num, state(index, options_.ring_size)); !done) return done;
  if (auto done = tell(request::set_vring_base, state(index, base)); !done) return done;
  if (auto done = tell(request::set_vring_addr, addresses); !done) return done;
  if (auto done = tell(request::set_vring_call, numbers({index}), {own.call}); !done) return done;
  if (auto done = tell(request::set_vring_kick, numbers({index}), {own.kick}); !done) return done;
  return tell(request::set_vring_enable, state(index, 1));
}

result<std::uint16_t> front_end::stop_ring(unsigned index) {
  if (auto said = say(request::get_vring_base, state(index, 0)); !said) return tl::unexpected(said.error());
  const auto reply = hear();
  if (!reply) return tl::unexpected(reply.error());
  return decode_vring_state(reply->payload).map([](const vring_state& s) {
    return static_cast<std::uint16_t>(s.value);
  });
}

result<void> front_end::connect(const std::string& path) {
  if (auto opened = open(path); !opened) return opened;
  const auto offered = ask(request::get_features);
  if (!offered) return tl::unexpected(offered.error());
  features_ = *offered & ~feature::log_all;
  if (!options_.event_index) features_ &= ~feature::event_index;
  if (!options_.indirect) features_ &= ~feature::indirect;
  const auto protocol = ask(request::get_protocol_features);
  if (!protocol) return tl::unexpected(protocol.error());
  if (auto done = say(request::set_protocol_features, numbers({*protocol})); !done) return done;
  if (auto done = tell(request::set_owner, {}); !done) return done;
  if (auto done = tell(request::set_features, numbers({features_})); !done) return done;
  const auto queues = ask(request::get_queue_num);
  if (!queues || *queues < rings_.size()) return fail(errc::no_space, "the port has fewer queues");
  if (options_.inflight) {
    std::vector<std::uint8_t> place(inflight_place::bytes);
    if (inflight_ < 0) {
      le::store16(place, 16, static_cast<std::uint16_t>(rings_.size()));
      le::store16(place, 18, options_.ring_size);
      if (auto said = say(request::get_inflight_fd, place); !said) return said;
      const auto reply = hear();
      if (!reply) return tl::unexpected(reply.error());
      if (reply->passed.size() != 1) return fail(errc::invalid_argument, "no memory for requests in flight");
      inflight_ = reply->passed[0];
      inflight_place_ = decode_inflight_place(reply->payload).value();
    }
    le::store64(place, 0, inflight_place_.size);
    le::store64(place, 8, inflight_place_.offset);
    le::store16(place, 16, inflight_place_.queues);
    le::store16(place, 18, inflight_place_.queue_size);
    if (auto done = tell(request::set_inflight_fd, place, {inflight_}); !done) return done;
  }
  if (auto done = tell(request::set_mem_table, memory_table(), {memory_}); !done) return done;
  for (unsigned i = 0; i < rings_.size(); ++i) {
    // After a gateway that died nobody knows more than what it gave back [as QEMU does].
    const std::uint16_t given = le::load16({rings_[i].ring.used_ring(), 4}, 2);
    if (auto done = start_ring(i, given); !done) return done;
  }
  return {};
}

// -- the guest -------------------------------------------------------------------------------------------------------

void front_end::kick(unsigned index) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(rings_[index].kick, &one, sizeof one);
}

bool front_end::wait(unsigned index, std::uint64_t timeout_ns) {
  pollfd one{rings_[index].call, POLLIN, 0};
  if (::poll(&one, 1, static_cast<int>(timeout_ns / ns_per_ms)) <= 0) return false;
  std::uint64_t count;
  [[maybe_unused]] const ssize_t taken = ::read(rings_[index].call, &count, sizeof count);
  return true;
}

std::array<std::uint8_t, command_header::bytes> front_end::header(std::uint16_t lun, std::uint64_t tag,
                                                                  const std::vector<std::uint8_t>& cdb) {
  std::array<std::uint8_t, command_header::bytes> out{};
  encode_lun(port::lun_address(lun), bytes(out).first(8));
  le::store64(out, 8, tag);
  std::copy_n(cdb.begin(), std::min(cdb.size(), cdb_bytes), out.begin() + 19);
  return out;
}

std::uint16_t front_end::submit(unsigned index, std::uint16_t lun, const std::vector<std::uint8_t>& cdb,
                                std::uint64_t tag, const std::vector<std::uint8_t>& data_out, std::size_t room) {
  const auto head = header(lun, tag, cdb);
  std::uint8_t* const request_at = allocate(head.size() + data_out.size());
  std::uint8_t* const response_at = allocate(command_response::bytes + room);
  SLUICE_CHECK(request_at && response_at);
  std::ranges::copy(head, request_at);
  std::ranges::copy(data_out, request_at + head.size());
  std::vector<driver_ring::descriptor> all;
  const auto add = [&](const std::uint8_t* at, std::size_t size, std::uint16_t flags) {
    if (size > 0) all.push_back({address_of(at), static_cast<std::uint32_t>(size), flags, 0});
  };
  add(request_at, head.size(), 0);
  add(request_at + head.size(), data_out.size(), 0);
  add(response_at, command_response::bytes, driver_ring::write_flag);
  add(response_at + command_response::bytes, room, driver_ring::write_flag);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    all[i].flags |= driver_ring::next_flag;
    all[i].next = static_cast<std::uint16_t>(i + 1);
  }
  driver_ring& ring = rings_[index].ring;
  std::uint16_t& next = next_head_[index];
  const std::uint16_t first = next;
  if (options_.indirect) {
    std::uint8_t* const table = allocate(all.size() * sizeof all[0]);
    SLUICE_CHECK(table);
    std::memcpy(table, all.data(), all.size() * sizeof all[0]);
    ring.set(first, {address_of(table), static_cast<std::uint32_t>(all.size() * sizeof all[0]),
                     driver_ring::indirect_flag, 0});
    next = static_cast<std::uint16_t>((next + 1) % ring.size());
  } else {
    for (driver_ring::descriptor& each : all) {
      const std::uint16_t here = next;
      next = static_cast<std::uint16_t>((next + 1) % ring.size());
      each.next = next;
      ring.set(here, each);
    }
  }
  waiting_[index][first] = {response_at, response_at + command_response::bytes, room, false};
  ring.make_available(first);
  if (ring.wants_kick()) kick(index);
  return first;
}

/// Takes what the device has given back; waits for it, if there is nothing.
bool front_end::reap(unsigned index, std::uint64_t timeout_ns) {
  driver_ring& ring = rings_[index].ring;
  bool any = false;
  for (;;) {
    while (const auto back = ring.next_used()) {
      any = true;
      if (back->head < waiting_[index].size()) waiting_[index][back->head].done = true;
    }
    if (any) return true;
    if (ring.ask_for_signal() && !wait(index, timeout_ns)) return false;
  }
}

front_end::answer front_end::collect(unsigned index, std::uint16_t head) {
  waiting& one = waiting_[index][head];
  while (!one.done)
    if (!reap(index, options_.timeout_ns)) return {};
  answer out;
  const const_bytes said(one.response, command_response::bytes);
  out.came = true;
  out.code = static_cast<response_code>(said[11]);
  out.status = static_cast<scsi::status>(said[10]);
  out.residual = le::load32(said, 4);
  const std::uint32_t sense = std::min<std::uint32_t>(le::load32(said, 0), sense_bytes);
  out.sense.assign(said.begin() + 12, said.begin() + 12 + sense);
  out.data.assign(one.data, one.data + one.room);
  one = {};
  return out;
}

front_end::answer front_end::run(unsigned index, std::uint16_t lun, const std::vector<std::uint8_t>& cdb,
                                 const std::vector<std::uint8_t>& data_out, std::size_t room) {
  const std::uint64_t before = next_;
  answer out = collect(index, submit(index, lun, cdb, next_head_[index], data_out, room));
  if (out.came) next_ = before;  // its memory is free again
  return out;
}

std::optional<response_code> front_end::manage(std::uint32_t subtype, std::uint16_t lun, std::uint64_t tag) {
  std::uint8_t* const at = allocate(control_request::management_bytes + 1);
  if (!at) return std::nullopt;
  const bytes asked(at, control_request::management_bytes);
  le::store32(asked, 0, 0);
  le::store32(asked, 4, subtype);
  encode_lun(port::lun_address(lun), asked.subspan(8, 8));
  le::store64(asked, 16, tag);
  at[control_request::management_bytes] = 0xff;
  driver_ring& ring = rings_[control_index].ring;
  ring.set(0, {address_of(at), control_request::management_bytes, driver_ring::next_flag, 1});
  ring.set(1, {address_of(at + control_request::management_bytes), 1, driver_ring::write_flag, 0});
  waiting& one = waiting_[control_index][0] = {};
  ring.make_available(0);
  if (ring.wants_kick()) kick(control_index);
  while (!one.done)
    if (!reap(control_index, options_.timeout_ns)) return std::nullopt;
  return static_cast<response_code>(at[control_request::management_bytes]);
}

void front_end::offer_event(std::uint16_t head) {
  driver_ring& ring = rings_[event_index].ring;
  ring.set(head, {address_of(event_room_ + head * event::bytes), event::bytes, driver_ring::write_flag, 0});
  ring.make_available(head);
}

std::optional<std::array<std::uint8_t, event::bytes>> front_end::next_event(std::uint64_t timeout_ns) {
  driver_ring& ring = rings_[event_index].ring;
  auto back = ring.next_used();
  while (!back) {
    if (ring.ask_for_signal() && !wait(event_index, timeout_ns)) return std::nullopt;
    back = ring.next_used();
  }
  std::array<std::uint8_t, event::bytes> out;
  std::copy_n(event_room_ + back->head * event::bytes, event::bytes, out.begin());
  offer_event(static_cast<std::uint16_t>(back->head));
  if (ring.wants_kick()) kick(event_index);
  return out;
}

}  // namespace sluice::vhost
