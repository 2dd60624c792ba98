#include "gateway/relay/core_relay.hpp"

namespace sluice::relay {

namespace {

/// Numbers of links, unique in the process.
std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

/// Strangers may connect: no more of them at a time than this beside the links of gateways.
constexpr std::size_t max_incoming = 1024;

}  // namespace

core_relay::core_relay(reactor::loop& loop, const neighbours& all, arrivals& coming)
    : loop_(loop), all_(all), coming_(coming) {}

core_relay::~core_relay() {
  SLUICE_CHECK(incoming_.empty());
}

void core_relay::submit(access::relayed_command& c) noexcept {
  auto& link = outgoing_[c.owner];
  if (!link) link = std::make_unique<outgoing_link>(loop_, all_, c.owner);
  link->submit(c);
}

void core_relay::go_on(access::relayed_command& c) noexcept {
  outgoing_.at(c.owner)->go_on(c);
}

void core_relay::end(access::relayed_command& c) noexcept {
  outgoing_.at(c.owner)->end(c);
}

void core_relay::is_over(access::relayed_command& c) noexcept {
  outgoing_.at(c.owner)->is_over(c);
}

void core_relay::forget(std::string_view unit, std::uint64_t nexus_id) noexcept {
  for (const auto& [gateway, link] : outgoing_) link->forget(unit, nexus_id);
}

void core_relay::has_moved(std::string_view unit, gateway_id to) noexcept {
  for (const auto& [gateway, link] : outgoing_)
    if (gateway != to) link->has_moved(unit);
}

void core_relay::take(reactor::handle connection, const secret& own) {
  if (stopped_ || incoming_.size() >= max_incoming) return loop_.close(connection);
  const std::uint64_t number = next_number();
  incoming& entered = incoming_[number];
  entered.link = std::make_unique<incoming_link>(
      incoming_link::surroundings{loop_, attachments_, pool_, static_cast<incoming_link::host&>(*this)}, number,
      connection, own);
}

void core_relay::on_greeting(incoming_link& link, gateway_id gateway, unsigned core) noexcept {
  incoming& entered = incoming_.at(link.number());
  entered.from = {gateway, core};
  entered.greeted = true;
  const auto here = [this, number = link.number()](auto what) {
    return [this, number, what] {
      loop_.post([this, number, what] {
        if (const auto found = incoming_.find(number); found != incoming_.end()) what(*found->second.link);
      });
    };
  };
  coming_.enter(entered.from, link.number(), here([](incoming_link& l) { l.close("another link takes its place"); }),
                here([](incoming_link& l) { l.welcome(); }));
}

void core_relay::on_gone(incoming_link& link) noexcept {
  loop_.post([this, number = link.number()] { bury(number); });
}

void core_relay::bury(std::uint64_t number) {
  const auto found = incoming_.find(number);
  if (!found->second.link->may_go()) return loop_.post([this, number] { bury(number); });
  if (found->second.greeted) coming_.leave(found->second.from, number);
  incoming_.erase(found);
  settle();
}

void core_relay::stop(std::function<void()> done) {
  stopped_ = std::move(done);
  closing_ = outgoing_.size();
  for (const auto& [gateway, link] : outgoing_)
    link->close([this] {
      --closing_;
      loop_.post([this] { settle(); });
    });
  for (const auto& [number, each] : incoming_) each.link->close("this gateway stops");
  settle();
}

void core_relay::settle() {
  if (!stopped_ || closing_ != 0 || !incoming_.empty() || !attachments_.empty()) return;
  outgoing_.clear();
  std::exchange(stopped_, {})();
}

}  // namespace sluice::relay
