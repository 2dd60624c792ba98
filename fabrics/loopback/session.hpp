#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabrics/loopback/command.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::loopback {

class port_state;

/// An initiator in this process, logged in to a port: one I_T nexus, which lives on one core. Every core of the gateway
/// is a channel to it: what it is asked there goes to the nexus' core, and the answer comes back to where it was asked.
/// Data are copied on the nexus' core, between the task's buffers and the initiator's.
class session final : port::task_endpoint, public std::enable_shared_from_this<session> {
 public:
  /// Hears of its session, on the nexus' core. Alive until on_down() or a refusal.
  class handler {
   public:
    /// Logged in, or why not; after a refusal nothing comes any more.
    virtual void on_up(const result<void>& how) noexcept = 0;
    /// The nexus has ended, and every command has been done before. Nothing comes any more.
    virtual void on_down(port::loss_reason why) noexcept = 0;

   protected:
    ~handler() = default;
  };
  struct initiator {
    std::string name;       // 16 hex digits; empty at a port whose initiators have no names
    std::string extension;  // tells ports of one initiator apart
  };

  /// Made by exchange::log_in().
  session(std::shared_ptr<port_state> at, initiator who, unsigned home, handler& tell);
  void open();

  // -- on the loop of core number `channel` ---------------------------------------------------------------------
  void submit(unsigned channel, command& what);
  /// A command that withholds goes on.
  void resume(unsigned channel, command& what);
  /// The transport loses the command (as ABTS, UNLINK): it is done without a response, once the unit has let go of it.
  /// A no-op when it is done, or about to be.
  void lose(unsigned channel, command& what);
  void manage(unsigned channel, port::task_function function, port::lun lun, std::uint64_t referenced_tag,
              std::function<void(port::task_response)> answered);
  void log_out(unsigned channel);
  // -- any thread -------------------------------------------------------------------------------------------------
  void end(port::loss_reason why);

 private:
  enum class holder : std::uint8_t { unit, sending, fetching };  // who has the task; the latter two: we, for what
  struct running {
    command* subject = nullptr;
    unsigned channel = 0;
    port::task task;
    holder with = holder::unit;
    bool lost = false;
    std::optional<scsi::outcome> verdict;  // ours, when the unit completes silently because a transfer failed
  };
  struct managed {
    port::task_management request;
    unsigned channel = 0;
    std::function<void(port::task_response)> answered;
  };
  struct note {
    port::task* task = nullptr;
    port::task_event event{};
    port::task_management* answer = nullptr;
  };

  void post(port::task& subject, port::task_event event) noexcept override;
  void post(port::task_management& request) noexcept override;

  /// Runs `work` on the nexus' core: at once when called there.
  void at_home(unsigned channel, std::function<void()> work);
  /// Tells whoever asked, on the channel's core; the session is not down before that has been heard.
  void hand_back(unsigned channel, std::function<void()> tell);
  void opened(result<std::unique_ptr<port::nexus>> how);
  void begin_end(port::loss_reason why);
  void start(unsigned channel, command& what);
  void refuse(unsigned channel, command& what, std::optional<scsi::outcome> why);
  void deliver() noexcept;
  void handle(port::task& t, port::task_event event);
  void answer(running& r, port::transfer_end how);
  port::transfer_end fetch(running& r);
  void take_data_in(running& r);
  void finish(running& r);
  void maybe_down();

  const std::shared_ptr<port_state> port_;
  const initiator who_;
  const unsigned home_;
  reactor::loop& loop_;
  handler& handler_;
  std::unique_ptr<port::nexus> nexus_;
  // Tasks are used again and never freed while the nexus lives: a transport_abort may reach the unit after the end of
  // its task, and before the next submit of the same record, as messages between the same two stay in order.
  std::deque<running> all_;
  std::vector<running*> free_;
  std::map<command*, running*> running_;
  std::map<port::task_management*, std::shared_ptr<managed>> managed_;
  std::deque<note> inbox_;
  reactor::member_runnable<session, &session::deliver> deliver_{*this};
  unsigned handing_back_ = 0;
  std::optional<port::loss_reason> ending_;
  bool closing_ = false, closed_ = false;
  std::shared_ptr<session> self_;  // while it has a nexus, or asks for one
};

}  // namespace sluice::loopback
