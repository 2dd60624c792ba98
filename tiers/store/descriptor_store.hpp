#pragma once
#include <memory>
#include <utility>

#include "tiers/store/change_listeners.hpp"
#include "tiers/store/descriptor.hpp"
#include "tiers/store/store.hpp"

namespace sluice::store {

/// How long a unit waits for such a medium, unless its configuration says otherwise.
inline constexpr std::uint64_t descriptor_deadline_ns = 30 * ns_per_s;
/// That key of the configuration, `deadline`.
config::key deadline_key();

/// A store over one file or block device.
class descriptor_store final : public store {
 public:
  /// `type` must outlive the store. `deadline_ns`: see properties.
  descriptor_store(const char* type, std::unique_ptr<descriptor> medium, bool read_only,
                   std::uint64_t deadline_ns = descriptor_deadline_ns)
      : type_(type), medium_(std::move(medium)), read_only_(read_only), deadline_ns_(deadline_ns) {}
  /// Also looks now and then whether the medium still lies under that name.
  void watch(const std::string& path);

  const char* type() const noexcept override { return type_; }
  properties describe() const override;
  std::string health() const override { return medium_->condition->health(); }
  std::unique_ptr<channel> attach(reactor::loop& loop) override;
  /// errc::unsupported on a block device.
  result<void> resize(std::uint64_t size_bytes) override;
  result<ownership> read_ownership() override { return medium_->read_ownership(); }
  result<void> write_ownership(const ownership& wanted) override { return medium_->write_ownership(wanted); }
  /// Asks the system for the medium's size and tells the listeners when it is another one. The control loop's thread.
  void look_again();
  void on_change(changed callback) override { medium_->condition->listeners.add(std::move(callback)); }
  result<std::uint64_t> give_up_lost() override { return medium_->give_up_lost(); }

 protected:
  result<std::uint64_t> read_own_binding() override { return medium_->read_binding(); }
  result<void> write_own_binding(std::uint64_t flash) override { return medium_->write_binding(flash); }

 private:
  const char* type_;
  std::unique_ptr<descriptor> medium_;
  bool read_only_;
  std::uint64_t deadline_ns_;
  std::shared_ptr<const void> watch_;
};

}  // namespace sluice::store
