#pragma once
#include <climits>

#include "actors/reactor/loop.hpp"

/// Files and block devices for the loops on real hardware: the blocking calls, and file requests as they are kept in
/// an operation's scratch, so that a ring and a helper thread can take over from each other.
namespace sluice::reactor {

result<handle> file_open(const std::string& path, open_flags flags);
result<handle> memory_open(std::uint64_t size_bytes);
result<file_info> file_describe(handle h);
result<void> file_resize(handle h, std::uint64_t size_bytes);
result<std::uint64_t> file_read(handle h, bytes to, std::uint64_t offset);
result<void> file_write(handle h, const_bytes from, std::uint64_t offset);
result<void> file_sync(handle h);
result<std::string> file_attribute(handle h, const std::string& name);
result<void> file_set_attribute(handle h, const std::string& name, const std::string& text);

enum class verb : std::uint8_t {
  none,  // not a request of a file
  accept,
  connect,
  receive,
  wait_readable,
  wait_writable,
  poll,
  read,
  write,
  write_durable,
  sync,
  punch_hole,
  zero_range,
  find_data,
};

/// One request, as it lies in operation::scratch.
struct request {
  verb what = verb::none;
  handle on = no_handle;
  unsigned count = 0;           // parts
  const void* parts = nullptr;  // const iovec[count]; find_data: std::uint64_t* begin; receive: the buffer
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // octets in all; find_data: std::uint64_t* end
  std::uint64_t done = 0;    // octets transferred so far, below 2^56

  static request load(const operation& op);
  static verb verb_of(const operation& op) { return static_cast<verb>(op.scratch.words[3] >> 56); }
  void store(operation& op) const;
  const iovec* iov() const { return static_cast<const iovec*>(parts); }
};

request transfer_request(verb what, handle h, const iovec* parts, unsigned count, std::uint64_t offset);

/// What fallocate() is asked for by punch_hole and zero_range.
int allocation_flags(verb what);

/// Executes a file request with blocking calls, from where it stands: result as the loop documents it.
std::int64_t perform(const request& asked) noexcept;

}  // namespace sluice::reactor
