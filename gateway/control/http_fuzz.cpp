#include "actors/base/bytes.hpp"
#include "gateway/control/http.hpp"

/// Whatever a client sends is answered by one HTTP response whose length is true.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto status = [](const std::string&, const nlohmann::json&) -> sluice::result<nlohmann::json> {
    return nlohmann::json{{"stores", {{{"name", "a\"\n\\"}, {"health", "good"}, {"figures", {{"x", 1}}}}}},
                          {"units", nlohmann::json::array()}};
  };
  const std::string answer = sluice::control::http_answer(sluice::as_text({data, size}), "127.0.0.1", status);
  const std::size_t body = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 ") || body == std::string::npos) __builtin_trap();
  const std::size_t length = std::stoul(answer.substr(answer.find("Content-Length: ") + 16));
  if (answer.size() != body + 4 + length && answer.size() != body + 4) __builtin_trap();
  return 0;
}
