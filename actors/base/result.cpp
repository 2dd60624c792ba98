#include "actors/base/result.hpp"

#include <cstring>

namespace sluice {

static errc code_of(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return errc::not_found;
    case EEXIST:
    case EADDRINUSE:
      return errc::already_exists;
    case EBUSY:
    case EAGAIN:
      return errc::busy;
    case EACCES:
    case EPERM:
    case EROFS:
      return errc::permission;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return errc::no_space;
    case ETIMEDOUT:
      return errc::timeout;
    case EOPNOTSUPP:
    case ENOSYS:
      return errc::unsupported;
    case EINVAL:
    case EADDRNOTAVAIL:
      return errc::invalid_argument;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
      return errc::closed;
    default:
      return errc::io;
  }
}

tl::unexpected<error> fail_errno(int error_number, const std::string& what) {
  return fail(code_of(error_number), what + ": " + std::strerror(error_number));
}

const char* to_string(errc code) {
  switch (code) {
    case errc::invalid_argument:
      return "invalid argument";
    case errc::not_found:
      return "not found";
    case errc::already_exists:
      return "already exists";
    case errc::busy:
      return "busy";
    case errc::permission:
      return "permission denied";
    case errc::no_space:
      return "no space";
    case errc::io:
      return "input/output error";
    case errc::timeout:
      return "timed out";
    case errc::unsupported:
      return "not supported";
    case errc::corrupt:
      return "corrupt";
    case errc::closed:
      return "closed";
  }
  return "unknown";
}

}  // namespace sluice
