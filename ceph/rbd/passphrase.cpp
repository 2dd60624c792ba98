#include "ceph/rbd/passphrase.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace sluice::rbd {

result<std::string> read_passphrase(const std::string& path) {
  constexpr std::size_t longest = 4096;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail_errno(errno, "passphrase_file: open " + path);
  struct stat about {};
  std::array<char, longest + 1> octets{};
  std::size_t length = 0;
  ssize_t got = ::fstat(file, &about) == 0 ? 1 : -1;
  while (got > 0 && length < octets.size()) {
    got = ::read(file, octets.data() + length, octets.size() - length);
    if (got > 0) length += static_cast<std::size_t>(got);
  }
  const int why = errno;
  ::close(file);
  if (got < 0) return fail_errno(why, "passphrase_file: read " + path);
  if ((about.st_mode & 077) != 0)
    return fail(errc::permission, "passphrase_file: " + path + " can be used by others than its owner; chmod 600 it");
  if (length == 0 || length > longest)
    return fail(errc::invalid_argument, "passphrase_file: " + path + " must hold 1 to 4096 octets");
  std::string passphrase(octets.data(), length);
  octets.fill(0);
  return passphrase;
}

}  // namespace sluice::rbd
