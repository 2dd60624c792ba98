#pragma once
#include "fabrics/iscsi/connection.hpp"

namespace sluice::iscsi {

/// The connections without a session as an operator sees them.
class operator_view final : public port::strangers {
 public:
  explicit operator_view(std::shared_ptr<shared_state> of) : shared_(std::move(of)) {}
  overview look(std::size_t most) const override;
  bool kick(std::uint64_t id) override { return shared_->book->kick(id); }
  std::size_t kick_address(const std::string& address) override { return shared_->book->kick_address(address); }

 private:
  const std::shared_ptr<shared_state> shared_;
};

}  // namespace sluice::iscsi
