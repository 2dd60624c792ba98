#pragma once
#include <algorithm>
#include <deque>
#include <map>

#include "fabrics/srp/functions.hpp"
#include "tests/fabrics/test_site.hpp"

namespace sluice::fabrics {

inline constexpr const char* srp_port_name = "0002c90300a1b2c40002c90300a1b2c3";
inline constexpr const char* srp_address = "192.0.2.1:5555";

inline std::string srp_initiator_name(unsigned number) {
  return "0000000000000000e41d2d030050100" + std::to_string(number);
}

/// How an initiator describes its data.
struct srp_wishes {
  bool immediate = false;         // small data-out go with the command
  std::size_t piece = SIZE_MAX;   // octets of a memory descriptor
  std::size_t listed = SIZE_MAX;  // descriptors that go with a command; the others only in a table
  bool multiple = false;          // the channel joins a nexus that is there
};

/// An initiator over simulated RDMA.
class srp_initiator final : public port::contract::initiator, rdma::peer::handler {
 public:
  static constexpr std::uint16_t immediate_offset = 68;
  static constexpr std::size_t max_immediate = 8192;

  srp_initiator(rdma::simulated_network& network, unsigned number, srp_wishes wishes)
      : number_(number), wishes_(wishes), peer_(network, "192.0.2.9:" + std::to_string(40000 + number), *this) {}
  ~srp_initiator() override { sent_.clear(); }

  state now() const override { return state_; }
  srp::login_request login() const {
    srp::login_request asked;
    asked.tag = 7;
    asked.formats = srp::direct_format | srp::indirect_format;
    asked.immediate = wishes_.immediate;
    asked.immediate_offset = wishes_.immediate ? immediate_offset : 0;
    asked.max_initiator_iu_bytes = wishes_.immediate ? immediate_offset + max_immediate : 4164;
    asked.action = wishes_.multiple ? srp::multi_channel::multiple : srp::multi_channel::single;
    asked.initiator = srp::parse_identifier(srp_initiator_name(number_)).value();
    asked.target = srp::parse_identifier(srp_port_name).value();
    return asked;
  }
  void log_in() override { log_in(login()); }
  void log_in(const srp::login_request& asked) {
    state_ = state::going_up;
    peer_.connect(srp_address, encode(asked));
  }
  void log_out() override { peer_.send(message_of(srp::opcode::initiator_logout, 0)); }
  void vanish() override {
    peer_.vanish();
    down();
  }
  std::vector<port::unit_event> heard() const override { return heard_; }

  void submit(port::contract::request& r) override {
    waiting_.push_back(&r);
    send_waiting();
  }
  bool owes(const port::contract::request& r) const override {
    const sent& s = *last_of(r);
    return std::ranges::any_of(s.keys_out, [&](std::uint32_t key) { return peer_.is_awaited(key); });
  }
  void resume(port::contract::request& r) override {
    for (const std::uint32_t key : last_of(r)->keys_out) peer_.release(key);
  }
  void manage(port::task_function function, std::uint16_t lun, const port::contract::request* referenced,
              std::function<void(port::task_response)> answered) override {
    const std::uint64_t tag = next_tag_++;
    managed_[tag] = std::move(answered);
    --credits;
    const std::uint8_t code = function == port::task_function::abort_task ? 0x01 : 0x08;
    EXPECT_EQ(srp::function_of(code), function) << "the suite asks for no such function";
    peer_.send(encode(srp::task_management{tag, port::lun_address(lun), code,
                                           referenced ? last_of(*referenced)->tag : ~std::uint64_t{0}}));
  }

  rdma::peer& peer() { return peer_; }
  std::int32_t credits = 0;
  srp::login_response welcome;
  std::optional<srp::login_refusal> refusal;

 private:
  struct sent {
    std::uint64_t tag = 0;
    port::contract::request* of = nullptr;
    std::vector<std::uint8_t> out, in, table_out, table_in;
    std::vector<std::uint32_t> keys_out;
  };

  static std::vector<std::uint8_t> message_of(srp::opcode what, std::uint64_t tag) {
    std::vector<std::uint8_t> made(16);
    made[0] = static_cast<std::uint8_t>(what);
    for (unsigned i = 0; i < 8; ++i) made[8 + i] = static_cast<std::uint8_t>(tag >> (56 - 8 * i));
    return made;
  }

  const sent* last_of(const port::contract::request& r) const {
    for (auto each = all_.rbegin(); each != all_.rend(); ++each)
      if (each->get()->of == &r) return each->get();
    ADD_FAILURE() << "never sent";
    return nullptr;
  }

  srp::data_buffer describe(std::vector<std::uint8_t>& memory, std::vector<std::uint8_t>& table, bool writable,
                            std::vector<std::uint32_t>* keys) {
    srp::data_buffer made;
    made.length = memory.size();
    for (std::size_t at = 0; at < memory.size();) {
      const std::size_t octets = std::min(wishes_.piece, memory.size() - at);
      const std::uint32_t key = peer_.expose(bytes(memory).subspan(at, octets), writable);
      if (keys) keys->push_back(key);
      made.pieces.push_back(
          {reinterpret_cast<std::uint64_t>(memory.data() + at), key, static_cast<std::uint32_t>(octets)});
      at += octets;
    }
    if (made.pieces.size() <= std::min<std::size_t>(wishes_.listed, 200)) return made;
    for (const srp::memory_descriptor& each : made.pieces)
      for (const auto& [value, octets] :
           {std::pair<std::uint64_t, unsigned>{each.address, 8}, {each.key, 4}, {each.length, 4}})
        for (unsigned i = 0; i < octets; ++i)
          table.push_back(static_cast<std::uint8_t>(value >> (8 * (octets - 1 - i))));
    made.table = {reinterpret_cast<std::uint64_t>(table.data()), peer_.expose(table, false),
                  static_cast<std::uint32_t>(table.size())};
    made.external = true;
    made.pieces.resize(std::min<std::size_t>(wishes_.listed, 200));
    return made;
  }

  void send_waiting() {
    while (credits > 0 && !waiting_.empty()) {
      port::contract::request& r = *waiting_.front();
      waiting_.pop_front();
      --credits;
      sent& s = *all_.emplace_back(std::make_unique<sent>());
      s.tag = next_tag_++;
      s.of = &r;
      s.out = r.data_out;
      s.in.resize(r.room);
      sent_[s.tag] = &s;
      srp::command c;
      c.tag = s.tag;
      c.lun = port::lun_address(r.lun);
      c.attribute = r.attribute;
      c.cdb = const_bytes(r.cdb).first(std::min<std::size_t>(16, r.cdb.size()));
      if (r.cdb.size() > 16) c.additional_cdb = const_bytes(r.cdb).subspan(16);
      if (wishes_.immediate && !r.withholds && !s.out.empty() && s.out.size() <= max_immediate) {
        c.out.is_immediate = true;
        c.out.immediate = s.out;
        c.out.length = s.out.size();
      } else {
        c.out = describe(s.out, s.table_out, false, &s.keys_out);
      }
      c.in = describe(s.in, s.table_in, true, nullptr);
      if (r.withholds)
        for (const std::uint32_t key : s.keys_out) peer_.hold(key);
      peer_.send(encode(c, immediate_offset));
    }
  }

  void on_accepted(const_bytes private_data) override {
    welcome = srp::decode_login_response(private_data).value();
    credits = welcome.request_limit_delta;
    state_ = state::up;
  }
  void on_rejected(const_bytes private_data) override {
    if (const auto why = srp::decode_login_rejection(private_data)) refusal = why->reason;
    state_ = state::down;
  }
  void on_closed() override { down(); }
  void down() {
    state_ = state::down;
    credits = 0;
    waiting_.clear();
    managed_.clear();
    for (const auto& [tag, each] : std::exchange(sent_, {}))
      if (!each->of->done) each->of->finish({});
  }

  void on_message(const_bytes iu) override {
    credits += srp::request_limit_delta_of(iu);
    EXPECT_LE(iu.size(), welcome.max_target_iu_bytes);
    switch (static_cast<srp::opcode>(iu[0])) {
      case srp::opcode::response:
        on_response(srp::decode_response(iu).value());
        break;
      case srp::opcode::credit_request:
        peer_.send(message_of(srp::opcode::credit_response, srp::tag_of(iu)));
        break;
      case srp::opcode::event_request: {
        const srp::event_request told = srp::decode_event(iu).value();
        heard_.push_back({told.lun, scsi::decode_sense(told.sense).code});
        peer_.send(message_of(srp::opcode::event_response, told.tag));
        break;
      }
      default:
        ADD_FAILURE() << "an IU that no target sends";
    }
    send_waiting();
  }

  static std::int64_t signed_bytes(const port::residual& r) {
    return (r.under ? -1 : r.over ? 1 : 0) * static_cast<std::int64_t>(r.octets);
  }

  void on_response(const srp::response& r) {
    if (const auto managed = managed_.extract(r.tag); !managed.empty()) {
      EXPECT_TRUE(r.has_code);
      return managed.mapped()(response_of(r.code));
    }
    const auto found = sent_.extract(r.tag);
    ASSERT_FALSE(found.empty()) << "an answer to nothing";
    sent& s = *found.mapped();
    port::contract::response how;
    how.answered = true;
    how.status = r.status;
    how.sense_data.assign(r.sense.begin(), r.sense.end());
    const std::uint64_t left = r.in.under ? r.in.octets : 0;
    how.data.assign(s.in.begin(), s.in.end() - static_cast<std::ptrdiff_t>(left));
    how.residual = s.of->data_out.empty() ? signed_bytes(r.in) : signed_bytes(r.out);
    if (s.of->data_out.empty() && s.of->room == 0) how.residual = signed_bytes(r.out.over ? r.out : r.in);
    s.of->finish(std::move(how));
  }
  static port::task_response response_of(srp::response_code code) {
    switch (code) {
      case srp::response_code::done:
        return port::task_response::function_complete;
      case srp::response_code::invalid_fields:
        return port::task_response::lun_does_not_exist;
      case srp::response_code::not_supported:
        return port::task_response::not_supported;
      case srp::response_code::failed:
        return port::task_response::task_does_not_exist;
    }
    return port::task_response::rejected;
  }

  const unsigned number_;
  const srp_wishes wishes_;
  rdma::peer peer_;
  state state_ = state::idle;
  std::vector<port::unit_event> heard_;
  std::uint64_t next_tag_ = 100;
  std::deque<port::contract::request*> waiting_;  // for credits
  std::vector<std::unique_ptr<sent>> all_;        // their memory stays where it is
  std::map<std::uint64_t, sent*> sent_;           // and not answered, by tag
  std::map<std::uint64_t, std::function<void(port::task_response)>> managed_;
};

class srp_site final : public simulated_site {
 public:
  explicit srp_site(srp_wishes wishes = {}, std::uint64_t seed = 1)
      : simulated_site(port_of(), {srp_initiator_name(0), srp_initiator_name(1)}, seed), wishes_(wishes) {}
  ~srp_site() override { EXPECT_EQ(network_.unready(), 0u) << "credits without a receive behind them"; }
  std::unique_ptr<port::contract::initiator> make_initiator(unsigned number) override {
    return std::make_unique<srp_initiator>(network_, number, wishes_);
  }

 private:
  static config::port_config port_of() {
    config::port_config made;
    made.fabric = "srp";
    made.name = srp_port_name;
    made.settings.set("listen", std::vector<std::string>{srp_address});
    return made;
  }
  const srp_wishes wishes_;
};

}  // namespace sluice::fabrics
