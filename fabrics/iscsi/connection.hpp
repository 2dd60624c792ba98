#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/command.hpp"
#include "fabrics/iscsi/command_window.hpp"
#include "fabrics/iscsi/connection_book.hpp"
#include "fabrics/iscsi/datamover.hpp"
#include "fabrics/iscsi/guess_guard.hpp"
#include "fabrics/iscsi/listing_cache.hpp"
#include "fabrics/iscsi/login.hpp"
#include "fabrics/iscsi/portal_table.hpp"
#include "fabrics/iscsi/refusals.hpp"
#include "fabrics/iscsi/requests.hpp"
#include "fabrics/iscsi/session_handles.hpp"
#include "fabrics/iscsi/tally.hpp"
#include "fabrics/iscsi/text_exchange.hpp"
#include "fabrics/iscsi/turn_queue.hpp"
#include "fabrics/port/nexus_endpoint.hpp"
#include "fabrics/port/strangers.hpp"

namespace sluice::iscsi {

/// What all connections of a gateway share.
struct shared_state {
  portal_board board;
  session_handles sessions;
  std::shared_ptr<connection_book> book = std::make_shared<connection_book>(connection_limits());
  std::shared_ptr<guess_guard> guesses = std::make_shared<guess_guard>();
  refusals refused;
  tally counted;
};

/// What a portal's connections keep to.
struct connection_options {
  port::limits bounds;
  portal_id portal = 0;
  offer ours;  // before the port is known
  std::shared_ptr<shared_state> shared;
  std::uint32_t send_high_water = 8 * mib;  // queued octets that stop the receiving
  std::shared_ptr<turn_queue> turns;        // of the connection's core
  std::shared_ptr<listing_cache> listings;  // of the connection's core
};

/// For status.
struct connection_status {
  std::uint64_t nexus_id = 0;
  std::string initiator, peer, parameters;
  bool discovery = false;
};

/// One iSCSI connection, which is one session (MaxConnections=1, ErrorRecoveryLevel=0), over one loop: what PDUs mean.
/// How they get through is its datamover's. A plain class; the actor that owns it forwards on_task() and on_manage().
/// Everything happens on the loop's thread.
///
/// Memory: until it has a session, nothing while it is silent; a receive slab of 4 KiB (16 KiB for a PDU that needs it)
/// while a PDU is here in part, what it says in 16 KiB that go when they have been sent, and text that comes in pieces,
/// all from what strangers have (memory::ledger). Time: as turn_queue grants it. A
/// session has a share: a receive slab (and what tasks hold of older ones), what the core hands over to be sent, and
/// data of at most limits::max_tasks_per_nexus commands and max_immediate immediate ones. Solicited data are paid for
/// when they are asked for, at most solicited_limit octets at a time, and take memory when the first of them come.
class connection {
 public:
  /// Called when the connection is about to have a session.
  using session_maker = std::function<void()>;

  /// Opens the peer. `self` reaches on_task and on_manage. `close_later` brings close() from any
  /// thread, also when the connection has ended meanwhile. `ended` runs once, last, when no operation, timer, task or
  /// nexus is left: the connection may be destroyed within it.
  connection(reactor::loop& loop, accepted_peer& by, port::gateway& gateway, port::task_endpoint& self,
             const connection_options& options, port_sessions::closer close_later, std::function<void()> ended);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// `slot`: in the connection book, which it leaves when it is destroyed.
  void start(std::shared_ptr<connection_facts> facts, std::uint64_t slot);
  /// Has `make` called before the nexus is opened, within which move_to() may be called.
  void before_session(session_maker make) { before_session_ = std::move(make); }
  /// Others own it from now on.
  void move_to(port::task_endpoint& self, std::function<void()> ended);
  /// How reinstate() is reached from any thread. Without it nobody takes the place of the session's connection.
  void reach_by(successor_taker take) { take_successor_ = std::move(take); }
  /// Another socket takes the place of this one in the session, whose nexus, handle and command numbers go on. Tasks
  /// end silently first [RFC7143 6.3.4]. The socket is the connection's from here on.
  void reinstate(std::shared_ptr<successor> heir);
  void on_task(port::task& t, port::task_event event) noexcept;
  void on_manage(port::task_management& request) noexcept;
  /// Ends the connection: at once, or (shutdown, kicked, port_removed) after telling the initiator what is queued for
  /// it.
  void close(port::loss_reason reason) noexcept;
  /// As close(), for the sake of others or by the operator: a stranger is counted.
  void send_away(port::loss_reason reason) noexcept;

  connection_status status() const;

  // -- for its datamover, on what comes -------------------------------------------------------------------------------
  /// The connection is lost.
  void broken();
  /// What came was heard now.
  void heard();
  /// Something has come for a stranger.
  void readable();
  /// Goes on with what has come, then asks for more. A session has so much of a turn of the loop, a stranger one PDU
  /// when it is its turn.
  void resume() noexcept;
  /// Asks for more, when it is time for that.
  void listen();
  /// Whatever waited for the event that has just been dealt with.
  void move_on();
  /// A PDU is all here. `data` has the data segment without padding; `tagged`: the initiator's buffers, over RDMA.
  void take_pdu(bhs_view header_at, const_bytes ahs, const memory::slice& data, const tagged_buffers* tagged = nullptr);
  /// Makes the command of a PDU; null when it is ignored or rejected, and then its payload goes nowhere.
  command* accept_command(bhs_view header_at, const_bytes ahs, std::uint32_t data_bytes,
                          const tagged_buffers* tagged = nullptr);
  void attach_immediate(command& c, memory::slice data);
  /// The command and its immediate data are here.
  void command_ready(command& c);
  /// Where in the landing buffer a Data-Out belongs. nullopt: nowhere, because nobody waits for it or it breaks the
  /// sequence; with a target, it is data that were asked for and are not wanted any more, which data_out_landed()
  /// counts.
  std::optional<std::uint32_t> place_data_out(const data_out& pdu, std::uint32_t octets, command*& target);
  void data_out_landed(command& c, std::uint32_t octets, bool final);
  /// A Data-Out that is all here: its data are copied to their place.
  void take_data_out(bhs_view header_at, const_bytes data);
  /// The stream of PDUs is broken: nothing can be told from what comes after.
  void break_off();
  void reject_and_leave(reject_reason reason, bhs_view header_at);
  void count(tally::what kind) { options_.shared->counted.count(kind); }

  // -- for its datamover, on data -------------------------------------------------------------------------------------
  void send_r2ts(command& c);
  /// Makes the landing buffer of a command; false, and its end is settled, when there is no memory for it.
  bool provide_landing(command& c);
  /// All that datamover::fetch() was to bring is in the landing buffer.
  void fetched(command& c);
  /// Its data are not to be had.
  void refuse_transfer(command& c);
  void data_sent(command& c);
  /// The status of a command goes with its last data.
  void put_status(command& c, data_in& pdu);
  sequence_numbers numbers_without_status() const { return {0, window_.exp_cmd_sn(), window_.max_cmd_sn()}; }
  /// Octets that were asked for by R2T and are not here yet.
  std::uint64_t solicited() const { return solicited_; }

  // -- for its datamover, on memory -----------------------------------------------------------------------------------
  memory::account& payer() { return *payer_; }
  void wait_for_memory();
  /// Some of the strangers' memory is kept for logins that have come further.
  bool has_memory_for_a_turn();
  void lacks_memory();
  void has_memory() { asked_for_room_ = false; }
  /// For immediate data; empty when there is none.
  memory::slice take_memory(std::uint32_t octets);
  /// Whether immediate data have found no memory for so long that their command is not to be had: what other commands
  /// wait for may come behind them.
  bool has_waited_enough();
  void run_out_of_memory(command& c);

  // -- for its datamover, on its life ---------------------------------------------------------------------------------
  const session_parameters& parameters() const { return negotiator_.parameters; }
  std::uint32_t send_high_water() const { return options_.send_high_water; }
  std::uint64_t now_ns() const { return now_ns_; }
  bool listens() const { return phase_ == phase_of::login || phase_ == phase_of::full_feature; }
  bool is_in_full_feature() const { return phase_ == phase_of::full_feature; }
  bool is_leaving() const { return phase_ == phase_of::leaving; }
  bool has_ended() const { return phase_ == phase_of::ended; }
  bool is_processing() const { return processing_; }
  /// Nobody has vouched for the peer: it has no session, or one for discovery.
  bool is_stranger() const { return !in_session_; }

  static constexpr std::uint32_t max_immediate = 32;
  /// What a stranger's turn may take of memory, but for text that is gathered: a slab and what it is answered in.
  static constexpr std::uint32_t bytes_of_a_turn = 32 * kib;
  /// A stranger that is turned away is neither heard nor answered any more, but does not hear of it at once: who comes
  /// again and again comes more seldom.
  static constexpr std::uint64_t linger_ns = 2 * ns_per_s;
  static constexpr unsigned work_per_turn = 256;  // in what cost_of() says
  static constexpr std::uint64_t starved_retry_ns = 5 * ns_per_ms, stranger_retry_ns = 50 * ns_per_ms;
  /// How long a command waits for buffers while nothing of its session gets any; then TASK SET FULL.
  static constexpr std::uint64_t hungry_limit_ns = 2 * ns_per_s;
  /// How long the answer to a task management function waits for data that an initiator owes and sends none of.
  static constexpr std::uint64_t owed_patience_ns = 2 * ns_per_s;
  /// Data of a session that are asked for and not here yet. More would fill no pipe better: it is 0.6 ms at 100 Gbit/s.
  static constexpr std::uint64_t solicited_limit = 8 * mib;

 private:
  /// opening: of the nexus; or the answer to a CHAP response waits. Nothing is received meanwhile.
  /// replaced: the session waits for the end of its tasks to go on with another socket.
  enum class phase_of : std::uint8_t { login, opening, full_feature, replaced, leaving, ended };
  struct management {
    port::task_management request;  // without a nexus when the record is free
    std::uint32_t initiator_task_tag = 0;
    std::vector<std::uint32_t> owed;  // transfer tags of tasks that it ended, which the initiator has yet to answer
    bool answered = false;            // by the core: `owed` is what the initiator's answer waits for
    std::uint64_t progress_ns = 0;    // when it was answered, or such data came
  };
  /// A PDU that is ahead of ExpCmdSN.
  struct parked {
    std::uint32_t cmd_sn;
    enum class kind : std::uint8_t {
      scsi,     // `command` is ready
      other,    // `basic_header` and `data` hold a PDU of another kind
      nothing,  // rejected or aborted: the number is used up
    } what;
    iscsi::command* command;
    bhs basic_header;
    memory::slice data;
  };
  // connection.cpp
  void on_timer() noexcept;
  void on_starved() noexcept;
  void on_owed_timer() noexcept;
  void after_processing();
  void on_memory() noexcept;
  memory::ledger& ledger() { return loop_.buffers().accounts(); }
  void keepalive();

  // connection_login.cpp
  void take_login(const login_request& request, const_bytes data);
  std::uint64_t penalty_ns();
  void on_penalty_over() noexcept;
  void answer_login();
  void open_nexus();
  void opened(result<std::unique_ptr<port::nexus>> made);
  void finish_login();
  void begin_text();
  void enter_session();
  void begin_full_feature();
  void refuse_login(login_status why);
  void send_login(login_step& step);
  login_world world();
  std::shared_ptr<const std::string> list_targets(const std::string& name);

  // connection_reinstatement.cpp
  void hand_over() noexcept;
  void end_tasks();
  void maybe_go_over();
  bool change_places(const successor& heir);
  void begin_anew();

  // connection_stranger.cpp: until somebody has vouched for it
  void take_turn();
  void await_turn();
  std::uint64_t held_by_stranger() const;
  void show_stage();
  void make_way() noexcept;
  void give_way() noexcept;
  void turn_away();
  void linger();
  void end_linger();

  // connection_end.cpp
  void finish() noexcept;
  void drop(port::loss_reason reason);
  void leave(port::loss_reason reason);
  void abandon_output();
  void close_nexus(port::loss_reason reason);
  void nexus_closed();
  void send_goodbye();
  void maybe_finish();
  void give_back_tasks();

  // connection_events.cpp
  void report(const port::unit_event& what);

  // connection_commands.cpp: what the PDUs ask
  void execute(bhs_view header_at, const memory::slice& data);
  void check_unsolicited(command& c, bool final, std::uint32_t immediate_bytes);
  void submit(command& c);
  void run_parked();
  void park(parked later);
  bool is_parked(std::uint32_t cmd_sn) const;
  void skip_command(std::uint32_t cmd_sn);
  void take_nop(const nop_out& request, const memory::slice& data);
  void take_logout(const logout_request& request);
  void send_reject(reject_reason reason, bhs_view header_at);

  // connection_management.cpp: task management
  void take_management(const task_management_request& request);
  void manage_absent(const task_management_request& request, port::task_function function);
  void run_early_management();
  void manage(const task_management_request& request, port::task_function function);
  management& ask_nexus(port::task_function function, port::lun lun, std::uint32_t referenced_tag);
  void drop_unserved(command& c);
  std::size_t live_management() const { return management_.size() - management_free_.size(); }
  void finish_management(management& m);
  void finish_all(const std::vector<management*>& done);
  void note_owed(const command& c);
  void owed_data_came(const data_out& pdu);
  void on_management_timer() noexcept;
  void drop_management();
  void answer_management(std::uint32_t tag, management_response response);

  // connection_data.cpp: data and status
  static scsi::additional_sense wrong_in_burst(const command& c, const data_out& pdu, std::uint32_t octets);
  scsi::additional_sense wrong_unasked(const command& c, const data_out& pdu, std::uint32_t octets) const;
  void end_landing(command& c);
  void keep_landed(command& c);
  void advance_fetch(command& c);
  void answer_fetch(command& c, port::transfer_end how);
  void on_take_back(command& c);
  void data_dropped(command& c);
  void watch_owed(command& c);
  void forget_bursts(command& c);
  void fail_transfer(command& c, scsi::additional_sense why);
  void on_get_data(command& c);
  void on_put_data(command& c);
  void on_complete(command& c);
  void answer_put(command& c, port::transfer_end how);
  void send_status(command& c);
  void free_slot(command& c);
  void release(command& c);
  void feed_starving();
  bool reserve_landing(command& c, std::uint32_t octets);
  void give_up_starving();

  /// Queues a PDU with a data segment that is copied: text, sense.
  template <class Pdu>
  void send(Pdu& pdu, const_bytes data = {}) {
    std::uint8_t* at = mover_->begin_pdu();
    encode(pdu, std::span<std::uint8_t, bhs_bytes>(at, bhs_bytes), static_cast<std::uint32_t>(data.size()));
    mover_->end_pdu(at, data);
  }
  sequence_numbers numbers() { return {stat_sn_, window_.exp_cmd_sn(), window_.max_cmd_sn()}; }
  sequence_numbers next_numbers() { return {stat_sn_++, window_.exp_cmd_sn(), window_.max_cmd_sn()}; }
  /// What the session keeps to; a discovery session keeps to the defaults.
  const served_port& served() const {
    static const served_port defaults;
    return port_ ? *port_ : defaults;
  }

  reactor::loop& loop_;
  port::gateway& gateway_;
  port::task_endpoint* self_;
  connection_options options_;
  port_sessions::closer close_later_;
  session_maker before_session_;
  successor_taker take_successor_;
  std::shared_ptr<successor> heir_;  // waits for the end of the tasks
  std::function<void()> ended_;

  phase_of phase_ = phase_of::login;
  port::loss_reason reason_ = port::loss_reason::connection_lost;
  bool processing_ = false;
  bool in_session_ = false;
  bool asked_for_room_ = false;  // since it last got memory, as a stranger
  bool lingers_ = false;         // leaving, as a stranger, without having been told
  unsigned turn_cost_ = 0;
  bool nexus_closing_ = false, opening_ = false;
  std::optional<logout_request> logout_;

  memory::share share_;
  memory::account* payer_;  // the strangers', then the share's
  const std::unique_ptr<datamover> mover_;
  std::uint64_t solicited_ = 0;        // octets asked for by R2T and not here yet
  std::uint64_t promised_ = 0;         // octets of landings that R2Ts are sent for
  std::uint64_t fed_ns_ = 0;           // when a command last got memory to ask for its data
  std::uint64_t hungry_since_ns_ = 0;  // a command's immediate data wait for memory; 0: none do

  std::optional<login_machine> login_;
  login_step last_step_;
  std::shared_ptr<connection_facts> facts_;
  negotiator negotiator_;
  std::optional<text_exchange> text_;
  std::optional<vantage> vantage_;  // once it has asked for targets
  served_port_ptr port_;            // that it logged in to; null for a discovery session
  std::uint64_t member_ = 0;        // of the port's sessions
  std::unique_ptr<port::nexus> nexus_;
  std::uint16_t tsih_ = 0, cid_ = 0;
  std::uint64_t slot_ = 0;  // in the connection book

  command_window window_;
  std::uint32_t stat_sn_ = 0;
  std::uint32_t next_transfer_tag_ = 0;
  std::uint32_t immediate_live_ = 0;
  commands commands_;
  std::vector<parked> parked_;
  std::vector<std::unique_ptr<management>> management_;
  std::vector<management*> management_free_;
  std::vector<task_management_request> early_management_;  // that wait for commands before them
  std::vector<command*> starving_;                         // cannot ask for their data yet, in order

  std::uint64_t now_ns_ = 0, heard_ns_ = 0;
  bool probe_sent_ = false;

  reactor::member_runnable<connection, &connection::finish> finish_{*this};
  reactor::member_runnable<connection, &connection::resume> again_{*this};
  reactor::member_runnable<connection, &connection::on_memory> on_memory_{*this};
  reactor::member_runnable<connection, &connection::give_way> give_way_{*this};
  reactor::member_runnable<connection, &connection::hand_over> hand_over_{*this};
  reactor::member_timer<connection, &connection::on_timer> timer_{*this};
  reactor::member_timer<connection, &connection::on_starved> starved_timer_{*this};
  reactor::member_timer<connection, &connection::on_owed_timer> owed_timer_{*this};
  reactor::member_timer<connection, &connection::on_penalty_over> penalty_timer_{*this};
  reactor::member_timer<connection, &connection::on_management_timer> management_timer_{*this};
  struct memory_waiter final : memory::waiter {
    explicit memory_waiter(connection& of) : owner(of) {}
    void on_memory() noexcept override { owner.loop_.defer(owner.on_memory_); }
    connection& owner;
  } memory_waiter_{*this};
  struct turn_entry final : turn_queue::entry {
    explicit turn_entry(connection& of) : owner(of) {}
    void take_turn() noexcept override { owner.take_turn(); }
    void make_way() noexcept override { owner.make_way(); }
    std::uint64_t holds() const noexcept override { return owner.held_by_stranger(); }
    connection& owner;
  } turn_{*this};
};

}  // namespace sluice::iscsi
