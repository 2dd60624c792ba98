#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "actors/reactor/loop.hpp"
#include "gateway/access/directory.hpp"

namespace sluice::relay {

/// Which nexuses of other gateways are attached to the units of this one, on one core. Links that bring commands of one
/// nexus share its attachment: a nexus with several channels may come by several.
class attachments {
 public:
  using nexus_ptr = std::shared_ptr<const port::i_t_nexus>;
  /// A nexus at a unit; made by open(), and given back by close().
  struct attachment {
    std::string unit;
    nexus_ptr nexus;
    std::shared_ptr<const access::unit_handle> handle;  // null: the unit is not there, or not yet
    unsigned users = 0;
    bool leaves = false;  // it is being detached
    /// Null while it takes no commands.
    access::unit_endpoint* endpoint(unsigned core) const {
      return handle && !leaves ? handle->endpoints[core] : nullptr;
    }
  };

  explicit attachments(reactor::loop& loop) : loop_(loop) {}
  ~attachments();  // empty()

  attachment& open(const std::string& unit, nexus_ptr nexus);
  /// No command that came by its user is left.
  void close(attachment& d);
  /// Units come and go; an attachment lets its unit go once its tasks have ended.
  void follow(const access::directory& now);
  bool empty() const { return all_.empty(); }

 private:
  void settle(attachment& d);
  void detached(const std::pair<std::string, std::uint64_t>& key);

  reactor::loop& loop_;
  std::map<std::string, std::shared_ptr<const access::unit_handle>> units_;
  std::map<std::pair<std::string, std::uint64_t>, attachment> all_;  // by unit and nexus
};

}  // namespace sluice::relay
