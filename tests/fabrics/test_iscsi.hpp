#pragma once
#include <map>

#include "tests/fabrics/test_site.hpp"
#include "tests/sim/session.hpp"

namespace sluice::fabrics {

inline constexpr const char* iscsi_port_name = "iqn.2026-11.sim:target";

inline std::string iscsi_initiator_name(unsigned number) {
  return "iqn.2026-11.sim:host" + std::to_string(number);
}

/// The initiator of the simulation, told what to do.
class iscsi_initiator final : public port::contract::initiator, sim::session::listener {
 public:
  iscsi_initiator(reactor::sim_world& world, unsigned number, unsigned instance, sim::wishes wishes)
      : world_(world),
        loop_(world.make_loop(10 + instance)),
        session_(told_, *loop_, *this, iscsi_initiator_name(number), iscsi_port_name, 0x400000000000),
        wishes_(wishes) {}
  ~iscsi_initiator() override {
    sent_.clear();
    session_.disconnect();
    world_.run_until([this] { return session_.closed(); }, world_.now_ns() + 20 * ns_per_s);
    EXPECT_TRUE(!told_.failed() || refused_) << told_.verdict();
  }

  state now() const override { return state_; }
  void log_in() override {
    state_ = state::going_up;
    session_.open({"127.0.0.1", 3260}, wishes_);
  }
  void log_out() override { session_.log_out(); }
  void vanish() override { world_.reset_connection(session_.connection()); }

  std::vector<port::unit_event> heard() const override { return heard_; }

  void submit(port::contract::request& r) override {
    const std::uint32_t tag = next_tag_++;
    sent_[tag] = &r;
    sim::outgoing command;
    command.tag = tag;
    command.lun = r.lun;
    std::copy(r.cdb.begin(), r.cdb.end(), command.cdb.begin());
    command.data_out = r.data_out;
    command.attribute = r.attribute == port::task_attribute::ordered ? 2 : 1;
    command.data_in_bytes = static_cast<std::uint32_t>(r.room);
    if (r.withholds) session_.withhold(tag);
    session_.send(std::move(command));
  }
  bool owes(const port::contract::request& r) const override { return session_.owes(tag_of(r)); }
  void resume(port::contract::request& r) override { session_.give(tag_of(r)); }
  void manage(port::task_function function, std::uint16_t lun, const port::contract::request* referenced,
              std::function<void(port::task_response)> answered) override {
    const std::uint32_t tag = next_tag_++;
    managed_[tag] = std::move(answered);
    session_.manage(tag, function_of(function), lun, referenced ? tag_of(*referenced) : iscsi::reserved_tag);
  }

 private:
  static iscsi::management_function function_of(port::task_function function) {
    switch (function) {
      case port::task_function::abort_task:
        return iscsi::management_function::abort_task;
      case port::task_function::logical_unit_reset:
        return iscsi::management_function::logical_unit_reset;
      default:
        ADD_FAILURE() << "the suite asks for no such function";
        return iscsi::management_function::abort_task;
    }
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
  /// Of the latest command that the request was for.
  std::uint32_t tag_of(const port::contract::request& r) const {
    for (auto each = sent_.rbegin(); each != sent_.rend(); ++each)
      if (each->second == &r) return each->first;
    return last_tag_of_.at(&r);
  }

  void on_up() override { state_ = state::up; }
  void on_down() override {
    refused_ = refused_ || state_ == state::going_up;
    state_ = state::down;
    std::map<std::uint32_t, port::contract::request*> ended;
    ended.swap(sent_);
    for (const auto& [tag, r] : ended) r->finish({});
    managed_.clear();
  }
  void on_answer(std::uint32_t tag, const sim::answer& what) override {
    const auto found = sent_.extract(tag);
    if (found.empty()) return;
    last_tag_of_[found.mapped()] = tag;
    const std::int64_t count = what.residual;
    found.mapped()->finish({true, static_cast<scsi::status>(what.status), what.sense, what.data,
                            what.overflow    ? count
                            : what.underflow ? -count
                                             : 0});
  }
  void on_managed(std::uint32_t tag, iscsi::management_response response) override {
    if (const auto found = managed_.extract(tag); !found.empty()) found.mapped()(response_of(response));
  }
  void on_echo(std::uint32_t) override {}
  void on_logged_out() override {}
  void on_event(std::uint64_t lun, scsi::additional_sense code) override { heard_.push_back({lun, code}); }

  reactor::sim_world& world_;
  sim::judge told_;
  std::unique_ptr<reactor::loop> loop_;
  sim::session session_;
  const sim::wishes wishes_;
  state state_ = state::idle;
  bool refused_ = false;
  std::vector<port::unit_event> heard_;
  std::uint32_t next_tag_ = 100;
  std::map<std::uint32_t, port::contract::request*> sent_;  // and not answered
  std::map<const port::contract::request*, std::uint32_t> last_tag_of_;
  std::map<std::uint32_t, std::function<void(port::task_response)>> managed_;
};

class iscsi_site final : public simulated_site {
 public:
  explicit iscsi_site(sim::wishes wishes = {})
      : simulated_site(port_of(), {iscsi_initiator_name(0), iscsi_initiator_name(1)}), wishes_(wishes) {}
  std::unique_ptr<port::contract::initiator> make_initiator(unsigned number) override {
    return std::make_unique<iscsi_initiator>(world_, number, instances_++, wishes_);
  }

 private:
  static config::port_config port_of() {
    config::port_config made;
    made.fabric = "iscsi";
    made.name = iscsi_port_name;
    made.settings.set("listen", std::vector<std::string>{"127.0.0.1:3260"});
    return made;
  }
  const sim::wishes wishes_;
  unsigned instances_ = 0;
};

}  // namespace sluice::fabrics
