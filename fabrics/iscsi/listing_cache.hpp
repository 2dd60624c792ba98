#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "fabrics/iscsi/portal_table.hpp"

namespace sluice::iscsi {

/// Answers to SendTargets of one core, so that who asks again and again costs a look-up. Equal answers are one text,
/// whoever asked. Forgotten when the portals or the access lists change.
class listing_cache {
 public:
  using text = std::shared_ptr<const std::string>;
  static constexpr std::size_t most = 256;  // answers; then all are forgotten

  /// What `make` gives, or gave to the same question. `access_epoch`: port::gateway::access_epoch().
  text find(const std::shared_ptr<const portal_table>& table, std::uint64_t access_epoch, const vantage& from,
            const std::string& initiator, const std::string& name, const std::function<std::string()>& make);

 private:
  using question = std::tuple<portal_id, std::string, bool, std::string, std::string>;
  struct by_content {
    bool operator()(const text& a, const text& b) const { return *a < *b; }
  };
  void forget();

  std::shared_ptr<const portal_table> table_;
  std::uint64_t access_epoch_ = 0;
  std::map<question, text> answers_;
  std::set<text, by_content> texts_;
};

}  // namespace sluice::iscsi
