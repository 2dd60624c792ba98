#pragma once
#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/requests.hpp"
#include "gateway/scsi/asc.hpp"
#include "tests/sim/judge.hpp"

namespace sluice::sim {

/// What an initiator proposes at login.
struct wishes {
  bool header_digest = false, data_digest = false;
  bool initial_r2t = true, immediate_data = true;
  std::uint32_t max_recv_data_segment_length = 8192;  // of its own side
  std::uint32_t max_burst_length = 262144, first_burst_length = 65536;
  std::uint32_t max_outstanding_r2t = 1;
  bool security_stage = true;  // begins with AuthMethod=None rather than in the operational stage
};

/// One SCSI command as the session sends it.
struct outgoing {
  std::uint32_t tag = 0;
  std::uint16_t lun = 0;
  std::uint8_t attribute = 1;  // 1 simple, 2 ordered, 3 head of queue
  std::array<std::uint8_t, 16> cdb{};
  std::vector<std::uint8_t> data_out;
  std::uint32_t data_in_bytes = 0;  // expected; a command moves data one way
};

struct answer {
  std::uint8_t status = 0;
  std::vector<std::uint8_t> sense;
  std::vector<std::uint8_t> data;
  bool underflow = false, overflow = false;
  std::uint32_t residual = 0;
};

/// The initiator's end of one iSCSI session with one connection, login to loss, over a simulated loop. It holds the
/// target to what RFC 7143 says of every PDU: sequence numbers, offsets, lengths, tags.
class session {
 public:
  class listener {
   public:
    virtual void on_up() = 0;
    /// The connection is gone, or was refused; open() may be called again. Commands without an answer get none.
    virtual void on_down() = 0;
    virtual void on_answer(std::uint32_t tag, const answer& what) = 0;
    virtual void on_managed(std::uint32_t tag, iscsi::management_response response) = 0;
    virtual void on_echo(std::uint32_t tag) = 0;
    virtual void on_logged_out() = 0;
    /// A SCSI asynchronous event.
    virtual void on_event(std::uint64_t lun, scsi::additional_sense code) {
      (void)lun;
      (void)code;
    }

   protected:
    ~listener() = default;
  };

  session(judge& told, reactor::loop& loop, listener& tell, std::string initiator, std::string target,
          std::uint64_t isid);
  ~session();

  void open(const reactor::endpoint& portal, const wishes& w);
  bool up() const { return state_ == state::full_feature; }
  bool closed() const { return state_ == state::closed; }
  reactor::handle connection() const { return handle_; }

  void send(outgoing command);
  /// Management of a task of this session, or of the unit, sent ahead of what waits.
  void manage(std::uint32_t tag, iscsi::management_function function, std::uint16_t lun, std::uint32_t referenced);
  void echo(std::uint32_t tag);
  void log_out();
  /// R2Ts of this command, which is to be sent, are not answered until give().
  void withhold(std::uint32_t tag) { owed_[tag]; }
  bool owes(std::uint32_t tag) const { return owed_.contains(tag) && !owed_.at(tag).empty(); }
  /// Sends what was asked for, wanted still or not.
  void give(std::uint32_t tag);
  void disconnect();
  /// The target's answers to these come twice, as a broken target would send them: proves that it is noticed.
  void repeat_one_answer_in(std::uint32_t count) { repeat_every_ = count; }
  /// Whether the command has left; until then it waits for the target's command window.
  bool sent(std::uint32_t tag) const {
    const auto found = commands_.find(tag);
    return found != commands_.end() && found->second.sent;
  }
  /// The oracle's time at which the target had said, by ExpCmdSN, that the command has come [RFC7143 4.2.2.1]; 0: it
  /// has not said so yet.
  std::uint64_t received_at(std::uint32_t tag) const {
    const auto found = commands_.find(tag);
    return found == commands_.end() ? 0 : found->second.received_at;
  }
  /// Answers no R2T any more, or those first that it has not answered.
  void owe(bool on);
  /// Neither reads nor sends from now on, in the midst of a PDU perhaps, and does not close; or goes on where it
  /// stopped.
  void stand_still(bool on);
  /// Tells nobody anything any more. Whose it was may open another one of the same name.
  void abandon();
  bool has_owed() const { return has_owed_; }
  /// The initiator has given a command up: no answer may come any more.
  void forget(std::uint32_t tag) { commands_.erase(tag); }

 private:
  enum class state { closed, connecting, login, full_feature, logging_out, ending };
  struct in_flight {
    outgoing what;
    std::vector<std::uint8_t> data;
    std::uint32_t cmd_sn = 0;
    std::uint32_t next_data_sn = 0, next_r2t_sn = 0, burst = 0, r2t_end = 0;
    std::uint64_t received_at = 0;
    bool sent = false;
  };

  void on_connected(std::int64_t result) noexcept;
  void on_received(std::int64_t result) noexcept;
  void on_writable(std::int64_t result) noexcept;
  void end();
  void ended_when_idle();
  void bad(const std::string& why);

  void put(iscsi::bhs header, const_bytes data);
  void flush();
  void receive();
  void take(const_bytes got);
  bool take_one_pdu();
  void handle(iscsi::bhs_view header, const_bytes data);
  void handle_login(iscsi::bhs_view header, const_bytes data);
  void handle_data_in(iscsi::bhs_view header, const_bytes data);
  void handle_response(iscsi::bhs_view header, const_bytes data);
  void handle_r2t(iscsi::bhs_view header);
  void handle_nop(iscsi::bhs_view header);
  void finish(std::uint32_t tag, answer what);
  void count_status(const iscsi::sequence_numbers& sn);
  void window(const iscsi::sequence_numbers& sn);

  void send_login();
  void take_key(std::string_view key, std::string_view value);
  void send_waiting();
  void start(in_flight& c);
  void send_data_out(const outgoing& what, std::uint32_t transfer_tag, std::uint32_t offset, std::uint32_t length);
  in_flight* find(std::uint32_t tag, const char* what);

  judge& judge_;
  reactor::loop& loop_;
  listener* tell_;
  const std::string initiator_, target_;
  const std::uint64_t isid_;
  wishes wishes_;
  state state_ = state::closed;
  bool handling_ = false;  // what was received; the end waits for it
  reactor::handle handle_ = reactor::no_handle;

  // What was agreed.
  bool header_digest_ = false, data_digest_ = false, initial_r2t_ = true, immediate_data_ = true;
  std::uint32_t target_max_recv_ = 8192, max_burst_ = 262144, first_burst_ = 65536;
  unsigned stage_ = 0;
  std::string login_text_;

  std::uint32_t cmd_sn_ = 1, max_cmd_sn_ = 1, exp_stat_sn_ = 0;
  bool stat_sn_known_ = false;
  std::map<std::uint32_t, in_flight> commands_;
  std::deque<std::uint32_t> waiting_;             // for the command window
  std::map<std::uint32_t, std::uint8_t> others_;  // tags of task management, NOP-Out and logout: the opcode
  struct owed_data {
    std::uint32_t transfer_tag, offset, length;
  };
  std::map<std::uint32_t, std::vector<owed_data>> owed_;  // by the tags of commands that withhold
  std::uint32_t repeat_every_ = 0, answers_ = 0;

  struct debt {
    outgoing what;  // a copy: the command may end meanwhile
    std::uint32_t transfer_tag, offset, length;
  };
  bool owes_ = false, has_owed_ = false;
  bool stands_still_ = false;
  std::optional<std::int64_t> kept_;  // what a receive brought meanwhile
  std::vector<debt> debts_;

  std::vector<std::uint8_t> out_, in_;
  std::size_t out_sent_ = 0;
  std::array<std::uint8_t, 16384> landing_{};
  reactor::member_operation<session, &session::on_connected> connecting_{*this};
  reactor::member_operation<session, &session::on_received> receiving_{*this};
  reactor::member_operation<session, &session::on_writable> writing_{*this};
};

}  // namespace sluice::sim
