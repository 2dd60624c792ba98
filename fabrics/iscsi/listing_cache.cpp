#include "fabrics/iscsi/listing_cache.hpp"

namespace sluice::iscsi {

void listing_cache::forget() {
  answers_.clear();
  texts_.clear();
}

listing_cache::text listing_cache::find(const std::shared_ptr<const portal_table>& table, std::uint64_t access_epoch,
                                        const vantage& from, const std::string& initiator, const std::string& name,
                                        const std::function<std::string()>& make) {
  if (table != table_ || access_epoch != access_epoch_) {
    forget();
    table_ = table;
    access_epoch_ = access_epoch;
  }
  // Of where somebody asks from, what told_address() looks at.
  question asked(from.portal, from.local.host, from.peer.is_loopback(), initiator, name);
  if (const auto found = answers_.find(asked); found != answers_.end()) return found->second;
  if (answers_.size() >= most) forget();
  const text made = *texts_.insert(std::make_shared<const std::string>(make())).first;
  answers_.emplace(std::move(asked), made);
  return made;
}

}  // namespace sluice::iscsi
