#pragma once
#include <string>

#include "actors/runtime/core.hpp"
#include "gateway/state/authority.hpp"

namespace sluice::daemon {

/// One record of the authority, for threads that may wait: each call sits down at it for its own length. Any thread but
/// a loop's; blocks.
class agreed_record {
 public:
  /// `agreed` and `core`, whose loop does the asking, outlive it.
  agreed_record(state::authority& agreed, runtime::core& core, std::string name);
  result<state::record> read() const;
  /// Decided on the record that `what.expected` names; errors are those of sitting down, all else is in the verdict.
  result<state::verdict> propose(const state::proposal& what) const;

 private:
  state::authority* authority_;
  runtime::core* core_;
  std::string name_;
};

}  // namespace sluice::daemon
