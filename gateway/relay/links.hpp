#pragma once
#include <memory>
#include <vector>

#include "actors/runtime/core.hpp"
#include "gateway/relay/core_relay.hpp"

namespace sluice::relay {

/// All links of a gateway to and from the others. Control thread, where nothing else is said.
class links {
 public:
  /// `all` may be asked on any core's loop; both outlive the links.
  links(std::vector<runtime::core*> cores, const neighbours& all);
  ~links();  // ends all links; units have ended
  links(const links&) = delete;
  links& operator=(const links&) = delete;

  /// Takes links there; where, with the port that the system chose.
  result<reactor::endpoint> listen(const reactor::endpoint& at);
  /// The units that there are, from now on.
  void follow(const std::shared_ptr<const access::directory>& now);
  /// One core's part: that core only.
  access::owner_link& on(std::size_t core) { return *parts_[core]; }

 private:
  void accept();
  void on_accepted(std::int64_t result) noexcept;
  void on_pause() noexcept { accept(); }

  const std::vector<runtime::core*> cores_;
  const neighbours& all_;
  arrivals coming_;
  std::vector<std::unique_ptr<core_relay>> parts_;
  // On the first core.
  reactor::handle listener_ = reactor::no_handle;
  std::size_t next_core_ = 0;
  std::function<void()> stopped_;
  reactor::member_operation<links, &links::on_accepted> accepted_{*this};
  reactor::member_timer<links, &links::on_pause> pause_{*this};
};

}  // namespace sluice::relay
