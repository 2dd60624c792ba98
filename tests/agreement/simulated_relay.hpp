#pragma once
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "actors/reactor/simulated.hpp"
#include "gateway/access/owner_link.hpp"
#include "tests/agreement/plant.hpp"

namespace sluice::agreement_sim {

class served_gateway;

/// Links between gateways, one for each core of one and each other one, as gateway/relay keeps them: in order while
/// they last; broken by cuts and deaths, which each end notices when it does; and up again only when the peer has ended
/// what came by the one before. (gateway/relay itself has a simulated network of its own: relay_test.)
class simulated_relay {
 public:
  simulated_relay(reactor::sim_world& world, reactor::loop& loop, plant bug);
  ~simulated_relay();
  simulated_relay(const simulated_relay&) = delete;
  simulated_relay& operator=(const simulated_relay&) = delete;

  void add(served_gateway& gateway);
  access::owner_link& on(gateway_id gateway, unsigned core);
  /// What one sends to the other is lost, or is not any more.
  void cut(gateway_id from, gateway_id to, bool lost);
  /// The process of a gateway ends: nobody there hears of what it asked for.
  void end(gateway_id gateway);

 private:
  class outgoing;
  class served;
  using place = std::tuple<gateway_id, unsigned, gateway_id>;  // from which gateway and core, to whom
  struct link {
    enum class state : std::uint8_t { down, connecting, up } at = state::down;
    std::uint64_t life = 0;  // of the connection
    bool whole = false;      // nothing has broken it yet, noticed or not
    std::uint64_t down_since_ns = 0, there_ns = 0, back_ns = 0;
    std::map<std::uint64_t, access::relayed_command*> sent;
    std::deque<access::relayed_command*> waiting;
  };
  struct arrival {
    std::uint64_t life = 0, greets = 0;
    std::set<std::uint64_t> nexuses, leaving;  // those that leave are among them until they have
  };

  served_gateway& gateway(gateway_id id) const { return *gateways_.at(id); }
  bool passes(gateway_id from, gateway_id to) const { return !cuts_.contains({from, to}); }
  std::uint64_t wire();
  void there(const place& at, std::uint64_t life, std::function<void()> what);
  void back(const place& at, std::uint64_t life, std::function<void()> what);
  void submit(const place& at, access::relayed_command& c);
  void wake(const place& at);
  void connect(const place& at);
  void welcomed(const place& at, std::uint64_t life);
  void send(const place& at, access::relayed_command& c);
  void answer(const place& at, access::relayed_command& c, access::relayed how);
  void is_over(const place& at, access::relayed_command& c);
  void broken(const place& at);
  void notice(const place& at, std::uint64_t life);
  void greet(const place& at, std::uint64_t life);
  void serve(const place& at, std::uint64_t life, std::unique_ptr<served> s);
  void leave(const place& at, std::uint64_t nexus);
  void forget(const place& at, std::uint64_t nexus);
  void completed(served& s);

  reactor::sim_world& world_;
  reactor::loop& loop_;
  const plant bug_;
  std::map<gateway_id, served_gateway*> gateways_;
  std::map<std::pair<gateway_id, unsigned>, std::unique_ptr<outgoing>> outgoing_;
  std::map<place, link> links_;
  std::map<place, arrival> arrivals_;
  std::map<served*, std::unique_ptr<served>> served_;
  std::set<std::pair<gateway_id, gateway_id>> cuts_;
  std::uint64_t next_ = 1;
};

}  // namespace sluice::agreement_sim
