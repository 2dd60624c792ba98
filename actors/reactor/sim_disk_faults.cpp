#include <algorithm>

#include "actors/reactor/sim_disk.hpp"
#include "actors/reactor/sim_loop.hpp"

// What goes wrong with files, and with the machines that have them open.
namespace sluice::reactor {

void sim_disk::make_device(const std::string& path, std::uint64_t size_bytes) {
  const auto found = files_.find(path);
  file& of = found == files_.end() ? *make(path) : *found->second;
  of.is_device = true;
  resize_file(of, size_bytes);
}

/// Where a read really begins.
std::uint64_t sim_disk::misdirect(const file& from, std::uint64_t offset, std::uint64_t size) {
  if (from.size < size || !world_.chance(from.faults->misdirected_read)) return offset;
  return world_.below((from.size - size) / page_size + 1) * page_size;
}

/// Writes whole sectors from the front, not all; how many octets that is.
std::int64_t sim_disk::write_front(const writing& what) {
  std::uint64_t left = world_.below(what.from.size() / sector_size) * sector_size;
  const auto size = static_cast<std::int64_t>(left);
  std::vector<iovec> parts;
  for (unsigned i = 0; i < what.from.count && left != 0; ++i) {
    parts.push_back({what.from.parts[i].iov_base, std::min<std::uint64_t>(left, what.from.parts[i].iov_len)});
    left -= parts.back().iov_len;
  }
  writing front = what;
  front.from = {parts.data(), static_cast<unsigned>(parts.size())};
  write_some(front, true);
  return size;
}

/// What was written up to a version stays in the cache, clean: half of the sectors lose what is not durable.
void sim_disk::forget_some(file& of, std::uint64_t until) {
  for (auto& [number, all] : of.volatile_ones)
    if (world_.chance(0.5)) std::erase_if(all, [until](const version& each) { return each.number <= until; });
  std::erase_if(of.volatile_ones, [](const auto& entry) { return entry.second.empty(); });
}

void sim_disk::medium_error(const std::string& path, std::uint64_t offset, std::uint64_t length) {
  const auto found = files_.find(path);
  if (found == files_.end()) return;
  for (std::uint64_t number = offset / sector_size; number * sector_size < offset + length; ++number)
    found->second->bad.insert(number);
}

void sim_disk::crash_file(file& of) {
  while (!of.volatile_ones.empty()) {
    const std::uint64_t number = of.volatile_ones.begin()->first;
    settle(of, number, world_.below(of.volatile_ones.begin()->second.size() + 1));
    of.volatile_ones.erase(number);
  }
  of.current.clear();
  for (const auto& [number, content] : of.durable) put(of, number * sector_size, content.data(), sector_size);
}

void sim_disk::kill(std::uint64_t loop) {
  // What was under way may have reached the cache, and nothing more.
  for (auto& [request, each] : writes_) {
    if (each.loop != loop) continue;
    each.durable = false;
    write_some(each, world_.chance(0.5));
  }
  release(loop);
}

void sim_disk::crash(std::uint64_t loop) {
  // What was under way may have reached the cache, or the medium, in part.
  for (auto& [request, each] : writes_)
    if (each.loop == loop) write_some(each, false);
  release(loop);
  for (const auto& [path, of] : files_)
    if (of->loop == loop) crash_file(*of);
}

void sim_disk::detach(std::uint64_t loop, bool loses_power) {
  static const sim_file_faults healthy;
  std::map<handle, opened> kept;
  std::map<const file*, std::shared_ptr<file>> copies;
  for (const auto& [h, each] : handles_) {
    if (each.loop != loop) continue;
    std::shared_ptr<file>& copy = copies[each.of.get()];
    if (!copy) {
      copy = std::make_shared<file>();
      copy->size = each.of->size;
      copy->current = each.of->current;
      copy->attributes = each.of->attributes;
      copy->is_device = each.of->is_device;
      copy->faults = &healthy;
    }
    kept.emplace(h, opened{copy, each.flags, loop});
  }
  loses_power ? crash(loop) : kill(loop);
  handles_.merge(kept);
}

void sim_disk::release(std::uint64_t loop) {
  std::erase_if(writes_, [loop](const auto& entry) { return entry.second.loop == loop; });
  std::erase_if(handles_, [loop](const auto& entry) { return entry.second.loop == loop; });
}

}  // namespace sluice::reactor
