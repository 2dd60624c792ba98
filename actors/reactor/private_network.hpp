#pragma once
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

namespace sluice::reactor {

/// Puts the calling thread into a network namespace of its own for as long as this lives, with two interfaces on one
/// wire: "wire0" and "wire1".
class private_network {
 public:
  private_network() {
    if (::geteuid() != 0) {
      problem_ = "a network namespace needs root";
      return;
    }
    before_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (before_ < 0 || ::unshare(CLONE_NEWNET) != 0) {
      problem_ = "no network namespace can be made here";
      return;
    }
    inside_ = true;
    if (!run("ip link add wire0 type veth peer name wire1 && ip link set wire0 up && ip link set wire1 up"))
      problem_ = "no pair of virtual interfaces can be made here (ip link add ... type veth)";
  }
  ~private_network() {
    if (inside_) (void)!::setns(before_, CLONE_NEWNET);
    if (before_ >= 0) ::close(before_);
  }
  private_network(const private_network&) = delete;
  private_network& operator=(const private_network&) = delete;

  /// Why there is none; empty when there is.
  const std::string& problem() const { return problem_; }
  /// A shell command inside.
  bool run(const std::string& command) const { return ::system((command + " 2>/dev/null").c_str()) == 0; }

 private:
  int before_ = -1;
  bool inside_ = false;
  std::string problem_;
};

}  // namespace sluice::reactor
