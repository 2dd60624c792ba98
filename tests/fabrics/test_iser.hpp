#pragma once
#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/command_window.hpp"
#include "fabrics/iscsi/requests.hpp"
#include "fabrics/iscsi/text.hpp"
#include "fabrics/iser/header.hpp"
#include "tests/fabrics/test_site.hpp"

namespace sluice::fabrics {

inline constexpr const char* iser_port_name = "iqn.2026-11.sim:rdma-target";
inline constexpr const char* iser_address = "192.0.2.1:3260";

inline std::string iser_initiator_name(unsigned number) {
  return "iqn.2026-11.sim:rdma-host" + std::to_string(number);
}

/// What an initiator can do, and how it sends data that nobody asked for.
struct iser_wishes {
  bool initial_r2t = true, immediate_data = false;
  std::uint32_t first_burst = 65536;
  bool whole_buffer = false;  // the buffer that it names holds what it sends unasked, too
  bool invalidates = true;
  std::vector<std::string> more_keys = {};
};

/// An initiator over simulated RDMA.
class iser_initiator final : public port::contract::initiator, rdma::peer::handler {
 public:
  iser_initiator(rdma::simulated_network& network, unsigned number, iser_wishes wishes)
      : number_(number),
        wishes_(std::move(wishes)),
        peer_(network, "192.0.2.9:" + std::to_string(41000 + number), *this) {}

  state now() const override { return state_; }
  void log_in() override {
    state_ = state::going_up;
    max_cmd_sn_ = cmd_sn_;
    peer_.connect(iser_address, encode(iser::abilities{false, wishes_.invalidates}));
  }
  void log_out() override {
    iscsi::logout_request bye;
    bye.immediate = true;
    bye.initiator_task_tag = next_tag_++;
    bye.cmd_sn = cmd_sn_;
    bye.exp_stat_sn = exp_stat_sn_;
    put(iscsi::encode(bye));
  }
  void vanish() override {
    peer_.vanish();
    down();
  }
  std::vector<port::unit_event> heard() const override { return heard_; }

  void submit(port::contract::request& r) override {
    waiting_.push_back(&r);
    send_waiting();
  }
  bool owes(const port::contract::request& r) const override { return peer_.is_awaited(last_of(r)->key_out); }
  void resume(port::contract::request& r) override { peer_.release(last_of(r)->key_out); }
  void manage(port::task_function function, std::uint16_t lun, const port::contract::request* referenced,
              std::function<void(port::task_response)> answered) override {
    iscsi::task_management_request ask;
    ask.immediate = true;
    ask.function = static_cast<std::uint8_t>(function == port::task_function::abort_task
                                                 ? iscsi::management_function::abort_task
                                                 : iscsi::management_function::logical_unit_reset);
    ask.lun = port::lun_address(lun);
    ask.initiator_task_tag = next_tag_++;
    ask.cmd_sn = ask.ref_cmd_sn = cmd_sn_;
    ask.exp_stat_sn = exp_stat_sn_;
    if (referenced) {
      ask.referenced_task_tag = last_of(*referenced)->tag;
      ask.ref_cmd_sn = last_of(*referenced)->cmd_sn;
    }
    managed_[ask.initiator_task_tag] = std::move(answered);
    put(iscsi::encode(ask));
  }

  rdma::peer& peer() { return peer_; }
  /// A message with an iSER header that names these buffers.
  static port::contract::octets message_of(const iscsi::bhs& header, const_bytes data = {},
                                           const iscsi::tagged_buffers& buffers = {}) {
    port::contract::octets made(iser::header_bytes);
    made[0] = static_cast<std::uint8_t>(0x10 | (buffers.out.is_there ? 0x08 : 0) | (buffers.in.is_there ? 0x04 : 0));
    wire::store32(made, 4, buffers.out.tag);
    wire::store64(made, 8, buffers.out.offset);
    wire::store32(made, 16, buffers.in.tag);
    wire::store64(made, 20, buffers.in.offset);
    made.insert(made.end(), header.begin(), header.end());
    made.insert(made.end(), data.begin(), data.end());
    return made;
  }
  /// A command that a test sends by itself, under a tag below those of ours, ends this request.
  void expect_foreign(std::uint32_t tag, port::contract::request& r) {
    sent& s = *all_.emplace_back(std::make_unique<sent>());
    s.tag = tag;
    s.of = &r;
    sent_[tag] = &s;
  }
  std::uint32_t next_cmd_sn() const { return cmd_sn_; }
  std::uint32_t window() const { return max_cmd_sn_ - cmd_sn_ + 1; }
  std::string answered_keys;
  std::optional<iscsi::login_status> refusal;
  unsigned invalidated = 0;  // keys that are gone with a response

 private:
  struct sent {
    std::uint32_t tag = 0, cmd_sn = 0, key_out = 0, key_in = 0;
    port::contract::request* of = nullptr;
    port::contract::octets out, in;
  };

  const sent* last_of(const port::contract::request& r) const {
    for (auto each = all_.rbegin(); each != all_.rend(); ++each)
      if (each->get()->of == &r) return each->get();
    ADD_FAILURE() << "never sent";
    return nullptr;
  }
  void put(const iscsi::bhs& header, const_bytes data = {}, const iscsi::tagged_buffers& buffers = {}) {
    peer_.send(message_of(header, data, buffers));
  }

  iscsi::login_request login_request() const {
    iscsi::login_request ask;
    ask.transit = true;
    ask.current_stage = 1;
    ask.next_stage = 3;
    ask.isid = 0x400000000000 + number_;
    ask.cmd_sn = cmd_sn_;
    ask.exp_stat_sn = exp_stat_sn_;
    return ask;
  }

  void on_accepted(const_bytes private_data) override {
    EXPECT_FALSE(iser::decode_abilities(private_data).zero_based);
    std::string text;
    const auto say = [&](const std::string& key) {
      text += key;
      text.push_back('\0');
    };
    say("InitiatorName=" + iser_initiator_name(number_));
    say(std::string("TargetName=") + iser_port_name);
    for (const char* key :
         {"SessionType=Normal", "HeaderDigest=None", "DataDigest=None", "MaxBurstLength=262144", "MaxOutstandingR2T=1",
          "InitiatorRecvDataSegmentLength=8192", "TargetRecvDataSegmentLength=8192"})
      say(key);
    say("FirstBurstLength=" + std::to_string(wishes_.first_burst));
    say(std::string("InitialR2T=") + (wishes_.initial_r2t ? "Yes" : "No"));
    say(std::string("ImmediateData=") + (wishes_.immediate_data ? "Yes" : "No"));
    if (wishes_.whole_buffer) say("TaggedBufferForSolicitedDataOnly=No");
    for (const std::string& key : wishes_.more_keys) say(key);
    if (wishes_.more_keys.empty()) say("RDMAExtensions=Yes");
    peer_.send(message_of(iscsi::encode(login_request(), static_cast<std::uint32_t>(text.size())), as_bytes(text)));
  }
  void on_rejected(const_bytes) override { state_ = state::down; }
  void on_closed() override { down(); }
  void down() {
    state_ = state::down;
    waiting_.clear();
    managed_.clear();
    for (const auto& [tag, each] : std::exchange(sent_, {}))
      if (!each->of->done) each->of->finish({});
  }

  void send_waiting() {
    while (state_ == state::up && !waiting_.empty() && !iscsi::serial_less(max_cmd_sn_, cmd_sn_)) {
      port::contract::request& r = *waiting_.front();
      waiting_.pop_front();
      sent& s = *all_.emplace_back(std::make_unique<sent>());
      s.of = &r;
      s.out = r.data_out;
      s.in.resize(r.room);
      send_command(s);
    }
  }

  void send_command(sent& s) {
    const port::contract::request& r = *s.of;
    s.tag = next_tag_++;
    s.cmd_sn = cmd_sn_++;
    sent_[s.tag] = &s;
    iscsi::scsi_command c;
    c.initiator_task_tag = s.tag;
    c.cmd_sn = s.cmd_sn;
    c.exp_stat_sn = exp_stat_sn_;
    c.lun = port::lun_address(r.lun);
    c.attribute = r.attribute == port::task_attribute::ordered ? 2 : 1;
    c.read = !s.in.empty();
    c.write = !s.out.empty();
    c.expected_data_transfer_length = static_cast<std::uint32_t>(std::max(s.in.size(), s.out.size()));
    std::copy_n(r.cdb.begin(), std::min<std::size_t>(16, r.cdb.size()), c.cdb.begin());
    constexpr std::size_t segment = 8192;
    const std::size_t first = r.withholds ? 0 : std::min<std::size_t>(wishes_.first_burst, s.out.size());
    const std::size_t immediate = wishes_.immediate_data ? std::min(segment, first) : 0;
    const std::size_t unasked = wishes_.initial_r2t || r.withholds ? immediate : first;
    c.final = unasked == immediate;
    iscsi::tagged_buffers buffers;
    if (c.write && (unasked < s.out.size() || wishes_.whole_buffer)) {
      s.key_out = peer_.expose(s.out, false);
      buffers.out = {s.key_out, reinterpret_cast<std::uint64_t>(s.out.data()) + (wishes_.whole_buffer ? 0 : unasked),
                     true};
      if (r.withholds) peer_.hold(s.key_out);
    }
    if (c.read) {
      s.key_in = peer_.expose(s.in, true);
      buffers.in = {s.key_in, reinterpret_cast<std::uint64_t>(s.in.data()), true};
    }
    put(iscsi::encode(c, static_cast<std::uint32_t>(immediate)), const_bytes(s.out).first(immediate), buffers);
    std::uint32_t data_sn = 0;
    for (std::size_t at = immediate; at < unasked;) {
      const std::size_t octets = std::min(segment, unasked - at);
      iscsi::data_out d;
      d.initiator_task_tag = s.tag;
      d.exp_stat_sn = exp_stat_sn_;
      d.data_sn = data_sn++;
      d.buffer_offset = static_cast<std::uint32_t>(at);
      d.final = at + octets == unasked;
      put(iscsi::encode(d, static_cast<std::uint32_t>(octets)), const_bytes(s.out).subspan(at, octets));
      at += octets;
    }
  }

  void take_numbers(const iscsi::sequence_numbers& sn, bool consumes = true) {
    if (consumes) exp_stat_sn_ = sn.stat_sn + 1;
    if (iscsi::serial_less(max_cmd_sn_, sn.max_cmd_sn)) max_cmd_sn_ = sn.max_cmd_sn;
  }

  void on_message(const_bytes octets) override {
    ASSERT_GE(octets.size(), iser::header_bytes + iscsi::bhs_bytes);
    EXPECT_EQ(octets[0], 0x10);
    const const_bytes pdu = octets.subspan(iser::header_bytes);
    const iscsi::bhs_view at = pdu.first<iscsi::bhs_bytes>();
    const iscsi::header shape = iscsi::decode_header(at);
    const const_bytes data = pdu.subspan(iscsi::bhs_bytes, shape.data_bytes);
    EXPECT_TRUE(state_ != state::up || shape.data_bytes <= 128) << "Linux has no room for more";
    switch (shape.code) {
      case iscsi::opcode::login_response:
        on_login(iscsi::decode<iscsi::login_response>(at), data);
        break;
      case iscsi::opcode::scsi_response:
        on_response(iscsi::decode<iscsi::scsi_response>(at), data);
        break;
      case iscsi::opcode::task_management_response: {
        const auto r = iscsi::decode<iscsi::task_management_response>(at);
        take_numbers(r.sn);
        if (const auto found = managed_.extract(r.initiator_task_tag); !found.empty())
          found.mapped()(response_of(r.response));
        break;
      }
      case iscsi::opcode::async_message: {
        const auto told = iscsi::decode<iscsi::async_message>(at);
        take_numbers(told.sn);
        if (told.event == iscsi::async_event::scsi_event)
          heard_.push_back({told.lun, scsi::decode_sense(data.subspan(2)).code});
        break;
      }
      case iscsi::opcode::nop_in: {
        const auto ping = iscsi::decode<iscsi::nop_in>(at);
        take_numbers(ping.sn, false);
        iscsi::nop_out pong;
        pong.immediate = true;
        pong.target_transfer_tag = ping.target_transfer_tag;
        pong.lun = ping.lun;
        pong.cmd_sn = cmd_sn_;
        pong.exp_stat_sn = exp_stat_sn_;
        put(iscsi::encode(pong));
        break;
      }
      case iscsi::opcode::logout_response:
        peer_.disconnect();
        break;
      default:
        ADD_FAILURE() << "a PDU that no target sends here: " << static_cast<int>(shape.code);
    }
    send_waiting();
  }

  void on_login(const iscsi::login_response& r, const_bytes data) {
    answered_keys.assign(data.begin(), data.end());
    std::ranges::replace(answered_keys, '\0', ' ');
    exp_stat_sn_ = r.sn.stat_sn + 1;
    if (r.status != iscsi::login_status::success) {
      refusal = r.status;
      state_ = state::down;
      return;
    }
    if (!r.transit) {  // it asks something of its own
      return put(iscsi::encode(login_request()));
    }
    max_cmd_sn_ = r.sn.max_cmd_sn;
    state_ = state::up;
  }

  void on_response(const iscsi::scsi_response& r, const_bytes data) {
    take_numbers(r.sn);
    const auto found = sent_.extract(r.initiator_task_tag);
    ASSERT_FALSE(found.empty()) << "an answer to nothing";
    sent& s = *found.mapped();
    for (const std::uint32_t key : {s.key_in, s.key_out}) {
      if (key == 0) continue;
      invalidated += !peer_.is_exposed(key);
      peer_.conceal(key);
    }
    EXPECT_EQ(r.exp_data_sn, 0u) << "there are no Data-In PDUs and no R2Ts";
    port::contract::response how;
    how.answered = true;
    how.status = static_cast<scsi::status>(r.status);
    if (data.size() > 2) how.sense_data.assign(data.begin() + 2, data.end());
    how.residual = r.overflow    ? static_cast<std::int64_t>(r.residual_count)
                   : r.underflow ? -static_cast<std::int64_t>(r.residual_count)
                                 : 0;
    const std::size_t left = r.underflow && !s.in.empty() ? r.residual_count : 0;
    how.data.assign(s.in.begin(), s.in.end() - static_cast<std::ptrdiff_t>(left));
    s.of->finish(std::move(how));
  }
  static port::task_response response_of(iscsi::management_response response) {
    switch (response) {
      case iscsi::management_response::function_complete:
        return port::task_response::function_complete;
      case iscsi::management_response::task_does_not_exist:
        return port::task_response::task_does_not_exist;
      case iscsi::management_response::lun_does_not_exist:
        return port::task_response::lun_does_not_exist;
      default:
        return port::task_response::rejected;
    }
  }

  const unsigned number_;
  const iser_wishes wishes_;
  rdma::peer peer_;
  state state_ = state::idle;
  std::vector<port::unit_event> heard_;
  std::uint32_t next_tag_ = 100, cmd_sn_ = 1, max_cmd_sn_ = 1, exp_stat_sn_ = 0;
  std::deque<port::contract::request*> waiting_;  // for the command window
  std::vector<std::unique_ptr<sent>> all_;        // their memory stays where it is
  std::map<std::uint32_t, sent*> sent_;           // and not answered, by tag
  std::map<std::uint32_t, std::function<void(port::task_response)>> managed_;
};

class iser_site final : public simulated_site {
 public:
  explicit iser_site(iser_wishes wishes = {}, std::uint64_t seed = 1)
      : simulated_site(port_of(), {iser_initiator_name(0), iser_initiator_name(1)}, seed), wishes_(std::move(wishes)) {}
  ~iser_site() override { EXPECT_EQ(network_.unready(), 0u) << "a window without receives behind it"; }
  std::unique_ptr<port::contract::initiator> make_initiator(unsigned number) override {
    return std::make_unique<iser_initiator>(network_, number, wishes_);
  }

 private:
  static config::port_config port_of() {
    config::port_config made;
    made.fabric = "iser";
    made.name = iser_port_name;
    made.settings.set("listen", std::vector<std::string>{iser_address});
    return made;
  }
  const iser_wishes wishes_;
};

}  // namespace sluice::fabrics
