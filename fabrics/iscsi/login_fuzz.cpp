#include <algorithm>

#include "fabrics/iscsi/login.hpp"

namespace sluice::iscsi {

// A sequence of login requests: a flags octet, a length octet, the text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bool chap = size % 2 == 1;
  const auto port = std::make_shared<served_port>();
  port->id = {"iscsi", "iqn.2026-11.io.sluice:main", 1};
  port->ours.immediate_data = size % 4 < 2;
  const std::shared_ptr<const port::credentials> kept =
      chap ? std::make_shared<const chap_credentials>("user", "secret of theirs", "gw", "secret of ours") : nullptr;
  const login_world world{[port](const std::string&) { return port; },
                          [kept](const port::port_id&, const std::string&) {
                            return std::optional(port::access{true, kept});
                          },
                          [kept](const std::string&) { return kept; },
                          [](bytes into) { std::fill(into.begin(), into.end(), 7); },
                          [](std::uint16_t) { return true; },
                          {},
                          [port](std::uint16_t) {
                            return std::optional(session_identity{"iqn.1994-05.com.example:host", 0, port->id, 0, {}});
                          }};
  login_machine machine({}, world);
  const_bytes rest(data, size);
  while (rest.size() >= 2) {
    login_request request;
    request.tsih = size % 3 == 0 ? 7 : 0;  // in place of a session's connection
    request.transit = rest[0] & 0x80;
    request.continues = rest[0] & 0x40;
    request.current_stage = rest[0] >> 2 & 3;
    request.next_stage = rest[0] & 3;
    const std::size_t length = std::min<std::size_t>(rest[1], rest.size() - 2);
    const login_step step = machine.take(request, rest.subspan(2, length));
    rest = rest.subspan(2 + length);
    if (step.data.size() > 8192) __builtin_trap();
    if (step.verdict != login_verdict::more) break;
  }
  return 0;
}

}  // namespace sluice::iscsi
