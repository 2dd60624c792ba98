#pragma once
#include <deque>
#include <vector>

#include "fabrics/rdma/device.hpp"

namespace sluice::rdma {

class send_queue;

/// A chain of any length, posted piece by piece as the queue pair has room.
class transfer : public work {
 public:
  std::vector<request> chain;
  /// All that was posted of it has ended.
  virtual void on_end(outcome how) noexcept = 0;

  virtual ~transfer() = default;

 private:
  friend class send_queue;
  void on_done(outcome how, std::uint32_t) noexcept final;
  send_queue* queue_ = nullptr;
  std::size_t posted_ = 0;  // entries
  unsigned in_flight_ = 0;  // pieces
  outcome worst_ = outcome::done;
};

/// The send queue of a connection: messages with what goes before them, and data, each first come first served. Data
/// leave a part of the queue free, so that no message waits for a peer that is slow to answer reads.
class send_queue {
 public:
  explicit send_queue(connection& of) : connection_(of) {}
  /// How many entries of the queue data leave free.
  void reserve_for_messages(std::uint32_t entries) { reserved_ = entries; }
  enum class lane : std::uint8_t { message, data };
  /// Not after stop().
  void push(transfer& t, lane by);
  /// Posts nothing more of it. It ends when what was posted has; false, and it does not, when nothing was.
  bool cut(transfer& t);
  /// Posts nothing more at all: whatever was not posted ends flushed, within this call.
  void stop();

 private:
  friend class transfer;
  using waiting = std::deque<transfer*>;  // not posted to their end
  void pump();
  void post(waiting& from, std::uint32_t leaves_free);

  connection& connection_;
  std::uint32_t reserved_ = 0;
  waiting messages_, data_;
  bool stopped_ = false;
};

}  // namespace sluice::rdma
