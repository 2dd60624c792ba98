#pragma once
#include <cerrno>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace sluice {

/// Why an operation failed. A new code exists only when some caller reacts differently to it.
enum class errc : std::uint8_t {
  invalid_argument,  // the caller's input is wrong; the message says how
  not_found,         // the named thing does not exist
  already_exists,    // the name is taken
  busy,              // held by somebody else, try later
  permission,        // refused by the system or by access control
  no_space,          // the medium or a limit is exhausted
  io,                // the medium failed
  timeout,           // a deadline passed
  unsupported,       // cannot be done here, now or ever
  corrupt,           // stored state does not check out
  closed,            // the peer or the object is gone
};

/// A failure with a sentence for the operator. Cheap to move; never thrown on the data path.
struct error {
  errc code;
  std::string message;
};

template <class T = void>
using result = tl::expected<T, error>;

inline tl::unexpected<error> fail(errc code, std::string message) {
  return tl::unexpected<error>(error{code, std::move(message)});
}

/// Maps an errno value; `what` is what was being done, e.g. "open /srv/a.raw".
tl::unexpected<error> fail_errno(int error_number, const std::string& what);

const char* to_string(errc code);

}  // namespace sluice
