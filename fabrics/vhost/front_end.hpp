#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"
#include "fabrics/vhost/message.hpp"
#include "fabrics/vhost/scsi_request.hpp"

/// The other side, for tests and measurements: a front end with a guest's memory, and the driver of its device. Blocks,
/// bounded in time; one thread. No part of a gateway.
namespace sluice::vhost {

/// The driver's side of a split virtqueue in memory of its own making [VIRTIO 2.7].
class driver_ring {
 public:
  driver_ring() = default;
  /// Over `at`, bytes_of(size) octets of zeroes, aligned to 16.
  driver_ring(std::uint8_t* at, std::uint16_t size, bool event_index);
  static std::size_t bytes_of(std::uint16_t size);

  struct descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags, next;
  };
  static constexpr std::uint16_t next_flag = 1, write_flag = 2, indirect_flag = 4;

  std::uint16_t size() const { return size_; }
  void set(std::uint16_t index, const descriptor& d);
  void make_available(std::uint16_t head);
  /// Whether what was made available since the last time is to be kicked for.
  bool wants_kick();
  struct used {
    std::uint32_t head, written;
  };
  std::optional<used> next_used();
  /// From now on the device signals with the next that it gives back; false when that is there already.
  bool ask_for_signal();
  void suppress_signals();

  std::uint8_t* descriptors() const { return at_; }
  std::uint8_t* available() const { return at_ + std::size_t{size_} * 16; }
  std::uint8_t* used_ring() const;
  std::uint16_t available_index() const { return available_index_; }

 private:
  std::uint8_t* at_ = nullptr;
  std::uint16_t size_ = 0, available_index_ = 0, kicked_ = 0, used_seen_ = 0;
  bool event_index_ = false;
};

class front_end {
 public:
  struct options {
    unsigned request_queues = 1;
    std::uint16_t ring_size = 128;
    bool event_index = true, indirect = true, inflight = true, events = true;
    std::uint64_t memory_bytes = 16 * mib;
    std::uint64_t timeout_ns = 10 * ns_per_s;
  };
  static constexpr std::uint64_t guest_base = 0x40000000;

  /// Memory and rings, not connected.
  explicit front_end(const options& wanted);
  ~front_end();
  front_end(const front_end&) = delete;
  front_end& operator=(const front_end&) = delete;

  /// Connects and starts all rings, for the first time or once more: the guest's memory stays, and with it what was
  /// under way.
  result<void> connect(const std::string& path);
  void disconnect();
  bool connected() const { return socket_ >= 0; }
  /// Whether the gateway has closed the connection; waits for that until the time is over.
  bool is_closed(std::uint64_t timeout_ns);

  // -- messages, for tests that say what they like --
  result<void> open(const std::string& path);
  result<void> say(request what, const_bytes payload, const std::vector<int>& passed = {}, bool wants_reply = false);
  struct heard {
    request what{};
    std::vector<std::uint8_t> payload;
    std::vector<int> passed;  // to be closed by who asked
  };
  result<heard> hear();
  /// Says it, and hears a number.
  result<std::uint64_t> ask(request what, const_bytes payload = {}, const std::vector<int>& passed = {});
  /// Says it, and hears whether it was done [REPLY_ACK].
  result<void> tell(request what, const_bytes payload, const std::vector<int>& passed = {});
  result<void> start_ring(unsigned index, std::uint16_t base);
  /// GET_VRING_BASE: where the ring was.
  result<std::uint16_t> stop_ring(unsigned index);
  std::vector<std::uint8_t> memory_table() const;
  int memory_handle() const { return memory_; }

  // -- the guest --
  std::uint8_t* allocate(std::size_t size, std::size_t alignment = 16);  // null: there is no more
  std::uint64_t address_of(const void* in_memory) const;
  driver_ring& ring(unsigned index) { return rings_[index].ring; }
  void kick(unsigned index);
  /// Waits for a signal of the ring; false when the time is over.
  bool wait(unsigned index, std::uint64_t timeout_ns);

  struct answer {
    bool came = false;
    response_code code = response_code::failure;
    scsi::status status = scsi::status::good;
    std::uint32_t residual = 0;
    std::vector<std::uint8_t> sense, data;
  };
  /// One command by a request queue (2 and up), at LUN `lun` of the target; its answer, or none in time.
  answer run(unsigned index, std::uint16_t lun, const std::vector<std::uint8_t>& cdb,
             const std::vector<std::uint8_t>& data_out = {}, std::size_t room = 0);
  /// Makes it available, and kicks; the head, by which collect() finds the answer.
  std::uint16_t submit(unsigned index, std::uint16_t lun, const std::vector<std::uint8_t>& cdb, std::uint64_t tag,
                       const std::vector<std::uint8_t>& data_out = {}, std::size_t room = 0);
  answer collect(unsigned index, std::uint16_t head);
  /// A task management function by its subtype [VIRTIO 5.6.6.2].
  std::optional<response_code> manage(std::uint32_t subtype, std::uint16_t lun, std::uint64_t tag);
  /// The next event that comes until the time is over.
  std::optional<std::array<std::uint8_t, event::bytes>> next_event(std::uint64_t timeout_ns);
  static std::array<std::uint8_t, command_header::bytes> header(std::uint16_t lun, std::uint64_t tag,
                                                                const std::vector<std::uint8_t>& cdb);

 private:
  struct own_ring {
    driver_ring ring;
    int kick = -1, call = -1;
  };
  struct waiting {
    std::uint8_t* response = nullptr;
    std::uint8_t* data = nullptr;
    std::size_t room = 0;
    bool done = false;
  };
  bool reap(unsigned index, std::uint64_t timeout_ns);
  void offer_event(std::uint16_t head);

  const options options_;
  int socket_ = -1, memory_ = -1, inflight_ = -1;
  inflight_place inflight_place_;
  std::uint8_t* at_ = nullptr;
  std::uint64_t next_ = 0;
  std::vector<own_ring> rings_;
  std::vector<std::vector<waiting>> waiting_;  // by queue and head
  std::vector<std::uint16_t> next_head_;
  std::uint8_t* event_room_ = nullptr;
  std::uint64_t features_ = 0;
};

}  // namespace sluice::vhost
