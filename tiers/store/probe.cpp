#include "tiers/store/probe.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "tiers/store/ownership_text.hpp"

namespace sluice::store {
namespace {

class descriptor_to_look_at {
 public:
  descriptor_to_look_at(const std::string& path, int mode) : fd_(::open(path.c_str(), mode | O_CLOEXEC | O_NONBLOCK)) {}
  descriptor_to_look_at(const descriptor_to_look_at&) = delete;
  descriptor_to_look_at& operator=(const descriptor_to_look_at&) = delete;
  ~descriptor_to_look_at() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

result<void> could_make(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  struct stat about;
  if (::stat(folder.c_str(), &about) != 0) return fail_errno(errno, "make " + path + " in the folder " + folder);
  if (!S_ISDIR(about.st_mode)) return fail_errno(ENOTDIR, "make " + path + " in " + folder);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return fail_errno(errno, "make " + path + " in the folder " + folder);
  return {};
}

/// The lock that every gateway takes; looking does not take it.
result<void> is_free(int fd, bool writable, const std::string& path) {
  struct flock whole {};
  whole.l_type = static_cast<short>(writable ? F_WRLCK : F_RDLCK);
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_GETLK, &whole) != 0 || whole.l_type == F_UNLCK) return {};
  return fail(errc::busy, path + " is in use: another gateway or program holds it");
}

}  // namespace

result<void> probe_file(const file_wish& wanted) {
  struct stat about;
  if (::stat(wanted.path.c_str(), &about) != 0) {
    if (errno == ENOENT && wanted.made_when_absent) return could_make(wanted.path);
    return fail_errno(errno, "open " + wanted.path);
  }
  if (!S_ISREG(about.st_mode) && !S_ISBLK(about.st_mode))
    return fail(errc::invalid_argument, wanted.path + " is neither a regular file nor a block device");
  const int direct = wanted.direct ? O_DIRECT : 0;
  const descriptor_to_look_at opened(wanted.path, (wanted.writable ? O_RDWR : O_RDONLY) | direct);
  if (opened.get() < 0) return fail_errno(errno, "open " + wanted.path);
  if (wanted.alone) return is_free(opened.get(), wanted.writable, wanted.path);
  return {};
}

result<ownership> probe_file_ownership(const std::string& path) {
  char text[4096];
  const ssize_t got = ::getxattr(path.c_str(), "user.sluice", text, sizeof text);
  if (got >= 0) return ownership_of({text, static_cast<std::size_t>(got)}, "the attribute user.sluice of the file");
  if (errno == ENODATA || errno == ENOENT) return ownership{};
  if (errno == ENOTSUP) return fail(errc::unsupported, path + " keeps no marks");
  return fail_errno(errno, "read an attribute of " + path);
}

result<void> probe_device(const std::string& path, bool writable) {
  struct stat about;
  if (::stat(path.c_str(), &about) != 0) return fail_errno(errno, "open " + path);
  if (!S_ISBLK(about.st_mode))
    return fail(errc::invalid_argument, path + " is no block device; use a store of type \"file\"");
  const descriptor_to_look_at opened(path, (writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_EXCL);
  if (opened.get() < 0 && errno == EBUSY)
    return fail(errc::busy, path + " is in use: mounted, part of a volume or array, or held by another program");
  if (opened.get() < 0) return fail_errno(errno, "open " + path);
  return is_free(opened.get(), writable, path);
}

}  // namespace sluice::store
