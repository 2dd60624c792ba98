#include "tiers/store/descriptor_store.hpp"

#include "tiers/store/descriptor_channel.hpp"

namespace sluice::store {
namespace {

constexpr std::uint64_t smallest_block = 512;

}  // namespace

config::key deadline_key() {
  return {"deadline", config::kind::duration, false, "how long a command waits for the medium", {},
          ns_per_s,   600 * ns_per_s,         "30 s"};
}

properties descriptor_store::describe() const {
  const reactor::file_info& info = medium_->info;
  properties p;
  p.size_bytes = medium_->size() / smallest_block * smallest_block;
  // The page cache takes any 512 octets; without it, the medium's own block is the least.
  p.logical_block = medium_->direct ? info.logical_block : smallest_block;
  p.physical_block = info.physical_block;
  p.read_only = read_only_ || info.read_only;
  p.discards = medium_->punches.load();
  p.discard_granularity = info.is_block_device ? static_cast<std::uint32_t>(info.discard_granularity) : 4096;
  p.maps = medium_->maps.load();
  p.rotational = info.rotational;
  p.losses = medium_->condition->losses();
  p.deadline_ns = deadline_ns_;
  return p;
}

void descriptor_store::watch(const std::string& path) {
  watch_ =
      watch_path(path, [condition = medium_->condition](const path_finding& found) { condition->looked_at(found); });
}

std::unique_ptr<channel> descriptor_store::attach(reactor::loop& loop) {
  return std::make_unique<descriptor_channel>(*medium_, loop);
}

result<void> descriptor_store::resize(std::uint64_t size_bytes) {
  if (medium_->info.is_block_device) return fail(errc::unsupported, "a block device has a size of its own");
  if (read_only_) return fail(errc::permission, "this store is read-only");
  if (auto done = medium_->resize(size_bytes); !done) return done;
  medium_->condition->listeners.tell();
  return {};
}

void descriptor_store::look_again() {
  if (medium_->look_again()) medium_->condition->listeners.tell();
}

}  // namespace sluice::store
