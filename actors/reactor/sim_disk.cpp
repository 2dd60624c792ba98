#include "actors/reactor/sim_disk.hpp"

#include <algorithm>

#include "actors/reactor/sim_loop.hpp"

namespace sluice::reactor {

std::uint64_t sim_disk::gather::size() const {
  std::uint64_t total = 0;
  for (unsigned i = 0; i < count; ++i) total += parts[i].iov_len;
  return total;
}

const sim_disk::opened* sim_disk::find(handle h) const {
  const auto found = handles_.find(h);
  return found == handles_.end() ? nullptr : &found->second;
}

result<handle> sim_disk::open(const sim_loop& on, const std::string& path, open_flags flags) {
  auto found = files_.find(path);
  if (found != files_.end() && found->second->faults->gone) return fail_errno(ENODEV, "open " + path);
  if (found == files_.end() && !flags.create) return fail_errno(ENOENT, "open " + path);
  if (found != files_.end() && flags.create && flags.exclusive) return fail_errno(EEXIST, "open " + path);
  const bool held =
      found != files_.end() && flags.exclusive && std::any_of(handles_.begin(), handles_.end(), [&](const auto& entry) {
        const opened& other = entry.second;
        return other.of == found->second && other.flags.exclusive && (other.flags.writable || flags.writable);
      });
  if (held) return fail(errc::busy, path + " is held by another program");
  const std::shared_ptr<file> of = found == files_.end() ? make(path) : found->second;
  const handle h = world_.new_handle();
  of->loop = on.number();
  handles_.emplace(h, opened{of, flags, on.number()});
  return h;
}

result<handle> sim_disk::open_memory(const sim_loop& on, std::uint64_t size_bytes) {
  const handle h = world_.new_handle();
  auto made = std::make_shared<file>();
  made->faults = &faults_["memory"];
  made->size = size_bytes;
  made->loop = on.number();
  handles_.emplace(h, opened{std::move(made), {}, on.number()});
  return h;
}

std::shared_ptr<sim_disk::file> sim_disk::make(const std::string& path) {
  auto made = std::make_shared<file>();
  made->faults = &faults_[path];
  files_.insert_or_assign(path, made);
  return made;
}

result<file_info> sim_disk::info(handle h) {
  const opened* at = find(h);
  if (!at) return fail(errc::closed, "no such file");
  if (at->of->faults->gone) return fail_errno(ENODEV, "look at a file");
  file_info about;
  about.size_bytes = at->of->size;
  about.is_block_device = at->of->is_device;
  about.discard_granularity = page_size;
  about.read_only = !at->flags.writable;
  return about;
}

result<void> sim_disk::resize(handle h, std::uint64_t size_bytes) {
  const opened* at = find(h);
  if (!at) return fail(errc::closed, "no such file");
  if (!at->flags.writable) return fail_errno(EBADF, "resize a file");
  if (at->of->faults->gone) return fail_errno(ENODEV, "resize a file");
  if (at->of->is_device) return fail_errno(EINVAL, "resize a file");
  resize_file(*at->of, size_bytes);
  return {};
}

void sim_disk::resize_file(file& of, std::uint64_t size_bytes) {
  if (size_bytes < of.size) {  // what is cut off reads as zeroes when the file grows again
    const std::uint64_t kept = (size_bytes + sector_size - 1) / sector_size;
    const std::uint64_t tail = std::min(kept * sector_size, (size_bytes / page_size + 1) * page_size) - size_bytes;
    if (of.current.contains(size_bytes / page_size)) {
      const std::vector<std::uint8_t> zeroes(page_size - size_bytes % page_size);
      put(of, size_bytes, zeroes.data(), zeroes.size());
    }
    if (tail) wrote(of, size_bytes, tail, true);
    of.current.erase(of.current.lower_bound((size_bytes + page_size - 1) / page_size), of.current.end());
    of.durable.erase(of.durable.lower_bound(kept), of.durable.end());
    of.volatile_ones.erase(of.volatile_ones.lower_bound(kept), of.volatile_ones.end());
  }
  of.size = size_bytes;
}

bool sim_disk::misaligned(const opened& at, const gather& parts, std::uint64_t offset) {
  if (!at.flags.direct) return false;
  std::uint64_t all = offset;
  for (unsigned i = 0; i < parts.count; ++i)
    all |= parts.parts[i].iov_len | reinterpret_cast<std::uint64_t>(parts.parts[i].iov_base);
  return all % sector_size != 0;
}

void sim_disk::later(std::uint64_t request, std::function<std::int64_t()> what) {
  world_.after(world_.draw(world_.options().disk_latency_ns), [this, request, what = std::move(what)] {
    if (world_.pending(request)) world_.finish_request(request, what());
  });
}

void sim_disk::later(std::uint64_t request, std::shared_ptr<file> of, std::function<std::int64_t()> what) {
  later(request, [of = std::move(of), what = std::move(what)] { return of->faults->gone ? -ENODEV : what(); });
}

void sim_disk::read(std::uint64_t request, handle h, gather to, std::uint64_t offset) {
  const opened* at = find(h);
  if (!at) return world_.finish_request(request, -EBADF);
  if (misaligned(*at, to, offset)) return world_.finish_request(request, -EINVAL);
  if (!world_.chance(world_.options().early_read))
    return later(request, at->of, [this, of = at->of, to, offset] { return read_now(*of, to, offset); });
  world_.after(world_.draw(world_.options().disk_latency_ns), [this, request, of = at->of, to, offset] {
    if (!world_.pending(request)) return;
    later(request, of, [result = read_now(*of, to, offset)] { return result; });
  });
}

std::int64_t sim_disk::read_now(file& from, const gather& to, std::uint64_t offset) {
  if (world_.chance(world_.options().read_error)) return -EIO;
  offset = misdirect(from, offset, to.size());
  if (offset >= from.size) return 0;
  std::uint64_t end = std::min(from.size, offset + to.size());
  if (world_.chance(from.faults->short_read)) end = offset + world_.below(end - offset);
  const auto bad = from.bad.lower_bound(offset / sector_size);
  if (bad != from.bad.end() && *bad * sector_size < end) return -EIO;
  std::uint64_t at = offset;
  for (unsigned i = 0; i < to.count && at < end; ++i) {
    auto* into = static_cast<std::uint8_t*>(to.parts[i].iov_base);
    const std::uint64_t part_end = std::min(end, at + to.parts[i].iov_len);
    while (at < part_end) {
      const std::uint64_t size = std::min(part_end - at, page_size - at % page_size);
      const auto found = from.current.find(at / page_size);
      if (found == from.current.end())
        std::fill_n(into, size, 0);
      else
        std::copy_n(found->second.begin() + static_cast<std::ptrdiff_t>(at % page_size), size, into);
      into += size;
      at += size;
    }
  }
  return static_cast<std::int64_t>(end - offset);
}

sim_disk::sector sim_disk::load(const file& from, std::uint64_t number) {
  sector content{};
  const auto found = from.current.find(number * sector_size / page_size);
  if (found != from.current.end())
    std::copy_n(found->second.begin() + static_cast<std::ptrdiff_t>(number * sector_size % page_size), sector_size,
                content.begin());
  return content;
}

void sim_disk::put(file& to, std::uint64_t offset, const std::uint8_t* from, std::uint64_t size) {
  while (size) {
    const std::uint64_t now = std::min(size, page_size - offset % page_size);
    page& into = to.current[offset / page_size];
    std::copy_n(from, now, into.begin() + static_cast<std::ptrdiff_t>(offset % page_size));
    from += now;
    offset += now;
    size -= now;
  }
}

/// Makes the first `versions` of a sector history: the medium holds the last of them.
void sim_disk::settle(file& of, std::uint64_t number, std::size_t versions) {
  if (versions == 0) return;
  std::vector<version>& all = of.volatile_ones.at(number);
  of.durable[number] = all[versions - 1].content;
  all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(versions));
  if (all.empty()) of.volatile_ones.erase(number);
}

/// The range of `to.current` was just written.
void sim_disk::wrote(file& to, std::uint64_t offset, std::uint64_t size, bool durable) {
  ++to.last_version;
  for (std::uint64_t number = offset / sector_size; number * sector_size < offset + size; ++number) {
    to.bad.erase(number);
    std::vector<version>& all = to.volatile_ones[number];
    all.push_back({to.last_version, load(to, number)});
    if (durable)
      settle(to, number, all.size());
    else if (all.size() > version_limit)
      settle(to, number, 1);
  }
  to.size = std::max(to.size, offset + size);
}

/// Writes all of it, or any selection of its sectors.
void sim_disk::write_some(const writing& what, bool whole) {
  std::vector<std::uint8_t> octets;
  for (unsigned i = 0; i < what.from.count; ++i) {
    const auto* from = static_cast<const std::uint8_t*>(what.from.parts[i].iov_base);
    octets.insert(octets.end(), from, from + what.from.parts[i].iov_len);
  }
  if (octets.empty()) return;
  if (whole) {
    put(*what.to, what.offset, octets.data(), octets.size());
    return wrote(*what.to, what.offset, octets.size(), what.durable);
  }
  for (std::uint64_t at = 0; at < octets.size();) {
    const std::uint64_t offset = what.offset + at;
    const std::uint64_t size = std::min(octets.size() - at, sector_size - offset % sector_size);
    if (world_.chance(0.5)) {
      put(*what.to, offset, octets.data() + at, size);
      wrote(*what.to, offset, size, false);
    }
    at += size;
  }
}

void sim_disk::write(std::uint64_t request, handle h, gather from, std::uint64_t offset, bool durable) {
  const opened* at = find(h);
  if (!at || !at->flags.writable) return world_.finish_request(request, -EBADF);
  if (misaligned(*at, from, offset)) return world_.finish_request(request, -EINVAL);
  if (at->of->is_device && offset + from.size() > at->of->size) return world_.finish_request(request, -ENOSPC);
  if (at->of->faults->gone) return later(request, [] { return -ENODEV; });
  writes_.emplace(request, writing{at->of, from, offset, at->loop, durable});
  later(request, [this, request]() -> std::int64_t {
    const writing what = writes_.extract(request).mapped();
    return write_now(what);
  });
}

std::int64_t sim_disk::write_now(const writing& what) {
  if (world_.chance(what.to->faults->short_write)) return write_front(what);
  const bool all_fail = what.to->faults->fails_writes || what.to->faults->gone;
  const bool fails = all_fail || world_.chance(world_.options().write_error);
  // What is said to have failed by chance may be there all the same.
  write_some(what, !fails || (!all_fail && world_.chance(0.25)));
  if (fails) return what.to->faults->gone ? -ENODEV : -EIO;
  return static_cast<std::int64_t>(what.from.size());
}

void sim_disk::sync(std::uint64_t request, handle h) {
  const opened* at = find(h);
  if (!at) return world_.finish_request(request, -EBADF);
  later(request, at->of, [this, of = at->of, until = at->of->last_version]() -> std::int64_t {
    const bool fails = world_.chance(of->faults->failed_sync);
    if (fails) forget_some(*of, until);
    sync_until(*of, until);
    if (fails) return -EIO;
    return 0;
  });
}

/// Makes all that was written up to a version durable.
void sim_disk::sync_until(file& of, std::uint64_t until) {
  std::vector<std::pair<std::uint64_t, std::size_t>> settled;
  for (const auto& [number, all] : of.volatile_ones) {
    const auto after =
        std::find_if(all.begin(), all.end(), [until](const version& each) { return each.number > until; });
    settled.emplace_back(number, static_cast<std::size_t>(after - all.begin()));
  }
  for (const auto& [number, versions] : settled) settle(of, number, versions);
}

result<std::uint64_t> sim_disk::read_at_once(handle h, bytes to, std::uint64_t offset) {
  const opened* at = find(h);
  if (!at) return fail(errc::closed, "no such file");
  if (at->of->faults->gone) return fail_errno(ENODEV, "read a file");
  const iovec part{to.data(), to.size()};
  if (misaligned(*at, {&part, 1}, offset)) return fail_errno(EINVAL, "read a file");
  const std::int64_t read = read_now(*at->of, {&part, 1}, offset);
  if (read < 0) return fail_errno(static_cast<int>(-read), "read a file");
  return static_cast<std::uint64_t>(read);
}

result<void> sim_disk::write_at_once(handle h, const_bytes from, std::uint64_t offset) {
  const opened* at = find(h);
  if (!at || !at->flags.writable) return fail_errno(EBADF, "write a file");
  const iovec part{const_cast<std::uint8_t*>(from.data()), from.size()};
  if (misaligned(*at, {&part, 1}, offset)) return fail_errno(EINVAL, "write a file");
  if (at->of->faults->gone) return fail_errno(ENODEV, "write a file");
  const bool fails = at->of->faults->fails_writes || world_.chance(world_.options().write_error);
  write_some({at->of, {&part, 1}, offset, at->loop, true}, !fails);
  if (fails) return fail_errno(EIO, "write a file");
  return {};
}

result<void> sim_disk::sync_at_once(handle h) {
  const opened* at = find(h);
  if (!at) return fail(errc::closed, "no such file");
  if (at->of->faults->gone) return fail_errno(ENODEV, "sync a file");
  sync_until(*at->of, at->of->last_version);
  return {};
}

result<std::string> sim_disk::attribute_of(handle h, const std::string& name) {
  const opened* at = find(h);
  if (!at) return fail(errc::closed, "no such file");
  if (at->of->faults->gone) return fail_errno(ENODEV, "read an attribute of a file");
  if (at->of->is_device) return fail(errc::unsupported, "a device has no attributes");
  const auto found = at->of->attributes.find(name);
  return found == at->of->attributes.end() ? std::string() : found->second;
}

result<void> sim_disk::set_attribute(handle h, const std::string& name, const std::string& text) {
  const opened* at = find(h);
  if (!at || !at->flags.writable) return fail_errno(EBADF, "set an attribute of a file");
  if (at->of->faults->gone) return fail_errno(ENODEV, "set an attribute of a file");
  if (at->of->is_device) return fail(errc::unsupported, "a device has no attributes");
  at->of->attributes[name] = text;
  return {};
}

void sim_disk::zero(std::uint64_t request, handle h, std::uint64_t offset, std::uint64_t length) {
  const opened* at = find(h);
  if (!at || !at->flags.writable) return world_.finish_request(request, -EBADF);
  if (length == 0 || offset + length < offset) return world_.finish_request(request, -EINVAL);
  later(request, at->of, [of = at->of, offset, length]() -> std::int64_t {
    const std::uint64_t end = std::min(of->size, offset + length);
    if (offset >= end) return 0;
    static constexpr page zeroes{};
    ++of->last_version;
    for (std::uint64_t from = offset; from < end;) {
      const std::uint64_t size = std::min(end - from, page_size - from % page_size);
      if (const auto found = of->current.find(from / page_size); found != of->current.end()) {
        put(*of, from, zeroes.data(), size);
        for (std::uint64_t number = from / sector_size; number * sector_size < from + size; ++number) {
          of->bad.erase(number);
          of->volatile_ones[number].push_back({of->last_version, load(*of, number)});
        }
        if (size == page_size) of->current.erase(found);
      } else {
        // A hole already; but where a sync that failed has lost that, the medium holds what was there before.
        for (std::uint64_t number = from / sector_size; number * sector_size < from + size; ++number) {
          const auto kept = of->durable.find(number);
          if (kept != of->durable.end() && kept->second != sector{} && !of->volatile_ones.contains(number))
            of->volatile_ones[number].push_back({of->last_version, sector{}});
        }
      }
      from += size;
    }
    return 0;
  });
}

void sim_disk::find_data(std::uint64_t request, handle h, std::uint64_t offset, std::uint64_t* begin,
                         std::uint64_t* end) {
  const opened* at = find(h);
  if (!at) return world_.finish_request(request, -EBADF);
  later(request, at->of, [of = at->of, offset, begin, end]() -> std::int64_t {
    auto found = of->current.lower_bound(offset / page_size);
    *begin = *end = of->size;
    if (found == of->current.end() || found->first * page_size >= of->size) return 0;
    *begin = std::max(offset, found->first * page_size);
    std::uint64_t next = found->first;
    while (found != of->current.end() && found->first == next) {
      ++found;
      ++next;
    }
    *end = std::min(of->size, next * page_size);
    return 0;
  });
}

}  // namespace sluice::reactor
