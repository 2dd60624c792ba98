#include "fabrics/iscsi/connection.hpp"
#include "gateway/scsi/outcome_builders.hpp"

// What the initiator hears without having asked.
namespace sluice::iscsi {

namespace {

constexpr std::uint32_t event_high_water = 64 * kib;  // queued octets that say that the initiator takes nothing in

/// Events after which an initiator has something to look up anew. What only fails the next command is said there.
bool is_worth_telling(scsi::additional_sense code) {
  return code == scsi::asc::reported_luns_changed || code == scsi::asc::inquiry_data_changed ||
         code == scsi::asc::capacity_changed || code == scsi::asc::asymmetric_access_changed;
}

}  // namespace

/// A SCSI asynchronous event: its data segment is the length of the sense data, and the sense data [RFC7143 11.9.4].
/// An initiator that does not take in what it is sent is not sent more: the unit attention waits for it.
void connection::report(const port::unit_event& what) {
  if (phase_ != phase_of::full_feature || !is_worth_telling(what.code) || mover_->unsent() > event_high_water) return;
  const scsi::encoded_sense sense = scsi::encode(scsi::outcomes::unit_attention(what.code).sense, false);
  std::vector<std::uint8_t> data{0, static_cast<std::uint8_t>(sense.size)};
  data.insert(data.end(), sense.data.begin(), sense.data.begin() + sense.size);
  async_message event;
  event.lun = what.lun;
  event.sn = next_numbers();
  send(event, data);
  mover_->push_soon();
}

}  // namespace sluice::iscsi
