#include "actors/reactor/files.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace sluice::reactor {
namespace {

/// A number from the device's queue folder in sysfs; a partition's is its disk's. 0 when there is none.
std::uint64_t queue_attribute(dev_t device, const char* name) {
  const std::string base = "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  for (const char* where : {"/queue/", "/../queue/"}) {
    std::FILE* file = std::fopen((base + where + name).c_str(), "re");
    if (!file) continue;
    unsigned long long value = 0;
    const bool found = std::fscanf(file, "%llu", &value) == 1;
    std::fclose(file);
    if (found) return value;
  }
  return 0;
}

result<void> describe_device(handle h, dev_t device, file_info& to) {
  int logical = 0;
  unsigned physical = 0;
  int read_only = 0;
  if (::ioctl(h, BLKGETSIZE64, &to.size_bytes) != 0 || ::ioctl(h, BLKSSZGET, &logical) != 0 ||
      ::ioctl(h, BLKPBSZGET, &physical) != 0 || ::ioctl(h, BLKROGET, &read_only) != 0)
    return fail_errno(errno, "ask a block device for its geometry");
  to.is_block_device = true;
  to.logical_block = static_cast<std::uint32_t>(logical);
  to.physical_block = physical;
  to.read_only = read_only != 0;
  to.discard_granularity = queue_attribute(device, "discard_granularity");
  to.rotational = queue_attribute(device, "rotational") != 0;
  return {};
}

std::uint32_t direct_alignment(handle h) {
#ifdef STATX_DIOALIGN
  struct statx about {};
  if (::statx(h, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) == 0 && (about.stx_mask & STATX_DIOALIGN) &&
      about.stx_dio_offset_align)
    return about.stx_dio_offset_align;
#endif
  (void)h;
  return 512;
}

std::uint64_t end_of(handle h) {
  const off_t end = ::lseek(h, 0, SEEK_END);
  return end < 0 ? 0 : static_cast<std::uint64_t>(end);
}

/// The parts of a transfer from `done` on, as many as fit in one call.
struct remaining_parts {
  std::array<iovec, 64> parts;
  int count = 0;

  remaining_parts(const request& asked, std::uint64_t done) {
    for (unsigned i = 0; i < asked.count && count < static_cast<int>(parts.size()); ++i) {
      const iovec& part = asked.iov()[i];
      if (done >= part.iov_len) {
        done -= part.iov_len;
        continue;
      }
      parts[static_cast<std::size_t>(count++)] = {static_cast<std::uint8_t*>(part.iov_base) + done,
                                                  part.iov_len - done};
      done = 0;
    }
  }
};

std::int64_t transfer(const request& asked) {
  std::uint64_t done = asked.done;
  while (done < asked.length) {
    const auto at = static_cast<off_t>(asked.offset + done);
    // At the end of a file a direct read would not be aligned any more: look before reading on.
    if (asked.what == verb::read && done && static_cast<std::uint64_t>(at) >= end_of(asked.on)) break;
    const remaining_parts left(asked, done);
    const ssize_t moved = asked.what == verb::read ? ::preadv2(asked.on, left.parts.data(), left.count, at, 0)
                                                   : ::pwritev2(asked.on, left.parts.data(), left.count, at,
                                                                asked.what == verb::write_durable ? RWF_DSYNC : 0);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return -errno;
    if (moved == 0) break;
    done += static_cast<std::uint64_t>(moved);
  }
  return static_cast<std::int64_t>(done);
}

std::int64_t allocate(const request& asked) {
  const auto offset = static_cast<off_t>(asked.offset);
  return ::fallocate(asked.on, allocation_flags(asked.what), offset, static_cast<off_t>(asked.length)) == 0 ? 0
                                                                                                            : -errno;
}

std::int64_t find_data(const request& asked) {
  auto* begin = static_cast<std::uint64_t*>(const_cast<void*>(asked.parts));
  auto* end = reinterpret_cast<std::uint64_t*>(asked.length);
  struct stat about;
  if (::fstat(asked.on, &about) != 0) return -errno;
  if (!S_ISREG(about.st_mode)) return -EOPNOTSUPP;
  const off_t data = ::lseek(asked.on, static_cast<off_t>(asked.offset), SEEK_DATA);
  if (data < 0 && errno == ENXIO) {
    *begin = *end = static_cast<std::uint64_t>(about.st_size);
    return 0;
  }
  if (data < 0) return errno == EINVAL ? -EOPNOTSUPP : -errno;
  const off_t hole = ::lseek(asked.on, data, SEEK_HOLE);
  if (hole < 0) return -errno;
  *begin = static_cast<std::uint64_t>(data);
  *end = static_cast<std::uint64_t>(hole);
  return 0;
}

result<void> check_kind(int fd, const std::string& path) {
  struct stat about;
  if (::fstat(fd, &about) == 0 && (S_ISREG(about.st_mode) || S_ISBLK(about.st_mode))) return {};
  return fail(errc::invalid_argument, path + " is neither a regular file nor a block device");
}

/// O_EXCL keeps others off a block device only; for a file, and between gateways, there is a lock of the open file
/// description. It goes with the last descriptor, so that no crash leaves it behind.
result<void> lock(int fd, bool writable, const std::string& path) {
  struct flock whole {};
  whole.l_type = static_cast<short>(writable ? F_WRLCK : F_RDLCK);
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_SETLK, &whole) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) return fail(errc::busy, path + " is held by another program");
  return fail_errno(errno, "lock " + path);
}

}  // namespace

result<handle> file_open(const std::string& path, open_flags flags) {
  int mode = O_CLOEXEC | (flags.writable ? O_RDWR : O_RDONLY);
  if (flags.create) mode |= O_CREAT;
  if (flags.direct) mode |= O_DIRECT;
  if (flags.exclusive) mode |= O_EXCL;
  const int fd = ::open(path.c_str(), mode, 0600);
  if (fd < 0) return fail_errno(errno, "open " + path);
  result<void> usable = check_kind(fd, path);
  if (usable && flags.exclusive) usable = lock(fd, flags.writable, path);
  if (usable) return fd;
  ::close(fd);
  return tl::unexpected(usable.error());
}

result<handle> memory_open(std::uint64_t size_bytes) {
  const int fd = ::memfd_create("sluice", MFD_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "take memory");
  const auto sized = file_resize(fd, size_bytes);
  if (sized) return fd;
  ::close(fd);
  return tl::unexpected(sized.error());
}

result<file_info> file_describe(handle h) {
  struct stat about;
  if (::fstat(h, &about) != 0) return fail_errno(errno, "ask a file for its size");
  file_info to;
  if (S_ISBLK(about.st_mode)) {
    if (auto described = describe_device(h, about.st_rdev, to); !described) return tl::unexpected(described.error());
  } else {
    to.size_bytes = static_cast<std::uint64_t>(about.st_size);
    to.logical_block = direct_alignment(h);
    to.physical_block = std::max(4096u, to.logical_block);
    to.discard_granularity = static_cast<std::uint64_t>(about.st_blksize);
    to.rotational = queue_attribute(about.st_dev, "rotational") != 0;
  }
  if ((::fcntl(h, F_GETFL) & O_ACCMODE) == O_RDONLY) to.read_only = true;
  return to;
}

result<void> file_resize(handle h, std::uint64_t size_bytes) {
  if (size_bytes > static_cast<std::uint64_t>(LLONG_MAX))
    return fail(errc::invalid_argument, "a file size beyond 2^63 octets");
  if (::ftruncate(h, static_cast<off_t>(size_bytes)) != 0) return fail_errno(errno, "resize a file");
  return {};
}

static constexpr std::uint64_t done_mask = (std::uint64_t{1} << 56) - 1;

request request::load(const operation& op) {
  const auto& words = op.scratch.words;
  return {static_cast<verb>(words[3] >> 56),
          static_cast<handle>(static_cast<std::uint32_t>(words[2])),
          static_cast<unsigned>(words[2] >> 32),
          op.scratch.pointer,
          words[0],
          words[1],
          words[3] & done_mask};
}

void request::store(operation& op) const {
  op.scratch.pointer = const_cast<void*>(parts);
  op.scratch.words[0] = offset;
  op.scratch.words[1] = length;
  op.scratch.words[2] = std::uint64_t{count} << 32 | static_cast<std::uint32_t>(on);
  op.scratch.words[3] = std::uint64_t{static_cast<std::uint8_t>(what)} << 56 | (done & done_mask);
}

int allocation_flags(verb what) {
  return (what == verb::punch_hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
}

request transfer_request(verb what, handle h, const iovec* parts, unsigned count, std::uint64_t offset) {
  request asked{what, h, count, parts, offset};
  for (unsigned i = 0; i < count; ++i) asked.length += parts[i].iov_len;
  return asked;
}

std::int64_t perform(const request& asked) noexcept {
  switch (asked.what) {
    case verb::read:
    case verb::write:
    case verb::write_durable:
      return transfer(asked);
    case verb::sync:
      return ::fdatasync(asked.on) == 0 ? 0 : -errno;
    case verb::punch_hole:
    case verb::zero_range:
      return allocate(asked);
    case verb::find_data:
      return find_data(asked);
    default:
      return -EINVAL;
  }
}

result<std::uint64_t> file_read(handle h, bytes to, std::uint64_t offset) {
  const iovec part{to.data(), to.size()};
  const std::int64_t read = perform(transfer_request(verb::read, h, &part, 1, offset));
  if (read < 0) return fail_errno(static_cast<int>(-read), "read a file");
  return static_cast<std::uint64_t>(read);
}

result<void> file_write(handle h, const_bytes from, std::uint64_t offset) {
  const iovec part{const_cast<std::uint8_t*>(from.data()), from.size()};
  const std::int64_t written = perform(transfer_request(verb::write_durable, h, &part, 1, offset));
  if (written < 0) return fail_errno(static_cast<int>(-written), "write a file");
  if (static_cast<std::size_t>(written) != from.size()) return fail(errc::no_space, "write a file: it is full");
  return {};
}

result<void> file_sync(handle h) {
  if (::fdatasync(h) != 0) return fail_errno(errno, "make a file durable");
  return {};
}

namespace {

tl::unexpected<error> note_failed(const std::string& what) {
  if (errno == ENOTSUP || errno == EPERM) return fail(errc::unsupported, what + ": no extended attributes here");
  return fail_errno(errno, what);
}

}  // namespace

result<std::string> file_attribute(handle h, const std::string& name) {
  std::array<char, 1024> text;
  const ssize_t length = ::fgetxattr(h, ("user." + name).c_str(), text.data(), text.size());
  if (length >= 0) return std::string(text.data(), static_cast<std::size_t>(length));
  if (errno == ENODATA) return std::string();
  return note_failed("read an attribute of a file");
}

result<void> file_set_attribute(handle h, const std::string& name, const std::string& text) {
  const std::string attribute = "user." + name;
  if (::fsetxattr(h, attribute.c_str(), text.data(), text.size(), 0) != 0)
    return note_failed("set an attribute of a file");
  if (::fsync(h) != 0) return fail_errno(errno, "make an attribute of a file durable");
  return {};
}

}  // namespace sluice::reactor
