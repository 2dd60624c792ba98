#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "actors/memory/slab.hpp"
#include "actors/reactor/loop.hpp"
#include "fabrics/iscsi/command.hpp"
#include "fabrics/port/task.hpp"

namespace sluice::iscsi {

class connection;

/// Where in its memory an initiator has the data of a command, over RDMA [RFC7145 9.2]; without a tag: nowhere.
struct tagged_buffer {
  std::uint32_t tag = 0;  // STag
  std::uint64_t offset = 0;
  bool is_there = false;
};
struct tagged_buffers {
  tagged_buffer out;  // it is read
  tagged_buffer in;   // it is written
};

/// How the PDUs and the data of a connection get through [RFC5047]: as a stream of octets over TCP (pdu_stream), or by
/// RDMA. It knows how PDUs and data are moved, the connection what they mean. On the loop's thread; belongs to its
/// connection, which it tells of what comes, and which outlives all that it has in flight.
class datamover {
 public:
  virtual ~datamover() = default;

  /// Begins; what fails is told by connection::broken(), later.
  virtual void start() = 0;
  /// Where the connection is, for discovery; nullopt when it is not known any more.
  virtual std::optional<reactor::endpoint> local() const = 0;
  virtual std::optional<reactor::endpoint> peer() const = 0;
  /// What of a nexus depends on how data are moved. The parameters have been negotiated.
  virtual void restrict(port::capabilities& caps) const = 0;

  // -- what comes --
  /// A session: connection::resume() when there is more to process().
  virtual void receive() = 0;
  /// A stranger: connection::readable() when something has come. It takes no memory for it.
  virtual void await() = 0;
  /// Deals with what is here, in one step: connection::take_pdu() and others. False when more must come first, or
  /// memory.
  virtual bool process() = 0;
  /// A stranger's turn: looks what has come, and deals with one PDU; false when it is not all here.
  virtual bool hear_one() = 0;
  virtual bool has_unread() const = 0;
  /// Memory may be had again, for which connection::wait_for_memory() was called; false when it waits for the peer.
  virtual bool try_again() = 0;
  /// The peer has been silent.
  virtual void rest() {}
  /// Octets of memory that a stranger has here, but for those to be sent.
  virtual std::uint64_t held() const = 0;
  /// Gives up what has come: nobody listens any more.
  virtual void forget_input() = 0;

  // -- what goes --
  /// Room for the basic header of a PDU, to be filled before end_pdu(), which follows with the data segment: octets
  /// that are copied, or memory.
  virtual std::uint8_t* begin_pdu() = 0;
  virtual void end_pdu(std::uint8_t* header, const_bytes data) = 0;
  virtual void end_pdu(std::uint8_t* header, const memory::slice& data) = 0;
  /// What has been said leaves at the end of the loop's turn, in its next step, or now; then connection::move_on().
  virtual void push() = 0;
  virtual void push_soon() = 0;
  virtual void push_now() = 0;
  /// Whether there is anything to push.
  virtual bool has_output() const = 0;
  /// Octets that have not left.
  virtual std::uint64_t unsent() const = 0;
  /// Says nothing of what has not left.
  virtual void forget_output() = 0;

  // -- data --
  /// Asks for the octets from c.arrived to c.fetch_end; c.landing is reserved for them. connection::fetched() follows,
  /// or Data-Out PDUs do.
  virtual void fetch(command& c) = 0;
  /// Sends what the initiator has room for of task.data_in. `completes`: all of it is there, and the response of the
  /// command follows; when that has left with the data, it sets status_sent.
  virtual void send_data_in(command& c, bool completes) = 0;
  /// After send_data_in(): connection::data_sent() when the unit may send more.
  virtual void await_sent(command& c) = 0;
  /// A transfer is given up: what is under way of it does not concern the command any more, nor the memory of its task.
  virtual void let_go(command& c) = 0;
  /// The command has come with these buffers; and ends.
  virtual void accepted(command&, const tagged_buffers&) {}
  virtual void forget(command& c) = 0;
  /// Whether the last Data-Out of the burst that the command waits for is here in part.
  virtual bool is_taking_last(const command&) const { return false; }

  // -- its life --
  /// The connection has a session, whose share pays from now on.
  virtual void pay_from(memory::account& share) = 0;
  /// The last Login Response is queued; what was negotiated holds for everything after it.
  virtual void begin_full_feature() = 0;
  /// Drops what has not left, and ends the connection for the peer.
  virtual void cut() = 0;
  virtual bool is_cut() const = 0;
  /// Whether all has left that will.
  virtual bool is_drained() const = 0;
  /// Takes nothing in any more and ends the connection for the peer, in order.
  virtual void shut() = 0;
  /// Nothing is in flight and nothing will call the connection.
  virtual bool is_idle() const = 0;
  /// Gives back the socket, or what stands for it. Idle.
  virtual void close() = 0;

  // -- another connection takes its place in the session [RFC7143 6.3.4] --
  /// The socket, to be used by another core; no_handle when there is no such thing, or the peer has said more. It is
  /// still this one's until give_up().
  virtual reactor::handle offer() { return reactor::no_handle; }
  virtual void give_up() {}
  /// Goes on with another socket in place of its own, as one that has received and sent nothing. Idle.
  virtual void adopt(reactor::handle) { SLUICE_CHECK(!"no connection takes the place of this one"); }
};

/// A connection that a portal has accepted, on its way to the core that serves it. One of the two is called, on that
/// core's loop.
class accepted_peer {
 public:
  virtual ~accepted_peer() = default;
  virtual std::unique_ptr<datamover> open(connection& of) = 0;
  virtual void refuse() = 0;
};

}  // namespace sluice::iscsi
