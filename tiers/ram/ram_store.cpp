#include "tiers/ram/ram_store.hpp"

#include "tiers/ram/ram_channel.hpp"

namespace sluice::ram {

result<std::shared_ptr<ram_store>> ram_store::make(std::uint64_t size_bytes, bool huge_pages) {
  if (size_bytes == 0 || size_bytes % 512 != 0) {
    return fail(errc::invalid_argument, "size: must be a multiple of 512 octets, and not 0");
  }
  auto memory = arena::make(size_bytes, huge_pages);
  if (!memory) return tl::unexpected(memory.error());
  return std::make_shared<ram_store>(std::move(*memory));
}

store::properties ram_store::describe() const {
  sluice::store::properties p;
  p.size_bytes = memory_->size();
  p.physical_block = p.logical_block;  // memory has no larger block that it would read, modify and write
  p.volatile_cache = false;
  p.keeps_data = false;
  p.discards = true;
  p.discard_granularity = arena::page;
  p.maps = true;
  return p;
}

std::unique_ptr<sluice::store::channel> ram_store::attach(reactor::loop& loop) {
  return std::make_unique<ram_channel>(*memory_, &loop);
}

result<void> ram_store::resize(std::uint64_t size_bytes) {
  if (auto done = memory_->resize(size_bytes); !done) return done;
  listeners_.tell();
  return {};
}

}  // namespace sluice::ram
