#pragma once
#include <cstdint>
#include <vector>

#include "fabrics/port/task.hpp"

namespace sluice::loopback {

/// One SCSI command of an initiator in this process. The initiator owns it and keeps it still from submit() until
/// on_done(), which is called exactly once, on the loop of the channel that it went by.
class command {
 public:
  virtual void on_done() noexcept = 0;

  // What is asked; set before submit() ---------------------------------------------------------------------------
  port::lun lun = 0;
  std::uint64_t tag = 0;  // unique in the session while the command lives
  port::task_attribute attribute = port::task_attribute::simple;
  std::vector<std::uint8_t> cdb;       // of any length; more than 260 octets are refused with sense
  std::vector<std::uint8_t> data_out;  // all that there is to send
  std::uint64_t room = 0;              // octets that data_in may have
  /// False: the target is told the direction only, not how much there is to move, as in UAS. There is no residual then.
  bool length_known = true;
  /// Neither gives data_out nor takes data_in until session::resume().
  bool withholds = false;
  bool asked = false;  // set by the session: it withholds, and the target waits for it

  // How it ended; set before on_done() ----------------------------------------------------------------------------
  bool answered = false;  // false: there is no response, and what follows means nothing
  scsi::status status = scsi::status::good;
  std::vector<std::uint8_t> sense;    // at most 252 octets
  std::vector<std::uint8_t> data_in;  // what came of it, even without a response
  std::int64_t residual = 0;          // octets: above 0 more than there was room for (over), below 0 fewer (under)

 protected:
  ~command() = default;
};

}  // namespace sluice::loopback
