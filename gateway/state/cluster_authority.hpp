#pragma once
#include <string>
#include <vector>

#include "gateway/state/authority.hpp"

namespace sluice::state {

/// An authority that gateways of a cluster have in common.
class cluster_authority : public authority {
 public:
  struct member {
    std::string gateway;  // its name
    gateway_id id = 0;
    bool gone = false;                        // it has not renewed its membership, and is fenced
    std::string link = {}, link_secret = {};  // where it takes links of others, by which secret; empty: nowhere
  };
  /// As this gateway sees them, itself among them. Any thread.
  virtual std::vector<member> members() const = 0;
};

}  // namespace sluice::state
