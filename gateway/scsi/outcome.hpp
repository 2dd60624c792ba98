#pragma once
#include <array>
#include <cstdint>

#include "actors/base/bytes.hpp"

/// Pure SCSI: values and functions without a clock, I/O or actors.
namespace sluice::scsi {

/// [SAM-5 5.3.1]
enum class status : std::uint8_t {
  good = 0x00,
  check_condition = 0x02,
  condition_met = 0x04,
  busy = 0x08,
  reservation_conflict = 0x18,
  task_set_full = 0x28,
  aca_active = 0x30,
  task_aborted = 0x40,
};

/// [SPC-4 4.5.6]
enum class sense_key : std::uint8_t {
  no_sense = 0x0,
  recovered_error = 0x1,
  not_ready = 0x2,
  medium_error = 0x3,
  hardware_error = 0x4,
  illegal_request = 0x5,
  unit_attention = 0x6,
  data_protect = 0x7,
  aborted_command = 0xb,
  miscompare = 0xe,
};

/// An additional sense code with its qualifier: 0x2400 is 24h/00h. The named values live in asc.hpp.
using additional_sense = std::uint16_t;

/// Structured sense, not yet in fixed or descriptor form: the port's encoder chooses [SPC-4 4.5].
struct sense {
  sense_key key = sense_key::no_sense;
  additional_sense code = 0;
  bool has_information = false;
  std::uint64_t information = 0;   // LBA, or offset of a miscompare
  bool has_field_pointer = false;  // ILLEGAL REQUEST: which field was wrong [SPC-4 4.5.2.4.2]
  bool field_in_cdb = true;        // C/D: in the CDB, else in the parameter list
  std::uint8_t field_bit = 8;      // 0-7; 8: not valid
  std::uint16_t field_byte = 0;
  bool has_progress = false;
  std::uint16_t progress = 0;  // of 65536
  bool deferred = false;       // about an earlier command that ended GOOD; this one was not done [SPC-4 4.5.7]
};

/// How a command ended, as a value. Built by the named builders of outcome_builders.hpp.
struct outcome {
  scsi::status status = scsi::status::good;
  scsi::sense sense = {};
};

/// Sense data as it goes over the wire; 252 octets is the most that SPC-4 allows.
struct encoded_sense {
  std::array<std::uint8_t, 252> data;
  std::uint8_t size = 0;
  const_bytes span() const { return {data.data(), size}; }
};

}  // namespace sluice::scsi
