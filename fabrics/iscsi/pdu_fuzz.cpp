#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/requests.hpp"

namespace sluice::iscsi {
namespace {

template <class... Pdus>
void through_all(bhs_view from) {
  // What one pass through the codec keeps, the next must keep too.
  const auto stable = [&]<class Pdu>(Pdu*) {
    const bhs once = encode(decode<Pdu>(from));
    if (encode(decode<Pdu>(once)) != once) __builtin_trap();
  };
  (stable(static_cast<Pdus*>(nullptr)), ...);
}

}  // namespace

// A stream of PDUs: each BHS to every codec, its AHS area to the AHS decoder.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::const_bytes rest(data, size);
  while (rest.size() >= bhs_bytes) {
    const bhs_view at = rest.first<bhs_bytes>();
    const header shape = decode_header(at);
    through_all<scsi_command, task_management_request, data_out, text_request, login_request, logout_request,
                snack_request, nop_out, scsi_response, task_management_response, data_in, ready_to_transfer,
                async_message, text_response, login_response, logout_response, reject, nop_in>(at);
    rest = rest.subspan(bhs_bytes);
    if (rest.size() < shape.ahs_bytes) break;
    additional_headers into;
    if (decode_ahs(rest.first(shape.ahs_bytes), into) == ahs_verdict::ok && into.extended_cdb.size() > 244)
      __builtin_trap();
    rest = rest.subspan(shape.ahs_bytes);
    if (rest.size() < padded(shape.data_bytes)) break;
    rest = rest.subspan(padded(shape.data_bytes));
  }
  return 0;
}

}  // namespace sluice::iscsi
