#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabrics/loopback/channel.hpp"

namespace sluice::loopback {

class port_state;

/// An initiator in this process, logged in to a port: one I_T nexus with a channel on every core of the gateway. A
/// command stays on the core where it was submitted.
class session final : public std::enable_shared_from_this<session> {
 public:
  /// Hears of its session, on its first core. Alive until on_down() or a refusal.
  class handler {
   public:
    /// Logged in, or why not; after a refusal nothing comes any more.
    virtual void on_up(const result<void>& how) noexcept = 0;
    /// The nexus has ended, and every command has been done before. Nothing comes any more.
    virtual void on_down(port::loss_reason why) noexcept = 0;
    /// Something happened at a logical unit; see port::channel_events. On the core of any channel.
    virtual void on_event(const port::unit_event&) noexcept {}

   protected:
    ~handler() = default;
  };
  struct initiator {
    std::string name;       // 16 hex digits; empty at a port whose initiators have no names
    std::string extension;  // tells ports of one initiator apart
  };

  /// Made by exchange::log_in(). `first_core`: the number of the core where the nexus is opened.
  session(std::shared_ptr<port_state> at, initiator who, unsigned first_core, handler& tell);
  ~session();
  void open();

  // -- on the loop of core number `channel` ---------------------------------------------------------------------
  void submit(unsigned channel, command& what) { channels_.at(channel)->submit(what); }
  /// A command that withholds goes on; by the channel that it was submitted to, as in the next.
  void resume(unsigned channel, command& what) { channels_.at(channel)->resume(what); }
  /// The transport loses the command (as ABTS, UNLINK): it is done without a response, once the unit has let go of it.
  /// A no-op when it is done, or about to be.
  void lose(unsigned channel, command& what) { channels_.at(channel)->lose(what); }
  /// Whichever channel the tasks came by.
  void manage(unsigned channel, port::task_function function, port::lun lun, std::uint64_t referenced_tag,
              std::function<void(port::task_response)> answered) {
    channels_.at(channel)->manage(function, lun, referenced_tag, std::move(answered));
  }
  // -- any thread -------------------------------------------------------------------------------------------------
  void log_out() { end(port::loss_reason::logout); }
  void end(port::loss_reason why);

 private:
  friend class channel;
  // From a channel, on its core.
  void on_opened(const channel& which, result<std::uint64_t> nexus_id);
  void on_event(const port::unit_event& what) { handler_.on_event(what); }
  void on_gone();
  /// The channel is told to end; so are all.
  void on_evicted(port::loss_reason why) { end(why); }

  void at(std::size_t core, std::function<void()> work);
  // On its first core.
  void nexus_opened(result<std::uint64_t> nexus_id);
  void joined(result<std::uint64_t> how);
  void begin_end(port::loss_reason why);
  void refused(error why);

  const std::shared_ptr<port_state> port_;
  const initiator who_;
  const unsigned first_core_;
  handler& handler_;
  port::login wish_;
  std::vector<std::unique_ptr<channel>> channels_;  // by core
  std::size_t joining_ = 0, left_ = 0;              // channels that are being opened; that are not gone
  bool up_ = false;                                 // on_up() was told
  std::optional<port::loss_reason> ending_;
  std::optional<error> problem_;   // why it does not come up
  std::shared_ptr<session> self_;  // while it has a nexus, or asks for one
};

}  // namespace sluice::loopback
