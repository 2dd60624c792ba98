#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/base/bytes.hpp"
#include "fabrics/port/nexus_endpoint.hpp"
#include "fabrics/port/task.hpp"
#include "gateway/scsi/asc.hpp"
#include "gateway/scsi/outcome_builders.hpp"

/// What a fabric's test provides for the contract suite, and the commands that the suite sends.
namespace sluice::port::contract {

using octets = std::vector<std::uint8_t>;

/// What an initiator hears of a command.
struct response {
  bool answered = false;  // false: it ended without a response, and the rest means nothing
  scsi::status status = scsi::status::good;
  octets sense_data, data;
  std::optional<std::int64_t> residual;  // octets: above 0 over, below 0 under; nullopt: the fabric tells none

  bool good() const { return answered && status == scsi::status::good; }
  scsi::sense sense() const { return scsi::decode_sense(sense_data); }
  bool checked(scsi::sense_key key) const {
    return answered && status == scsi::status::check_condition && sense().key == key;
  }
  std::string describe() const {
    if (!answered) return "no response";
    return "status " + std::to_string(static_cast<int>(status)) + ", sense key " +
           std::to_string(static_cast<int>(sense().key)) + ", code " + std::to_string(sense().code);
  }
};

/// A command, kept still until it is done or its initiator is gone.
struct request {
  std::uint16_t lun = 0;
  octets cdb, data_out;
  std::uint64_t room = 0;
  task_attribute attribute = task_attribute::simple;  // or ordered
  bool withholds = false;  // gives no data-out, and takes no data-in if it can, until initiator::resume()

  bool done = false;
  int completions = 0;
  response how;
  void finish(response with) {
    how = std::move(with);
    done = true;
    ++completions;
  }
};

/// An initiator port as one fabric has it. All calls on the test's thread, outside the site's turns.
class initiator {
 public:
  enum class state : std::uint8_t { idle, going_up, up, down };
  virtual ~initiator() = default;
  virtual state now() const = 0;
  /// Ends `up`, or `down` when it is refused. Again after `down`.
  virtual void log_in() = 0;
  virtual void log_out() = 0;
  /// The connection breaks, without a word.
  virtual void vanish() = 0;
  virtual void submit(request& r) = 0;
  /// Whether the target has asked for data of a request that withholds them.
  virtual bool owes(const request& r) const = 0;
  /// Whatever the target has asked for is given now, wanted or not.
  virtual void resume(request& r) = 0;
  virtual void manage(task_function function, std::uint16_t lun, const request* referenced,
                      std::function<void(task_response)> answered) = 0;
  /// Whether the transport can lose one task (ABTS, UNLINK).
  virtual bool can_lose() const { return false; }
  virtual void lose(request&) {}
  virtual bool can_withhold_reads() const { return false; }
  /// What the target told without being asked, in order.
  virtual std::vector<unit_event> heard() const = 0;
};

/// A gateway with one target behind one port: LUN 0 is a disk of 4 MiB with blocks of 512 octets, all zeroes.
class site {
 public:
  static constexpr unsigned stranger = 2;  // the number of an initiator that is not admitted; 0 and 1 are

  virtual ~site() = default;
  /// Of the same number: the same initiator port.
  virtual std::unique_ptr<initiator> make_initiator(unsigned number) = 0;
  /// Runs until `so`, bounded; returns whether it is so.
  virtual bool until(const std::function<bool()>& so) = 0;
  virtual void run_for(std::uint64_t duration_ns) = 0;
  /// Lets a number of things happen.
  virtual void steps(unsigned count) = 0;

  /// Requests to the medium of LUN 1 that begin from now on take twenty seconds, or as ever.
  virtual void stall_medium(bool stalls) = 0;

  // The operator's doing.
  virtual void kick_all() = 0;
  virtual void admit_no_more(unsigned number) = 0;
  virtual void add_lun() = 0;  // LUN 1, whose medium can stall
  virtual void stop_port() = 0;
};

struct subject {
  std::string name;
  std::function<std::unique_ptr<site>()> make;
};

// -- data and commands ---------------------------------------------------------------------------------------------

inline octets pattern(std::size_t size, unsigned seed) {
  octets made(size);
  for (std::size_t i = 0; i < size; ++i)
    made[i] = static_cast<std::uint8_t>((i * 2654435761u >> 13) + seed * 29 + (i >> 9) + 1);
  return made;
}
inline octets bytes_of(const octets& from, std::size_t offset, std::size_t size) {
  const auto begin = from.begin() + static_cast<std::ptrdiff_t>(offset);
  return {begin, begin + static_cast<std::ptrdiff_t>(size)};
}

inline request plain_cdb(octets cdb, std::uint16_t lun = 0) {
  request r;
  r.lun = lun;
  r.cdb = std::move(cdb);
  return r;
}
inline request in_cdb(octets cdb, std::uint64_t room) {
  request r = plain_cdb(std::move(cdb));
  r.room = room;
  return r;
}
inline request test_unit_ready(std::uint16_t lun = 0) {
  return plain_cdb({0x00, 0, 0, 0, 0, 0}, lun);
}
inline octets block_cdb(std::uint8_t operation, std::uint32_t block, std::size_t blocks) {
  return {operation,
          0,
          static_cast<std::uint8_t>(block >> 24),
          static_cast<std::uint8_t>(block >> 16),
          static_cast<std::uint8_t>(block >> 8),
          static_cast<std::uint8_t>(block),
          0,
          static_cast<std::uint8_t>(blocks >> 8),
          static_cast<std::uint8_t>(blocks),
          0};
}
inline request read_10(std::uint32_t block, std::uint16_t blocks) {
  return in_cdb(block_cdb(0x28, block, blocks), std::uint64_t{blocks} * 512);
}
inline request write_10(std::uint32_t block, octets data) {
  request r = plain_cdb(block_cdb(0x2a, block, data.size() / 512));
  r.data_out = std::move(data);
  return r;
}
/// PERSISTENT RESERVE OUT [SPC-4 6.14].
inline request reserve_out(std::uint8_t action, std::uint8_t type, const octets& parameters) {
  request r = plain_cdb({0x5f, action, type, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(parameters.size()), 0});
  r.data_out = parameters;
  return r;
}
inline octets reservation_parameters(std::uint8_t key, std::uint8_t new_key) {
  octets made(24, 0);
  made[7] = key;
  made[15] = new_key;
  return made;
}

}  // namespace sluice::port::contract
