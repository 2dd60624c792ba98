#pragma once
#include <deque>
#include <memory>
#include <string>

#include "tests/agreement/served_gateway.hpp"

namespace sluice::agreement_sim {

/// One command of an initiator, with all that has to live as long as the gateway may look at it.
struct exchange {
  asked what;
  port::task task;
  port::task_management management;
};

/// A session of an initiator with a gateway. Answers are heard a while after they were given, or never when the gateway
/// has ended; a session whose command is not answered is dropped, as an initiator does.
class session final : public port::task_endpoint {
 public:
  session(reactor::sim_world& world, reactor::loop& loop, oracle& told, served_gateway& at, unsigned host);

  enum class state : std::uint8_t { out, logging_in, idle, busy, leaving };
  state now();
  void log_in();
  void drop();
  /// A command of a kind that chance draws, or one that only asks for unit attentions.
  void send_any();
  void send_probe();
  /// PERSISTENT RESERVE IN, READ FULL STATUS.
  void ask_status();
  const std::vector<std::uint8_t>& status_data() const { return status_; }
  bool heard_good() const { return heard_good_; }

  void post(port::task& subject, port::task_event event) noexcept override;
  void post(port::task_management& request) noexcept override;

 private:
  exchange& begin(asked::kind what);
  void send_blocks();
  void send_reservation();
  void submit(exchange& e, std::vector<std::uint8_t> cdb, const std::vector<std::uint8_t>& out = {},
              std::uint64_t room = 0);
  void manage(exchange& e);
  void watch(exchange& e);
  void later(std::function<void()> what);

  reactor::sim_world& world_;
  reactor::loop& loop_;
  oracle& oracle_;
  served_gateway& gateway_;
  const unsigned host_;
  unsigned shard_ = 0;
  std::shared_ptr<port::i_t_nexus> identity_;
  state state_ = state::out;
  std::uint64_t life_ = 0;  // of the gateway's process
  std::deque<exchange> exchanges_;
  exchange* current_ = nullptr;
  bool asks_status_ = false;
  bool heard_good_ = false;
  std::vector<std::uint8_t> status_;
};

}  // namespace sluice::agreement_sim
