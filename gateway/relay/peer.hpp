#pragma once
#include <functional>
#include <optional>

#include "actors/base/global_id.hpp"
#include "actors/reactor/loop.hpp"
#include "gateway/relay/secure_channel.hpp"

namespace sluice::relay {

/// How another gateway is reached, in this life of it.
struct peer {
  reactor::endpoint at;
  relay::secret secret;
};

/// What a core knows of the gateways of its cluster. Any of its calls may come at any time, on the core's loop.
class neighbours {
 public:
  virtual gateway_id own() const = 0;
  /// By which others know that they have come to this gateway, and it that they are of its cluster.
  virtual relay::secret own_secret() const = 0;
  /// nullopt: it is no member now, or takes no links.
  virtual std::optional<peer> find(gateway_id gateway) const = 0;

 protected:
  ~neighbours() = default;
};

}  // namespace sluice::relay
