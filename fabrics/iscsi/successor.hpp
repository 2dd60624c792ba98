#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "actors/reactor/loop.hpp"
#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/connection_book.hpp"
#include "fabrics/iscsi/negotiation.hpp"

namespace sluice::iscsi {

/// A socket that has logged in to take the place of a session's connection [RFC7143 6.3.4]: all but its last Login
/// Response is done.
struct successor {
  reactor::handle handle = reactor::no_handle;  // used by no loop
  std::shared_ptr<connection_facts> facts;
  negotiator keys{offer{}};
  login_response response;  // but for ExpCmdSN and MaxCmdSN
  std::string data;         // of the response
  std::uint32_t next_stat_sn = 0, cmd_sn = 0;
};

/// Brings one to the connection whose place it takes; any thread. When that has ended, the socket is closed.
using successor_taker = std::function<void(std::shared_ptr<successor>)>;

}  // namespace sluice::iscsi
