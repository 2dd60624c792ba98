#include "gateway/state/state_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "actors/wire/big_endian.hpp"
#include "actors/wire/crc.hpp"

namespace sluice::state {

namespace {

// magic 8, number 8, CRC32C of both 4
constexpr std::uint64_t marker_magic = 0x736c75696365'4c43;  // sluiceLC
constexpr std::size_t marked_bytes = 16, marker_bytes = 20;

/// The process that holds RocksDB's own lock, which gateways before this one took alone; 0: none.
pid_t holder_of(const std::string& lock_path) {
  const int fd = ::open(lock_path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  struct flock held {};
  held.l_type = F_WRLCK;
  held.l_whence = SEEK_SET;
  const bool asked = ::fcntl(fd, F_GETLK, &held) == 0;
  ::close(fd);
  return asked && held.l_type != F_UNLCK ? held.l_pid : 0;
}

}  // namespace

result<state_directory> state_directory::take(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno(errno, "make the state directory " + path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "open the state directory " + path);
  state_directory taken(path, fd);
  const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno != EWOULDBLOCK) return fail_errno(errno, "lock the state directory " + path);
  const pid_t holder = holder_of(path + "/LOCK");
  if (locked && holder == 0) return taken;
  const std::string who = holder > 0 ? " (process " + std::to_string(holder) + ")" : "";
  return fail(errc::busy, "the state directory " + path + " is used by another gateway" + who +
                              ": stop that one, or give this one a gateway.state_dir of its own");
}

state_directory::state_directory(state_directory&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), note_(std::exchange(other.note_, -1)) {}

state_directory::~state_directory() {
  if (note_ >= 0) ::close(note_);
  if (fd_ >= 0) ::close(fd_);
}

result<std::optional<std::uint64_t>> state_directory::last_change() const {
  const int fd = ::open(marker_path().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return std::nullopt;
  if (fd < 0) return fail_errno(errno, "open " + marker_path());
  std::uint8_t note[marker_bytes];
  const ssize_t got = ::pread(fd, note, sizeof note, 0);
  const int failure = errno;
  ::close(fd);
  if (got < 0) return fail_errno(failure, "read " + marker_path());
  if (got == 0) return std::nullopt;  // made, and the power was lost
  if (got != marker_bytes || wire::load64(note, 0) != marker_magic ||
      wire::load32(note, marked_bytes) != wire::crc32c(const_bytes(note, marked_bytes)))
    return fail(errc::corrupt, marker_path() + " is damaged");
  return wire::load64(note, 8);
}

result<void> state_directory::note_change(std::uint64_t number) {
  if (note_ < 0) note_ = ::open(marker_path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (note_ < 0) return fail_errno(errno, "make " + marker_path());
  std::uint8_t note[marker_bytes];
  wire::store64(note, 0, marker_magic);
  wire::store64(note, 8, number);
  wire::store32(note, marked_bytes, wire::crc32c(const_bytes(note, marked_bytes)));
  const ssize_t put = ::pwrite(note_, note, sizeof note, 0);
  if (put != marker_bytes) return fail_errno(put < 0 ? errno : ENOSPC, "write " + marker_path());
  if (::fdatasync(note_) != 0) return fail_errno(errno, "write " + marker_path());
  return {};
}

}  // namespace sluice::state
