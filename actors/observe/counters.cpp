#include "actors/observe/counters.hpp"

namespace sluice::observe {

const char* to_string(command_class c) {
  switch (c) {
    case command_class::read:
      return "read";
    case command_class::write:
      return "write";
    case command_class::flush:
      return "flush";
    case command_class::unmap:
      return "unmap";
    case command_class::atomic:
      return "atomic";
    case command_class::other:
      return "other";
  }
  return "other";
}

}  // namespace sluice::observe
