#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fabrics/port/fabric.hpp"
#include "gateway/nexus/open_nexus.hpp"
#include "gateway/nexus/registry.hpp"

namespace sluice::nexus {

/// What a core tells the registry.
class registry_endpoint {
 public:
  virtual void admit(const admission& wish) = 0;
  virtual void closed(std::uint64_t nexus_id) = 0;

 protected:
  ~registry_endpoint() = default;
};

/// One channel of a live nexus, for status; the others have the same id.
struct nexus_info {
  std::uint64_t id = 0;
  std::string initiator, target;
  port::port_id port;
  std::string peer, description;
  std::string initiator_name;  // as access tables call it
  std::uint64_t opened_ns = 0;
  unsigned core = 0;
  std::uint64_t commands = 0, octets = 0;  // that it has asked for; octets: to be moved
};

/// The SCSI core's endpoint for the fabrics of one core: answers discovery and access at once from the published
/// directory, and opens nexuses with the registry's leave. Plain class; core_actor brings it its messages.
class core_gateway final : public port::gateway, other_channels {
 public:
  core_gateway(reactor::loop& loop, registry_endpoint& registry, peer_link& peers);

  std::optional<port::access> check(const port::port_id& port, const std::string& initiator_name) override;
  std::uint64_t access_epoch() const noexcept override { return directory_->version; }
  void open(const port::login& who, port::channel_events events,
            std::function<void(result<std::unique_ptr<port::nexus>>)> opened) override;
  void join(std::uint64_t nexus_id, const port::login& who, port::channel_events events,
            std::function<void(result<std::unique_ptr<port::nexus>>)> opened) override;

  void granted(std::uint64_t question_id, std::uint64_t nexus_id);
  void refused(std::uint64_t question_id, errc why);
  void evict(std::uint64_t nexus_id, port::loss_reason reason);
  /// A new snapshot: LUN maps of live nexuses follow it; nexuses that it no longer admits are evicted.
  void publish(std::shared_ptr<const access::directory> directory);
  std::vector<nexus_info> list() const;
  const function_counts& managed() const { return managed_; }
  /// Another core's channel of a nexus has a function to carry out; what it asked of us has been answered.
  void asked(const peer_request& request);
  void answered(const peer_answer& what);

 private:
  struct pending {
    port::login who;
    port::channel_events events;
    std::function<void(result<std::unique_ptr<port::nexus>>)> opened;
    bool joins = false;
  };
  struct live {
    open_nexus* nexus = nullptr;  // the fabric's; it tells us through `gone`
    port::login who;
    std::function<void(port::loss_reason)> evict;
    std::string target;
    std::uint64_t opened_ns = 0;
    bool evicted = false;
  };
  struct question {
    unsigned left = 0;
    port::task_response together = port::task_response::task_does_not_exist;
    other_channels::answer answered;
  };

  void wish(std::uint64_t joins, pending what);
  void manage_elsewhere(const port::task_management& request, other_channels::answer answered) override;

  reactor::loop& loop_;
  registry_endpoint& registry_;
  peer_link& peers_;
  std::shared_ptr<const access::directory> directory_ = std::make_shared<access::directory>();
  std::uint64_t next_question_id_ = 1;
  std::map<std::uint64_t, pending> waiting_;
  std::map<std::uint64_t, live> live_;
  std::map<std::uint64_t, question> questions_;  // by question_id
  function_counts managed_;
};

}  // namespace sluice::nexus
