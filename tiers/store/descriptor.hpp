#pragma once
#include <atomic>
#include <cstdint>

#include "actors/reactor/loop.hpp"
#include "tiers/store/store.hpp"

namespace sluice::store {

/// What an errno of the loop's file operations means to a request. Total: what nobody foresaw is a medium_error.
status status_of_errno(int error_number) noexcept;

/// An opened file or block device, shared by the channels of all cores, with what its channels have learnt about it.
/// Closes the handle when it goes; no request may be in flight then.
class descriptor {
 public:
  descriptor(reactor::loop& control_loop, reactor::handle opened, const reactor::file_info& facts, bool is_direct)
      : handle(opened), info(facts), direct(is_direct), control_loop_(control_loop) {
    set_size(facts.size_bytes);
  }
  ~descriptor() { control_loop_.close(handle); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  const reactor::handle handle;
  const reactor::file_info info;
  const bool direct;  // buffers, offsets and lengths must be multiples of info.logical_block

  // Set to false by the first request that the medium answered with "not supported".
  std::atomic<bool> punches = true;
  std::atomic<bool> zeroes = true;
  std::atomic<bool> maps = true;

  /// Counts flushes that failed. The system reports a lost write to one flush only and forgets; every channel compares
  /// this with what it has told its own users, so that none of them takes lost data for durable.
  std::atomic<std::uint64_t> failed_flushes = 0;

  std::uint64_t size() const { return size_.load(std::memory_order_acquire); }
  /// The largest size so far: a request that a shrink overtook may reach beyond size(), never beyond this.
  std::uint64_t reach() const { return reach_.load(std::memory_order_acquire); }
  /// Resizes the file itself. Control path.
  result<void> resize(std::uint64_t size_bytes);
  /// The mark of tiers, which lies with the file as the note "sluice"; errc::unsupported where it has none. Control
  /// path.
  result<mark> read_mark();
  result<void> write_mark(const mark& wanted);
  result<std::uint64_t> read_witness();
  result<void> write_witness(std::uint64_t flash);
  /// Takes over the size that the medium has by now; true when it is another one. Control path.
  bool look_again();

 private:
  void set_size(std::uint64_t size_bytes);

  reactor::loop& control_loop_;
  std::atomic<std::uint64_t> size_ = 0;
  std::atomic<std::uint64_t> reach_ = 0;
};

}  // namespace sluice::store
