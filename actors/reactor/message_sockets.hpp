#pragma once
#include <array>
#include <span>
#include <string>

#include "actors/reactor/loop.hpp"

/// The sockets of a loop that carry more than a stream of octets: local ones that pass descriptors, Ethernet frames,
/// netlink. All are non-blocking and close-on-exec; they are waited for with loop::wait_readable() and
/// loop::wait_writable(), sent on with loop::send_now() and closed with loop::close().
namespace sluice::reactor {

/// Handles that came with a message. Those that nobody takes are closed with it: a message that is dropped leaks none.
class passed_handles {
 public:
  static constexpr std::size_t limit = 16;  // of one message; what a peer passes beyond is closed unseen

  passed_handles() = default;
  ~passed_handles() { clear(); }
  passed_handles(const passed_handles&) = delete;
  passed_handles& operator=(const passed_handles&) = delete;

  std::size_t size() const { return size_; }
  /// The caller's from now on, to be closed with loop::close(); no_handle when it was taken before.
  handle take(std::size_t index);
  void clear();
  /// Takes over a handle of the loop, at most `limit`.
  void add(loop& of, handle h);

 private:
  loop* loop_ = nullptr;
  std::array<handle, limit> handles_{};
  std::size_t size_ = 0;
};

/// Octets of a local stream, and what was passed with them.
struct message {
  bytes into;                 // given by the caller: where the octets go
  bool handles_lost = false;  // the peer passed more than passed_handles::limit, or more than this process may open
  passed_handles passed{};    // close-on-exec
};

/// A frame, or what came in one netlink message.
struct datagram {
  bytes into;              // given by the caller: where the octets go
  std::size_t length = 0;  // as it came: more than into.size() means that it was cut
  /// A frame that is neither to the interface's own address nor to a group (one to an added address is such, too), or
  /// that is of a VLAN that the interface is not on: its tag has been taken off.
  bool for_others = false;
};

/// Who is at the other end of a local stream, as the system vouches for it at connect() and listen().
struct peer_credentials {
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::int32_t process = 0;
};

using mac_address = std::array<std::uint8_t, 6>;

struct packet_binding {
  std::string interface;
  std::uint16_t ethertype = 0;  // 0x0600 and above
  bool promiscuous = false;     // frames for others as well
};

struct link_info {
  unsigned index = 0;  // changes when an interface is removed and made anew
  mac_address address{};
  std::uint32_t mtu = 0;  // octets of a frame without its header of 14
  bool up = false;        // switched on, and with a carrier
  bool operator==(const link_info&) const = default;
};

enum class netlink_family : std::uint8_t {
  route,    // NETLINK_ROUTE: links, addresses, routes
  generic,  // NETLINK_GENERIC: families by id, which the family "nlctrl" tells
};

class message_sockets {
 public:
  virtual ~message_sockets() = default;

  // -- local streams (AF_UNIX); accepted with loop::accept() -----------------------------------------------------
  /// `path` has 1 to 107 octets. The socket belongs to this process's user alone (mode 0600). A socket left behind
  /// where nobody listens any more is replaced; errc::already_exists where somebody does, or where something else is.
  virtual result<handle> listen_local(const std::string& path, int backlog) = 0;
  /// Connects at once: errc::not_found when there is no such path, errc::closed when nobody listens there, errc::busy
  /// when too many wait to be accepted.
  virtual result<handle> connect_local(const std::string& path) = 0;
  virtual result<peer_credentials> credentials(handle h) = 0;
  /// As loop::send_now(), with duplicates of at most passed_handles::limit handles: they go with the first octet, so
  /// that they are sent when anything is. There must be one octet at least. The handles stay the sender's.
  virtual std::int64_t send_passing(handle h, const iovec* parts, unsigned count,
                                    std::span<const handle> passed) noexcept = 0;
  /// What has come, without waiting. Returns octets, 0 at the end of the stream, -EAGAIN when nothing has come. Handles
  /// come with the octets that they were sent with, or earlier ones along with those. What into.passed held is closed.
  /// (loop::receive() serves as well where nothing is passed; what is passed to it is closed.)
  virtual std::int64_t receive_passing(handle h, message& into) noexcept = 0;

  // -- Ethernet frames (AF_PACKET, with their header of 14 octets) -------------------------------------------------
  /// A socket for the frames of one type on one interface. Needs CAP_NET_RAW (errc::permission without).
  /// loop::send_now() sends one frame, whole or not at all: -EMSGSIZE when it is longer than the interface takes,
  /// -ENETDOWN while that is down.
  virtual result<handle> open_packet(const packet_binding& where) = 0;
  /// Receives what is sent to `address` too, a group or a single one, or no more. Interfaces filter loosely: frames to
  /// others may come as well, promiscuous or not.
  virtual result<void> set_membership(handle packet, const mac_address& address, bool member) = 0;
  /// The interface that a packet socket is bound to; errc::not_found when it is gone, and with it all that comes.
  virtual result<link_info> link_of(handle packet) = 0;

  // -- netlink -------------------------------------------------------------------------------------------------
  /// Speaks with the kernel alone: what comes from anybody else is dropped. loop::send_now() sends one request.
  virtual result<handle> open_netlink(netlink_family family) = 0;
  /// Receives the notices of a group (RTNLGRP_LINK, or the id of a generic family's group).
  virtual result<void> join_group(handle netlink, unsigned group) = 0;

  /// A frame or a netlink message that has come, without waiting. Returns the octets that into.into holds, -EAGAIN when
  /// nothing has come; -ENETDOWN when the interface went down (once), -ENOBUFS when netlink notices were lost (ask for
  /// all of them anew).
  virtual std::int64_t receive_datagram(handle h, datagram& into) noexcept = 0;

  // -- events (eventfd): a count that another thread, or a peer that it was passed to, adds to ----------------------
  virtual result<handle> open_event() = 0;
  /// Adds one. Returns 0, or -EAGAIN when the count is full.
  virtual std::int64_t signal(handle event) noexcept = 0;
  /// Takes the count, which is 0 then. Returns it, or -EAGAIN when it was 0. Safe on a descriptor that a peer passed:
  /// never waits, whatever it is.
  virtual std::int64_t drain(handle event) noexcept = 0;
};

}  // namespace sluice::reactor
