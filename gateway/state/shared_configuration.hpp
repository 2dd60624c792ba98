#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/base/result.hpp"

namespace sluice::state {

/// One version of the text that the gateways of a cluster share of their configuration.
struct configuration_version {
  std::uint64_t number = 0;    // from 1, without gaps
  std::uint64_t made_s = 0;    // since 1970, by the clock of the gateway that made it
  std::uint64_t proposal = 0;  // what it was, before it was a version
  std::string gateway;         // which made it
  std::string origin;          // "apply of /etc/sluice/shared.toml", "rollback to version 3"
  std::string digest;          // of the text: SHA-256, 64 hexadecimal digits
  std::uint64_t bytes = 0;     // of the text
  bool operator==(const configuration_version&) const = default;
};

/// A text that is to be the next version. There is one at a time, from propose() to commit() or withdraw(); every
/// gateway that sees it prepares for it, and answers.
struct configuration_proposal {
  std::uint64_t id = 0;      // drawn at random; not 0
  std::uint64_t base = 0;    // the newest version when it was made
  std::uint64_t made_s = 0;  // as a version's
  std::string gateway, origin;
  bool only_plan = false;  // what would change is asked for, and it is withdrawn then
  bool operator==(const configuration_proposal&) const = default;
};

/// A gateway's answer to a proposal.
struct configuration_answer {
  static constexpr std::size_t max_text = 4 << 20;
  std::uint64_t proposal = 0;
  bool ready = false;  // prepared, and waits; or, when only the plan is asked for, it would do
  std::string plan;    // what changes there, as JSON; empty: it could not be made
  std::string problem;
  bool operator==(const configuration_answer&) const = default;
};

/// What a gateway says of what it runs.
struct configuration_state {
  std::uint64_t version = 0;  // in force there; 0: its own file alone
  std::string problem;        // why a newer one is not; empty: nothing is wrong
  bool operator==(const configuration_state&) const = default;
};

/// What changes often, at one moment.
struct configuration_view {
  std::uint64_t newest = 0;    // version; 0: none was made
  std::uint64_t proposal = 0;  // what the newest was
  std::optional<configuration_proposal> proposed;
  std::map<std::string, configuration_state> states;  // by gateway
};

/// The configuration that the gateways of a cluster share: one object of the cluster, that all change by compare and
/// set. Its calls block, for some seconds at most, and tell what is wrong in a sentence; any thread but a loop's.
class shared_configuration {
 public:
  static constexpr std::size_t max_text = 1 << 20;    // of a version, bytes
  static constexpr std::uint64_t versions_kept = 32;  // the newest

  virtual ~shared_configuration() = default;
  virtual result<configuration_view> look() = 0;
  /// The versions that are kept, the oldest first.
  virtual result<std::vector<configuration_version>> history() = 0;
  /// errc::not_found: none of that number is kept.
  virtual result<std::string> text(std::uint64_t version) = 0;

  /// errc::busy: there is another one, or the newest is not `what.base`. Then members() has all that had joined by now.
  virtual result<void> propose(const configuration_proposal& what, const std::string& text) = 0;
  /// errc::not_found: it is no longer proposed. So with answer(), and commit(), which fails with errc::busy.
  virtual result<std::string> proposed_text(const configuration_proposal& what) = 0;
  virtual result<void> answer(const configuration_proposal& what, const std::string& gateway,
                              const configuration_answer& says) = 0;
  /// Those to this proposal, by gateway.
  virtual result<std::map<std::string, configuration_answer>> answers(const configuration_proposal& what) = 0;
  /// The proposal becomes version base + 1, and the oldest that is kept goes. What failed with another code than
  /// errc::busy may have been done.
  virtual result<void> commit(const configuration_proposal& what, const std::string& text) = 0;
  /// Nothing when it is not proposed any more: it was withdrawn by another, or committed.
  virtual result<void> withdraw(const configuration_proposal& what) = 0;
  virtual result<void> report(const std::string& gateway, const configuration_state& now) = 0;
};

}  // namespace sluice::state
