#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "fabrics/port/task.hpp"
#include "fabrics/rdma/receive_ring.hpp"
#include "fabrics/rdma/send_queue.hpp"
#include "fabrics/srp/port_state.hpp"

namespace sluice::srp {

/// A connection of an initiator, which is a channel of its nexus, and the commands that came by it. Everything on its
/// core's loop.
class channel final : public std::enable_shared_from_this<channel>, port::task_endpoint, rdma::connection::handler {
 public:
  /// What IUs may be: of an initiator with 8 KiB of immediate data, and of the gateway with the longest sense data.
  static constexpr std::uint32_t max_initiator_iu_bytes = 8704, max_target_iu_bytes = 320;
  /// Receives that are posted beyond the credits: the answers to the one credit request and to the one event that may
  /// be under way at a time, which cost the initiator no credit.
  static constexpr std::uint32_t uncredited_receives = 2;

  channel(std::shared_ptr<port_state> of, std::unique_ptr<rdma::connection> by, login_request asked,
          port_state::seat where);
  ~channel();

  /// Answers the login. It lives on by itself from here, until nothing is left of it.
  void begin();
  void end_from_anywhere(port::loss_reason why);
  const port_identifier& initiator() const { return asked_.initiator; }
  /// Runs `settled`, on this channel's loop, when nothing is under way any more for a task that was taken back.
  void settle(std::function<void()> settled);

 private:
  enum class state : std::uint8_t { asked, opening, open, closing, closed, gone };
  enum class holder : std::uint8_t { loading, unit, sending, fetching };  // who has the task; all but `unit`: we
  struct exchange;
  struct running {
    command what;  // without what referred to the IU
    port::task task;
    holder with = holder::loading;
    exchange* under_way = nullptr;         // while we have it
    std::uint64_t sent = 0;                // octets of data-in
    bool dropped = false;                  // while it was loading: it ends without a response
    std::optional<scsi::outcome> verdict;  // ours, when the unit completes silently because a transfer failed
  };
  /// Something that is being sent or fetched, and the memory of it. It outlives the task that it is for, when that is
  /// taken back: the adapter does not let go of memory before the end of its request.
  struct exchange final : rdma::transfer {
    enum class kind : std::uint8_t { load_out, load_in, fetch, put, answer };
    channel* owner = nullptr;
    kind what = kind::answer;
    running* of = nullptr;  // null: nobody waits for it
    bool orphan = false;
    std::vector<memory::slice> memory;
    void on_end(rdma::outcome how) noexcept override { owner->ended(*this, how); }
  };
  struct managed {
    port::task_management request;
    std::uint64_t tag = 0;
  };
  struct note {
    port::task* task = nullptr;
    port::task_event event{};
    port::task_management* answer = nullptr;
  };

  // -- the login and the end (channel.cpp) --
  void refuse(login_refusal why);
  std::optional<login_refusal> prepare();
  void opened(result<std::unique_ptr<port::nexus>> how);
  void accept();
  void on_established() noexcept override {}
  void on_lost(const std::string& why) noexcept override;
  void on_drained() noexcept override;
  void end(port::loss_reason why);
  void close_nexus();
  void violation(const char* what);
  void maybe_gone();

  // -- what comes (channel_commands.cpp) --
  void take(const_bytes iu);
  void take_command(const_bytes iu);
  void take_management(const_bytes iu);
  bool spend_credit();
  void load(running& r);
  void loaded(running& r, data_buffer& table_of, const memory::slice& table);
  void submit(running& r);
  void drop_loading(const task_management& what);
  void give_back(running& r);

  // -- from the unit, and what goes (channel_data.cpp) --
  void post(port::task& subject, port::task_event event) noexcept override;
  void post(port::task_management& request) noexcept override;
  void deliver() noexcept;
  void handle(port::task& t, port::task_event event);
  void fetch(running& r);
  void put(running& r);
  void answer(running& r, port::transfer_end how);
  void finish(running& r);
  void refuse(running& r, const scsi::outcome& why);
  bool add_data_in(running& r, exchange& to);
  void respond(exchange& with, response r);
  void send_response(running& r, const scsi::outcome& how, exchange& with);
  void managed_done(port::task_management& request);
  void answer_management(port::task_management& request);
  void check_settled();
  void report(const port::unit_event& what);
  void send_events();
  void ask_credits_back();
  exchange* new_exchange(exchange::kind what, running* of);
  void ended(exchange& e, rdma::outcome how);
  memory::slice message_memory();
  void send_message(exchange& with, memory::slice message, std::size_t octets);

  const std::shared_ptr<port_state> port_;
  core_side& core_;
  reactor::loop& loop_;
  const login_request asked_;
  const port_state::seat seat_;
  const std::string initiator_;
  std::unique_ptr<rdma::connection> connection_;
  rdma::send_queue sends_;
  memory::share share_;
  std::unique_ptr<rdma::receive_ring> receives_;
  std::unique_ptr<port::nexus> nexus_;
  state state_ = state::asked;
  std::optional<port::loss_reason> ending_;
  std::uint64_t nexus_id_ = 0;
  bool queue_pair_ = false;  // it is open, and not drained
  bool counted_ = false;
  unsigned max_parts_read_ = 1, max_parts_write_ = 1;
  std::uint16_t immediate_offset_ = 0;

  // Credits: each is a command or a task management function that the initiator may send.
  std::uint32_t credits_ = 0;       // all that there are
  std::uint32_t given_ = 0;         // that the initiator has
  std::uint32_t owed_ = 0;          // of what ended without a response
  bool asked_for_credits_ = false;  // a credit request is out
  bool told_event_ = false;         // an event is out
  std::deque<port::unit_event> events_;

  // Tasks are used again and never freed while the nexus lives: a message may reach the unit after the end of its task.
  std::deque<running> all_;
  std::vector<running*> free_;
  std::map<std::uint64_t, running*> running_;  // by tag
  std::map<port::task_management*, std::unique_ptr<managed>> managed_;
  std::deque<exchange> all_exchanges_;
  std::vector<exchange*> free_exchanges_;
  std::vector<memory::slice> free_messages_;
  std::size_t exchanging_ = 0;
  std::size_t orphans_ = 0;                      // exchanges whose task was taken back
  std::vector<std::function<void()>> settling_;  // who waits for their end
  std::deque<note> inbox_;
  reactor::member_runnable<channel, &channel::deliver> deliver_{*this};
  std::shared_ptr<channel> self_;  // from begin() on, until it is gone
};

}  // namespace sluice::srp
