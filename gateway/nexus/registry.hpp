#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>

#include "actors/base/global_id.hpp"
#include "actors/base/result.hpp"
#include "fabrics/port/nexus_endpoint.hpp"

namespace sluice::nexus {

/// A wish to open a nexus, or another channel to one, from one core.
struct admission {
  unsigned core = 0;
  std::uint64_t question_id = 0;  // the core's own number for it
  scsi::transport_id initiator;
  port::port_id port;
  std::uint64_t joins = 0;  // the live nexus that is to get a channel; 0: a new one is wished
};

/// What the registry tells cores; the actor turns each into a message.
class registry_link {
 public:
  virtual void evict(unsigned core, std::uint64_t nexus_id, port::loss_reason reason) = 0;
  virtual void grant(unsigned core, std::uint64_t question_id, std::uint64_t nexus_id) = 0;
  /// Only a wish for a channel is ever refused.
  virtual void refuse(unsigned core, std::uint64_t question_id, errc why) = 0;

 protected:
  ~registry_link() = default;
};

/// The one place that knows every I_T nexus of the gateway: no two live nexuses join the same initiator port and target
/// port. A second login waits until the first nexus, which it evicts, has ended [RFC7143 6.3.5].
class registry {
 public:
  explicit registry(registry_link& cores, gateway_id gateway = 0) : cores_(cores), gateway_(gateway) {}

  void admit(admission wish);
  /// The nexus' channel on that core has ended, or the grant was not used.
  void closed(std::uint64_t nexus_id, unsigned core);
  /// Asks for the end of a nexus, of all its channels; false when there is none of that number.
  bool kick(std::uint64_t nexus_id, port::loss_reason reason);
  std::size_t size() const { return by_id_.size(); }

 private:
  struct name {
    scsi::transport_id initiator;
    port::port_id port;
    auto operator<=>(const name&) const = default;
  };
  struct entry {
    std::uint64_t id = 0;
    std::set<unsigned> cores;  // that have a channel
    bool ends = false;         // it has been told to: nobody joins any more
    std::deque<admission> waiting;
  };

  void grant(entry& e, const name& who, const admission& wish);
  void join(const admission& wish);
  void evict(entry& e, port::loss_reason reason);

  registry_link& cores_;
  const gateway_id gateway_;
  std::uint64_t next_count_ = 1;
  std::map<name, entry> live_;
  std::map<std::uint64_t, name> by_id_;
};

}  // namespace sluice::nexus
