#pragma once
#include "gateway/state/authority.hpp"
#include "gateway/state/state_store.hpp"

namespace sluice::state {

/// The authority of a gateway that is alone: the compare-and-set is done in memory, and what lasts is written to the
/// state store, one synced write each, with its epoch. Several seats of one name are the unit that leaves and the one
/// that takes its place.
///
/// Epochs come out of a range that each start takes for itself: the key "epochs" holds the end of the last range that
/// was taken, durable before the first of its epochs is used. So changes that do not last cost no write, and an epoch
/// that was lost with the power is not used again. A start that cannot write (a full state directory) has no range when
/// it begins: nothing lasts until one is written, so nobody but this process ever sees the epochs that it uses until
/// then.
class local_authority final : public authority {
 public:
  static constexpr std::uint64_t epochs_of_a_start = std::uint64_t{1} << 32;
  /// Takes a range of epochs: one synced write. `kept` outlives this and all of its seats. Blocks.
  static result<std::unique_ptr<local_authority>> make(state_store& kept, std::uint64_t range = epochs_of_a_start);
  ~local_authority() override;
  result<std::unique_ptr<seat>> open(const std::string& name, reactor::loop& on) override;

  class table;

 private:
  explicit local_authority(std::shared_ptr<table> all);
  std::shared_ptr<table> table_;
};

/// How a record lies in the state store: a frame with its epoch, checked by itself, and the content as it is.
std::string frame(const record& kept);
/// Total: errc::corrupt for anything that is no frame.
result<record> parse_frame(std::string_view stored);

}  // namespace sluice::state
