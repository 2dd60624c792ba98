#include "actors/reactor/message_sockets.hpp"

#include <utility>

namespace sluice::reactor {

handle passed_handles::take(std::size_t index) {
  SLUICE_CHECK(index < size_);
  return std::exchange(handles_[index], no_handle);
}

void passed_handles::clear() {
  for (std::size_t i = 0; i < size_; ++i)
    if (handles_[i] != no_handle) loop_->close(handles_[i]);
  size_ = 0;
}

void passed_handles::add(loop& of, handle h) {
  SLUICE_CHECK(size_ < limit);
  loop_ = &of;
  handles_[size_++] = h;
}

}  // namespace sluice::reactor
