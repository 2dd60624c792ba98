#pragma once
#include <memory>
#include <string>
#include <vector>

#include "gateway/state/authority.hpp"
#include "gateway/state/cluster_events.hpp"
#include "gateway/state/shared_configuration.hpp"

namespace sluice::state {

/// An authority that gateways of a cluster have in common.
class cluster_authority : public authority {
 public:
  struct member {
    std::string gateway;  // its name
    gateway_id id = 0;
    bool gone = false;                        // it has not renewed its membership, and is fenced
    std::string link = {}, link_secret = {};  // where it takes links of others, by which secret; empty: nowhere
    bool drained = false;                     // it owns nothing while another one can
    bool operator==(const member&) const = default;
  };
  /// As this gateway sees them, itself among them. Any thread.
  virtual std::vector<member> members() const = 0;
  /// Has a gateway own nothing while another one can, or lets it again; it stays so when it ends and comes back. Others
  /// see it within a second. errc::not_found: none of that name was ever in the cluster. Blocks; no loop's thread.
  virtual result<void> drain(const std::string& gateway, bool drained) = 0;
  /// Takes a gateway that is gone out of the list. errc::busy: it is not gone, or was not fenced yet. Blocks likewise.
  virtual result<void> forget(const std::string& gateway) = 0;
  /// What its gateways share of their configuration. Blocks likewise.
  virtual result<std::shared_ptr<shared_configuration>> configuration() = 0;
  /// What happened on its gateways.
  virtual std::shared_ptr<cluster_events> events() = 0;
};

}  // namespace sluice::state
