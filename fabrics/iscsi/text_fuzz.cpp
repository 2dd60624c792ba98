#include "fabrics/iscsi/negotiation.hpp"
#include "fabrics/iscsi/text_exchange.hpp"

namespace sluice::iscsi {

// Text of any shape, to the parsers and to a full feature negotiation in several PDUs.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const const_bytes input(data, size);
  parse_binary(as_text(input), 1024);
  parse_number(as_text(input));
  negotiator keys{offer{}};
  keys.parameters.discovery = size % 2 == 0;
  text_exchange exchange(
      keys, [](const std::string& name) { return std::make_shared<const std::string>("TargetName=" + name + '\0'); });
  text_request request;
  request.final = false;
  for (std::size_t at = 0; at < size; at += 16) {
    const std::size_t part = size - at < 16 ? size - at : 16;
    request.continues = at + part < size;
    request.final = !request.continues;
    const text_exchange::step step = exchange.take(request, input.subspan(at, part), 512);
    if (step.rejected) break;
    if (step.data.size() > 512) __builtin_trap();
    request.target_transfer_tag = step.response.target_transfer_tag;
  }
  return 0;
}

}  // namespace sluice::iscsi
