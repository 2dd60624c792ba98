#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "fabrics/loopback/command.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::loopback {

class session;

/// A session on one core: a channel of its nexus, and the commands that were submitted there. Data-out are copied;
/// data-in come into the initiator's memory where the unit can do that. Everything on that core's loop; the session
/// outlives it.
class channel final : port::task_endpoint {
 public:
  channel(session& of, const port::core_endpoint& where);

  /// Opens the nexus, or joins it when `nexus_id` is not 0; session::on_opened() hears of it.
  void open(const port::login& who, std::uint64_t nexus_id);
  /// Ends the channel, now or as soon as it is open; session::on_gone() hears when nothing of it is left. A no-op when
  /// it ends already, or was never opened.
  void end(port::loss_reason why);

  // As in session.
  void submit(command& what);
  void resume(command& what);
  void lose(command& what);
  void manage(port::task_function function, port::lun lun, std::uint64_t referenced_tag,
              std::function<void(port::task_response)> answered);

 private:
  enum class state : std::uint8_t { none, opening, open, closing, closed, gone };
  enum class holder : std::uint8_t { unit, sending, fetching };  // who has the task; the latter two: we, for what
  struct running {
    command* subject = nullptr;
    port::task task;
    holder with = holder::unit;
    std::uint64_t taken = 0;  // octets of the data-in
    bool lost = false;
    std::optional<scsi::outcome> verdict;  // ours, when the unit completes silently because a transfer failed
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

  void opened(result<std::unique_ptr<port::nexus>> how);
  void close();
  void later(std::function<void()> tell);
  void refuse(command& what, std::optional<scsi::outcome> why);
  void deliver() noexcept;
  void handle(port::task& t, port::task_event event);
  void answer(running& r, port::transfer_end how);
  port::transfer_end fetch(running& r);
  void take_data_in(running& r);
  void finish(running& r);
  void maybe_gone();

  session& session_;
  port::gateway& gateway_;
  reactor::loop& loop_;
  state state_ = state::none;
  std::optional<port::loss_reason> ending_;
  std::unique_ptr<port::nexus> nexus_;
  // Tasks are used again and never freed while the nexus lives: a transport_abort may reach the unit after the end of
  // its task, and before the next submit of the same record, as messages between the same two stay in order.
  std::deque<running> all_;
  std::vector<running*> free_;
  std::map<command*, running*> running_;
  std::map<port::task_management*, std::unique_ptr<managed>> managed_;
  std::deque<note> inbox_;
  reactor::member_runnable<channel, &channel::deliver> deliver_{*this};
  unsigned telling_ = 0;  // what later() has yet to say
};

}  // namespace sluice::loopback
