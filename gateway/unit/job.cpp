#include "gateway/unit/job.hpp"

#include "gateway/unit/shard.hpp"

namespace sluice::unit {

void job::promise_type::ending::await_suspend(std::coroutine_handle<promise_type> self) noexcept {
  promise_type& promise = self.promise();
  shard& owner = promise.owner_;
  command& subject = promise.subject_;
  const scsi::outcome outcome = promise.outcome_;
  self.destroy();  // the frame's buffers go back before the next command looks for some
  owner.finish(subject, outcome);
}

}  // namespace sluice::unit
