#pragma once
#include <functional>
#include <vector>

#include "actors/base/result.hpp"
#include "bench/login.hpp"
#include "bench/pdu.hpp"

namespace sluice::bench {

/// One outstanding READ or WRITE.
struct io {
  std::uint64_t slot = 0;  // the extent of block-size octets that it moves
  std::uint64_t start_ns = 0;
  std::uint32_t generation = 0;  // of the slot's contents, when verified
  std::uint32_t arrived = 0;     // octets of data-in so far
  bool write = false, active = false, readback = false;
  std::vector<std::uint8_t> data;  // verified only: what is written, or what must be read
};

/// A logged-in session under load: queues PDUs, sends all of a turn in few system calls, takes the answers apart.
/// Data that nobody verifies is neither looked at nor, for large blocks, copied out of the kernel.
class session {
 public:
  struct counters {
    std::uint64_t errors = 0, mismatches = 0;
    std::string first_error;
  };
  /// What the load hears: `done` for each finished command; it may submit anew from within.
  using completion = std::function<void(session&, io&)>;

  /// Takes over the connection. `extent_bytes` is the length of every command.
  session(connection c, std::uint64_t lun, unsigned depth, std::uint32_t extent_bytes, std::uint32_t block_size,
          bool verify, bool fua, const std::uint8_t* static_data, completion done);
  ~session();
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  /// A free command slot, or null when the queue depth or the target's command window is used up.
  io* free_io();
  void submit(io& x);
  unsigned outstanding() const { return static_cast<unsigned>(ios_.size() - free_.size()); }

  /// Receives once and handles what came; false: the connection is gone, `counters` say why.
  bool receive(bytes scratch, std::uint64_t now);
  /// Sends what is queued, as far as the socket takes it.
  bool flush();
  bool wants_to_send() const { return head_ < queue_.size(); }

  int fd() const { return connection_.fd; }
  const counters& count() const { return counters_; }
  /// The time that completions of this turn are dated with.
  std::uint64_t turn_ns() const { return turn_ns_; }
  /// Logs out when idle, else closes.
  void end();

 private:
  struct out_pdu {
    bhs header;
    const std::uint8_t* data = nullptr;
    std::uint32_t length = 0;
  };

  void send_command(io& x);
  void queue_data_out(std::uint32_t tag, std::uint32_t transfer_tag, std::uint32_t offset, std::uint32_t length);
  const std::uint8_t* data_of(const io& x) const { return verify_ ? x.data.data() : static_data_; }
  bool handle_bytes(const_bytes got);
  bool begin_pdu();
  void take_data(const_bytes part);
  bool end_pdu();
  void finish(io& x, std::uint8_t status);
  bool answer_nop();
  bool broken(std::string why);
  void note_error(std::string why);

  connection connection_;
  std::uint64_t lun_;
  std::uint32_t extent_bytes_, block_size_;
  bool verify_, fua_;
  const std::uint8_t* static_data_;
  completion done_;
  counters counters_;
  std::uint64_t turn_ns_ = 0;

  std::vector<io> ios_;
  std::vector<std::uint32_t> free_;

  std::vector<out_pdu> queue_;
  std::size_t head_ = 0, head_sent_ = 0;  // the first PDU not wholly sent, and how many of its octets are

  bhs header_{};  // the PDU being received
  std::size_t header_got_ = 0;
  std::uint32_t data_left_ = 0, padding_left_ = 0, data_offset_ = 0;
  io* receiving_ = nullptr;               // whose data-in this is
  std::vector<std::uint8_t> small_data_;  // sense, nop data
};

}  // namespace sluice::bench
