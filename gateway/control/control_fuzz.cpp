#include "actors/base/bytes.hpp"
#include "gateway/control/protocol.hpp"

/// Any line is answered by one line.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sluice::control::answer;
  const auto echo = [](const std::string& command, const nlohmann::json& arguments) -> sluice::result<nlohmann::json> {
    return nlohmann::json{{command, arguments}};
  };
  const std::string line = sluice::control::format_answer(answer(echo, sluice::as_text({data, size})));
  if (line.find('\n') != std::string::npos || line.front() != '{') __builtin_trap();
  return 0;
}
