#include "fabrics/iscsi/core_connections.hpp"

namespace sluice::iscsi {
namespace {

/// Whose tasks come to nobody: a stranger has none.
class no_endpoint final : public port::task_endpoint {
 public:
  void post(port::task&, port::task_event) noexcept override { SLUICE_CHECK(false); }
  void post(port::task_management&) noexcept override { SLUICE_CHECK(false); }
};

no_endpoint nobody;

}  // namespace

core_connections::core_connections(reactor::loop& loop, port::gateway& gateway, session_owner make_session)
    : loop_(loop),
      gateway_(gateway),
      make_session_(std::move(make_session)),
      turns_(std::make_shared<turn_queue>(loop)) {}

core_connections::~core_connections() {
  SLUICE_CHECK(live_.empty());
}

void core_connections::take(std::shared_ptr<accepted_peer> who, connection_options options,
                            std::shared_ptr<connection_facts> facts) {
  const number id = ++last_;
  options.turns = turns_;
  options.listings = listings_;
  // Told to close before it is open here, it is never opened: the flag is set before the order is posted.
  port_sessions::closer closer = [self = shared_from_this(), id, facts](port::loss_reason reason) {
    facts->closing = true;
    self->loop_.post([self, id, reason] { self->close(id, reason); });
  };
  const std::uint64_t slot = options.shared->book->arrive(facts, closer);
  const auto begin = [self = shared_from_this(), id, who = std::move(who), options, facts, slot, closer] {
    self->open(id, *who, options, facts, slot, closer);
  };
  if (loop_.runs_here())
    begin();
  else
    loop_.post(begin);
}

void core_connections::open(number id, accepted_peer& who, const connection_options& options,
                            const std::shared_ptr<connection_facts>& facts, std::uint64_t slot,
                            const port_sessions::closer& closer) {
  const turn_queue::work opening(*turns_);
  if (facts->closing) {
    options.shared->refused.count(refusals::gave_way);
    who.refuse();
    return options.shared->book->leave(slot);
  }
  const auto ended = [this, id] {
    const auto self = shared_from_this();  // with its last connection the fabric may go
    const turn_queue::work ending(*turns_);
    live_.erase(id);
    strangers_.erase(id);
  };
  auto made = std::make_unique<connection>(loop_, who, gateway_, nobody, options, closer, ended);
  connection& opened = *made;
  live_[id] = &opened;
  strangers_[id] = std::move(made);
  opened.before_session([this, id] { hand_over(id); });
  opened.reach_by([self = shared_from_this(), id](const std::shared_ptr<successor>& heir) {
    self->loop_.post([self, id, heir] { self->reinstate(id, heir); });
  });
  opened.start(facts, slot);
}

void core_connections::hand_over(number id) {
  auto stranger = strangers_.extract(id);
  make_session_(std::move(stranger.mapped()), [self = shared_from_this(), id] { self->live_.erase(id); });
}

void core_connections::reinstate(number id, const std::shared_ptr<successor>& heir) {
  const auto found = live_.find(id);
  if (found == live_.end()) return loop_.close(heir->handle);
  found->second->reinstate(heir);
}

void core_connections::close(number id, port::loss_reason reason) {
  const auto found = live_.find(id);
  if (found == live_.end()) return;
  const turn_queue::work closing(*turns_);
  found->second->send_away(reason);
}

}  // namespace sluice::iscsi
