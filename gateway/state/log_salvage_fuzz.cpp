#include "gateway/state/log_salvage.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view log(reinterpret_cast<const char*>(data), size);
  std::size_t held = 0;
  for (const std::string& batch : sluice::state::salvage_log(log).batches) held += batch.size();
  if (held > size) __builtin_trap();
  return 0;
}
