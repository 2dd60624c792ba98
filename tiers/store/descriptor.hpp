#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "actors/reactor/loop.hpp"
#include "tiers/store/medium_condition.hpp"
#include "tiers/store/store.hpp"

namespace sluice::store {

/// What an errno of the loop's file operations means to a request. Total: what nobody foresaw is a medium_error.
status status_of_errno(int error_number) noexcept;

/// An opened file or block device, shared by the channels of all cores, with what its channels have learnt about it.
/// Closes the handle when it goes; no request may be in flight then.
class descriptor {
 public:
  descriptor(reactor::loop& control_loop, reactor::handle opened, const reactor::file_info& facts, bool is_direct,
             std::string name = "the medium")
      : handle(opened),
        info(facts),
        direct(is_direct),
        condition(std::make_shared<medium_condition>(std::move(name))),
        control_loop_(control_loop) {
    set_size(facts.size_bytes);
  }
  ~descriptor() { control_loop_.close(handle); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  const reactor::handle handle;
  const reactor::file_info info;
  const bool direct;  // buffers, offsets and lengths must be multiples of info.logical_block

  const std::shared_ptr<medium_condition> condition;

  // Set to false by the first request that the medium answered with "not supported".
  std::atomic<bool> punches = true;
  std::atomic<bool> zeroes = true;
  std::atomic<bool> maps = true;

  std::uint64_t size() const { return size_.load(std::memory_order_acquire); }
  /// The largest size so far: a request that a shrink overtook may reach beyond size(), never beyond this.
  std::uint64_t reach() const { return reach_.load(std::memory_order_acquire); }
  /// Resizes the file itself, and notes the size with it; what it had been cut short by is zeroes then. Control path.
  result<void> resize(std::uint64_t size_bytes);
  /// The size that was noted with the file when it was last served or resized; 0 when none was. Control path.
  std::uint64_t noted_size();
  void note_size();
  /// Gives up acknowledged data that are lost; how many octets those may be. Control path.
  result<std::uint64_t> give_up_lost();
  /// The mark of tiers, which lies with the file as the note "sluice"; errc::unsupported where it has none. Control
  /// path.
  result<ownership> read_ownership();
  result<void> write_ownership(const ownership& wanted);
  /// What tells this file from a copy of it that has its notes, too; 0: nothing does. The binding is for it alone.
  void set_identity(std::uint64_t identity) { identity_ = identity; }
  result<std::uint64_t> read_binding();
  result<void> write_binding(std::uint64_t flash);
  /// Takes over the size that the medium has by now; true when it is another one. Control path.
  bool look_again();

 private:
  void set_size(std::uint64_t size_bytes);

  reactor::loop& control_loop_;
  std::atomic<std::uint64_t> size_ = 0;
  std::atomic<std::uint64_t> reach_ = 0;
  std::uint64_t identity_ = 0;
};

}  // namespace sluice::store
