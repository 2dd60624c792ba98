#pragma once
#include <atomic>
#include <list>
#include <map>
#include <memory>

#include "gateway/relay/arrivals.hpp"
#include "gateway/relay/incoming_link.hpp"
#include "gateway/relay/outgoing_link.hpp"

namespace sluice::relay {

/// One core's links to and from the other gateways. Its core only, but for its making.
class core_relay final : public access::owner_link, incoming_link::host {
 public:
  core_relay(reactor::loop& loop, const neighbours& all, arrivals& coming);
  ~core_relay();  // after stop()

  void submit(access::relayed_command& c) noexcept override;
  void go_on(access::relayed_command& c) noexcept override;
  void end(access::relayed_command& c) noexcept override;
  void is_over(access::relayed_command& c) noexcept override;
  void forget(std::string_view unit, std::uint64_t nexus_id) noexcept override;
  void has_moved(std::string_view unit, gateway_id to) noexcept override;

  /// The units that there are.
  void follow(const access::directory& now) { attachments_.follow(now); }
  /// Another gateway has connected, or somebody who says so.
  void take(reactor::handle connection, const secret& own);
  /// No unit is left here; `done` runs when no link is.
  void stop(std::function<void()> done);

 private:
  struct incoming {
    std::unique_ptr<incoming_link> link;
    arrivals::place from;
    bool greeted = false;
  };

  void on_greeting(incoming_link& link, gateway_id gateway, unsigned core) noexcept override;
  void on_gone(incoming_link& link) noexcept override;
  void bury(std::uint64_t number);
  void settle();

  reactor::loop& loop_;
  const neighbours& all_;
  arrivals& coming_;
  relay::attachments attachments_{loop_};
  served_pool pool_;
  std::map<gateway_id, std::unique_ptr<outgoing_link>> outgoing_;
  std::map<std::uint64_t, incoming> incoming_;  // by number
  std::size_t closing_ = 0;                     // outgoing links
  std::function<void()> stopped_;
};

}  // namespace sluice::relay
