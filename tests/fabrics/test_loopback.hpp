#pragma once
#include <map>

#include "fabrics/loopback/exchange.hpp"
#include "tests/fabrics/test_site.hpp"

namespace sluice::fabrics {

inline constexpr const char* loopback_port_name = "5000c50000000000";

inline std::string loopback_initiator_name(unsigned number) {
  return "5000c5000000010" + std::to_string(number);
}

/// Its commands go by the channels of all cores in turn.
class loopback_initiator final : public port::contract::initiator, loopback::session::handler {
 public:
  loopback_initiator(port::contract::site& where, unsigned number, std::string name)
      : site_(where), number_(number), name_(std::move(name)) {}
  ~loopback_initiator() override {
    for (auto& [of, each] : sent_) each->of = nullptr;
    if (state_ != state::going_up && state_ != state::up) return;
    session_->end(port::loss_reason::connection_lost);
    EXPECT_TRUE(site_.until([this] { return state_ == state::down; }));
  }

  state now() const override { return state_; }
  void log_in() override {
    state_ = state::going_up;
    auto made = loopback::exchange::of_this_process().log_in(loopback_port_name, 1, {name_, ""},
                                                             number_ % simulated_site::cores, *this);
    if (made)
      session_ = *made;
    else
      state_ = state::down;
  }
  void log_out() override { session_->log_out(); }
  void vanish() override { session_->end(port::loss_reason::connection_lost); }
  void submit(port::contract::request& r) override {
    auto& made = sent_[&r] = std::make_unique<command>();
    made->of = &r;
    made->lun = port::lun_address(r.lun);
    made->tag = next_tag_++;
    made->cdb = r.cdb;
    made->data_out = r.data_out;
    made->room = r.room;
    made->attribute = r.attribute;
    made->withholds = r.withholds;
    made->channel = next_channel();
    session_->submit(made->channel, *made);
  }
  bool owes(const port::contract::request& r) const override {
    return sent_.at(const_cast<port::contract::request*>(&r))->asked;
  }
  void resume(port::contract::request& r) override { session_->resume(sent_.at(&r)->channel, *sent_.at(&r)); }
  void manage(port::task_function function, std::uint16_t lun, const port::contract::request* referenced,
              std::function<void(port::task_response)> answered) override {
    const std::uint64_t tag = referenced ? sent_.at(const_cast<port::contract::request*>(referenced))->tag : 0;
    session_->manage(next_channel(), function, port::lun_address(lun), tag, std::move(answered));
  }
  bool can_lose() const override { return true; }
  void lose(port::contract::request& r) override { session_->lose(sent_.at(&r)->channel, *sent_.at(&r)); }
  bool can_withhold_reads() const override { return true; }
  std::vector<port::unit_event> heard() const override { return heard_; }

 private:
  struct command final : loopback::command {
    port::contract::request* of = nullptr;
    unsigned channel = 0;
    void on_done() noexcept override {
      if (of) of->finish({answered, status, sense, data_in, residual});
    }
  };

  void on_up(const result<void>& how) noexcept override { state_ = how ? state::up : state::down; }
  void on_down(port::loss_reason) noexcept override { state_ = state::down; }
  void on_event(const port::unit_event& what) noexcept override { heard_.push_back(what); }
  unsigned next_channel() { return next_channel_++ % simulated_site::cores; }

  port::contract::site& site_;
  const unsigned number_;
  const std::string name_;
  state state_ = state::idle;
  std::shared_ptr<loopback::session> session_;
  std::map<port::contract::request*, std::unique_ptr<command>> sent_;  // kept: a request's memory may be used again
  std::uint64_t next_tag_ = 1;
  unsigned next_channel_ = 0;
  std::vector<port::unit_event> heard_;
};

class loopback_site final : public simulated_site {
 public:
  explicit loopback_site(bool names = true) : simulated_site(port_of(names), names_of(names)), names_(names) {}
  std::unique_ptr<port::contract::initiator> make_initiator(unsigned number) override {
    return std::make_unique<loopback_initiator>(*this, number,
                                                names_ ? loopback_initiator_name(number) : std::string());
  }

 private:
  static config::port_config port_of(bool names) {
    config::port_config made;
    made.fabric = "loopback";
    made.name = loopback_port_name;
    made.settings.set("names_initiators", names);
    return made;
  }
  static std::vector<std::string> names_of(bool names) {
    if (!names) return {};
    return {loopback_initiator_name(0), loopback_initiator_name(1)};
  }
  const bool names_;
};

}  // namespace sluice::fabrics
