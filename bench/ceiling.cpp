#include "bench/ceiling.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>

#include "bench/account.hpp"
#include "bench/pdu.hpp"

namespace sluice::bench {
namespace {

constexpr std::uint32_t max_segment = 262144;  // both directions, and the whole of a write: it never needs an R2T
constexpr std::uint32_t command_window = 4096;
constexpr std::uint32_t block_size = 512;
constexpr std::size_t max_queued = 8192;  // answers; beyond, it reads no more

}  // namespace

class ceiling::peer {
 public:
  peer(int fd, bytes area) : fd_(fd), area_(area) {}
  ~peer() { ::close(fd_); }
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;

  bool receive(bytes scratch) {
    if (answers_.size() > max_queued) return true;
    auto got = ::recv(fd_, scratch.data(), scratch.size(), MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    return take(scratch.first(static_cast<std::size_t>(got)));
  }

  bool flush() {
    while (head_ < answers_.size()) {
      iovec parts[max_iovecs];
      std::size_t count = 0, skip = head_sent_;
      for (auto i = head_; i < answers_.size() && count + 2 <= max_iovecs; ++i) {
        auto& a = answers_[i];
        if (skip < a.header.size()) {
          parts[count++] = {a.header.data() + skip, a.header.size() - skip};
          skip = 0;
        } else {
          skip -= a.header.size();
        }
        if (a.length) parts[count++] = {const_cast<std::uint8_t*>(a.data) + skip, a.length - skip};
        skip = 0;
      }
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = count;
      auto sent = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
      head_sent_ += static_cast<std::size_t>(sent);
      for (; head_ < answers_.size() && head_sent_ >= 48 + answers_[head_].length; ++head_)
        head_sent_ -= 48 + answers_[head_].length;
    }
    answers_.clear();
    texts_.clear();
    head_ = 0;
    return true;
  }

  bool wants_to_send() const { return head_ < answers_.size(); }
  bool polled_for_output = false;

 private:
  struct answer {
    bhs header{};
    const std::uint8_t* data = nullptr;
    std::uint32_t length = 0;  // with padding
  };

  bool take(const_bytes got) {
    while (!got.empty()) {
      if (data_left_ > 0) {
        auto part = got.first(std::min<std::size_t>(got.size(), data_left_));
        if (write_to_) {
          std::memcpy(write_to_, part.data(), part.size());
          write_to_ += part.size();
        }
        data_left_ -= static_cast<std::uint32_t>(part.size());
        got = got.subspan(part.size());
      } else {
        auto part = got.first(std::min(got.size(), header_.size() - header_got_));
        std::memcpy(header_.data() + header_got_, part.data(), part.size());
        header_got_ += part.size();
        got = got.subspan(part.size());
        if (header_got_ < header_.size()) return true;
        if (!begin()) return false;
      }
      if (data_left_ == 0) {
        header_got_ = 0;
        if (!end()) return false;
      }
    }
    return true;
  }

  bool begin() {
    auto length = data_segment_length(header_);
    data_left_ = length + padding(length);
    write_to_ = nullptr;
    if (opcode_of(header_) == scsi_command && header_[32] == 0x8a) write_to_ = extent(length);
    return opcode_of(header_) != scsi_command || length == 0 || write_to_;
  }

  /// Where the CDB's LBA lies in the area; null when `length` octets do not fit there.
  std::uint8_t* extent(std::uint64_t length) {
    auto lba = wire::load64(header_, 34);
    if (length > area_.size() || lba > (area_.size() - length) / block_size) return nullptr;
    return area_.data() + lba * block_size;
  }

  bool end() {
    switch (opcode_of(header_)) {
      case scsi_command:
        return run_command();
      case login_request:
        return answer_login();
      case logout_request:
        push(logout_response);
        return true;
      case nop_out:
        return true;
      default:
        return false;
    }
  }

  answer& push(opcode code) {
    auto& a = answers_.emplace_back();
    a.header[0] = code;
    a.header[1] = final_bit;
    std::memcpy(a.header.data() + 16, header_.data() + 16, 4);
    if (!(header_[0] & immediate_bit)) exp_cmd_sn_ = wire::load32(header_, 24) + 1;
    wire::store32(a.header, 24, stat_sn_++);
    wire::store32(a.header, 28, exp_cmd_sn_);
    wire::store32(a.header, 32, exp_cmd_sn_ + command_window - 1);
    return a;
  }

  void push_data(const std::uint8_t* data, std::uint32_t length) {
    auto& a = push(data_in);
    a.header[1] |= status_bit;
    wire::store24(a.header, 5, length);
    wire::store32(a.header, 20, no_tag);
    a.data = data;
    a.length = length;
  }

  bool run_command() {
    auto length = wire::load32(header_, 20);
    if (header_[32] == 0x88) {
      auto* data = extent(length);
      if (!data || length > max_segment) return false;
      push_data(data, length);
    } else if (header_[32] == 0x9e) {
      auto& capacity = texts_.emplace_back(32, '\0');
      bytes octets(reinterpret_cast<std::uint8_t*>(capacity.data()), capacity.size());
      wire::store64(octets, 0, area_.size() / block_size - 1);
      wire::store32(octets, 8, block_size);
      push_data(octets.data(), 32);
    } else if (header_[32] == 0x8a || header_[32] == 0) {
      push(scsi_response);
    } else {
      return false;
    }
    return true;
  }

  /// Goes wherever the initiator wants to go, and states its own keys in the first answer.
  bool answer_login() {
    exp_cmd_sn_ = wire::load32(header_, 24);
    auto& a = push(login_response);
    a.header[1] = header_[1];
    std::memcpy(a.header.data() + 8, header_.data() + 8, 6);
    wire::store16(a.header, 14, 1);
    if (told_keys_) return true;
    told_keys_ = true;
    std::string text;
    for (const char* pair : {"HeaderDigest=None", "DataDigest=None", "InitialR2T=No", "ImmediateData=Yes",
                             "MaxRecvDataSegmentLength=262144", "MaxBurstLength=262144", "FirstBurstLength=262144",
                             "MaxConnections=1", "ErrorRecoveryLevel=0", "TargetPortalGroupTag=1"})
      text.append(pair).push_back('\0');
    wire::store24(a.header, 5, text.size());
    text.resize(text.size() + padding(static_cast<std::uint32_t>(text.size())));
    auto& kept = texts_.emplace_back(std::move(text));
    a.data = reinterpret_cast<const std::uint8_t*>(kept.data());
    a.length = static_cast<std::uint32_t>(kept.size());
    return true;
  }

  int fd_;
  bytes area_;
  bhs header_{};
  std::size_t header_got_ = 0;
  std::uint32_t data_left_ = 0;
  std::uint8_t* write_to_ = nullptr;
  std::uint32_t stat_sn_ = 1, exp_cmd_sn_ = 1;
  bool told_keys_ = false;
  std::vector<answer> answers_;
  std::deque<std::string> texts_;  // stay where they are until sent
  std::size_t head_ = 0, head_sent_ = 0;
};

ceiling::ceiling(const settings& s) : settings_(s), area_(s.size_bytes, 0xa5), scratch_(scratch_bytes) {}

ceiling::~ceiling() {
  peers_.clear();
  for (int fd : {epoll_, listener_, wake_})
    if (fd >= 0) ::close(fd);
}

result<std::unique_ptr<ceiling>> ceiling::open(const settings& s) {
  std::unique_ptr<ceiling> made(new ceiling(s));
  if (auto listening = made->listen(s.port); !listening) return tl::unexpected(listening.error());
  return made;
}

result<> ceiling::listen(std::uint16_t port) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* where = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  if (::bind(listener_, where, length) != 0 || ::listen(listener_, 128) != 0 ||
      getsockname(listener_, where, &length) != 0)
    return fail_errno(errno, "listen on 127.0.0.1:" + std::to_string(port));
  port_ = ntohs(address.sin_port);
  for (int fd : {listener_, wake_}) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &wanted) != 0) return fail_errno(errno, "epoll_ctl");
  }
  return {};
}

void ceiling::accept_one() {
  int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.fd = fd;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &wanted);
  peers_[fd] = std::make_unique<peer>(fd, area_);
}

int ceiling::wait(epoll_event* events, int capacity) {
  auto begin = settings_.spin_ns ? now_ns() : 0;
  for (;;) {
    bool poll = settings_.spin_ns && now_ns() - begin < settings_.spin_ns;
    int ready = epoll_wait(epoll_, events, capacity, poll ? 0 : -1);
    if (ready != 0) return ready;
  }
}

void ceiling::run() {
  epoll_event events[64];
  while (!stopping_) {
    int ready = wait(events, 64);
    for (int i = 0; i < ready; ++i) {
      int fd = events[i].data.fd;
      if (fd == listener_) accept_one();
      auto found = peers_.find(fd);
      if (found == peers_.end()) continue;
      auto& p = *found->second;
      if (!p.receive(scratch_) || !p.flush()) {
        peers_.erase(found);
        continue;
      }
      if (p.wants_to_send() == p.polled_for_output) continue;
      p.polled_for_output = p.wants_to_send();
      epoll_event wanted{};
      wanted.events = EPOLLIN | (p.polled_for_output ? std::uint32_t{EPOLLOUT} : 0u);
      wanted.data.fd = fd;
      epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &wanted);
    }
  }
}

void ceiling::stop() noexcept {
  stopping_ = true;
  std::uint64_t one = 1;
  [[maybe_unused]] auto written = ::write(wake_, &one, sizeof one);
}

}  // namespace sluice::bench
