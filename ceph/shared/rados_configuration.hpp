#pragma once
#include <memory>
#include <string>

#include "ceph/shared/membership.hpp"
#include "gateway/state/shared_configuration.hpp"

namespace sluice::shared {

/// The configuration that gateways share, in the object CLUSTER.config. Its table:
///
///     head/newest         number of the newest version, and what it was as a proposal
///     head/proposal       the proposal; empty: none
///     head/gateway/NAME   what that gateway says of what it runs
///     version/NUMBER      and text/NUMBER: each version that is kept
///     proposed            the proposal's text
///     answer/NAME         a gateway's answer to it
///
/// A version is made by one change that expects both heads, so it is there whole or not at all, and a proposal that was
/// withdrawn never becomes one.
class rados_configuration final : public state::shared_configuration {
 public:
  /// Makes the object where there is none. Blocks.
  static result<std::shared_ptr<rados_configuration>> open(std::shared_ptr<membership> of);

  result<state::configuration_view> look() override;
  result<std::vector<state::configuration_version>> history() override;
  result<std::string> text(std::uint64_t version) override;
  result<void> propose(const state::configuration_proposal& what, const std::string& text) override;
  result<std::string> proposed_text(const state::configuration_proposal& what) override;
  result<void> answer(const state::configuration_proposal& what, const std::string& gateway,
                      const state::configuration_answer& says) override;
  result<std::map<std::string, state::configuration_answer>> answers(
      const state::configuration_proposal& what) override;
  result<void> commit(const state::configuration_proposal& what, const std::string& text) override;
  result<void> withdraw(const state::configuration_proposal& what) override;
  result<void> report(const std::string& gateway, const state::configuration_state& now) override;

 private:
  struct head {
    omap table;
    std::uint64_t newest = 0, proposal = 0;
  };
  explicit rados_configuration(std::shared_ptr<membership> of) : membership_(std::move(of)) {}
  result<shared_object> object() const;
  result<omap> read(const std::string& prefix) const;
  result<head> read_head() const;
  result<void> change(const object_change& wanted) const;
  error why_not(int outcome) const;

  const std::shared_ptr<membership> membership_;
};

}  // namespace sluice::shared
