#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "fabrics/port/fabric.hpp"
#include "fabrics/vhost/queue.hpp"
#include "fabrics/vhost/scatter.hpp"
#include "fabrics/vhost/scsi_request.hpp"

namespace sluice::vhost {

class session;

/// A front end's part on one core: a channel of its nexus, the queues that are served there, and the commands that came
/// by them. Everything on that core's loop; the session outlives it.
class channel final : port::task_endpoint, queue::user {
 public:
  channel(session& of, const port::core_endpoint& where, unsigned number, std::uint32_t max_commands);
  ~channel();

  /// Opens the nexus, or joins it when `nexus_id` is not 0; session::on_opened() hears of it.
  void open(const port::login& who, std::uint64_t nexus_id);
  /// Ends it, now or as soon as it is open; session::on_gone() hears when nothing of it is left.
  void end(port::loss_reason why);
  reactor::loop& loop() const { return loop_; }

  /// False: the ring cannot lie where it is said to.
  bool set_queue(unsigned index, const ring_setup& wanted);
  void stop_queue(unsigned index, std::function<void(std::uint16_t next)> stopped);
  queue* find_queue(unsigned index);

  // -- for the control queue --
  /// The task by which a guest's tag goes here, if it does.
  std::optional<std::uint64_t> find_tag(port::lun lun, std::uint64_t guest_tag) const;
  void manage(port::task_function function, port::lun lun, std::uint64_t referenced_tag,
              std::function<void(port::task_response)> answered);
  /// Hands out all answers that have come: what a function has ended is with the guest then.
  void settle() { deliver(); }

  /// The LUNs of the nexus, asked of the gateway as an initiator does; nullopt when it does not say.
  void ask_luns(std::function<void(std::optional<std::vector<port::lun>>)> told);

 private:
  enum class state : std::uint8_t { none, opening, open, closing, closed, gone };
  struct running {
    queue* by = nullptr;  // null: free, or our own
    std::uint16_t head = 0;
    std::shared_ptr<const guest_memory> memory;  // stays mapped
    port::task task;
    std::uint64_t guest_tag = 0;
    std::vector<iovec> readable, writable;
    piece_cursor out, in;    // behind the header; behind the response
    std::uint64_t room = 0;  // octets for data-in
    std::uint64_t sent = 0;  // of them, written
    bool in_place = false;   // data-out are lent to the unit where they lie
    std::optional<scsi::outcome> verdict;
    std::function<void(running&)> own;  // a command of ours: who waits for it
    std::vector<std::uint8_t> own_data;
  };
  struct managed {
    port::task_management request;
    std::function<void(port::task_response)> answered;
  };
  struct note {
    port::task* task = nullptr;
    port::task_event event{};
    port::task_management* answer = nullptr;
  };

  void post(port::task& subject, port::task_event event) noexcept override;
  void post(port::task_management& request) noexcept override;
  bool has_room() const noexcept override { return state_ == state::open && !ending_ && active_ < max_commands_; }
  void take(queue& from, chain& what) noexcept override;
  void on_room(queue& in) noexcept override;

  void opened(result<std::unique_ptr<port::nexus>> how);
  void close();
  void deliver() noexcept;
  void handle(port::task& t, port::task_event event);
  void fetch(running& r);
  void copy_data_in(running& r);
  void lend_data_out(running& r, std::uint64_t until);
  void finish(running& r);
  void respond(running& r, const command_response& said);
  running& fresh();
  void give_back(running& r);
  void write_guest(running& r, bytes at, const_bytes from);
  void maybe_gone();

  session& session_;
  port::gateway& gateway_;
  reactor::loop& loop_;
  const unsigned number_;
  const std::uint32_t max_commands_;
  state state_ = state::none;
  std::optional<port::loss_reason> ending_;
  std::unique_ptr<port::nexus> nexus_;
  memory::share share_;
  std::map<unsigned, std::unique_ptr<queue>> queues_;
  std::size_t halting_ = 0;
  // Tasks are used again and never freed while the nexus lives: a message may reach the unit after the end of its task.
  std::deque<running> all_;
  std::vector<running*> free_;
  std::size_t active_ = 0;
  std::uint64_t serial_ = 0;
  std::map<port::task_management*, std::unique_ptr<managed>> managed_;
  std::deque<note> inbox_;
  reactor::member_runnable<channel, &channel::deliver> deliver_{*this};
};

}  // namespace sluice::vhost
