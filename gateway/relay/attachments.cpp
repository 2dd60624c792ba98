#include "gateway/relay/attachments.hpp"

#include "actors/base/check.hpp"

namespace sluice::relay {

attachments::~attachments() {
  SLUICE_CHECK(all_.empty());
}

attachments::attachment& attachments::open(const std::string& unit, nexus_ptr nexus) {
  attachment& d = all_.try_emplace({unit, nexus->id}).first->second;
  if (d.users++ == 0) {
    d.unit = unit;
    d.nexus = std::move(nexus);
  }
  settle(d);
  return d;
}

void attachments::close(attachment& d) {
  --d.users;
  settle(d);
}

void attachments::follow(const access::directory& now) {
  units_.clear();
  const auto take = [this](const access::lun_map& luns) {
    for (const auto& [lun, handle] : luns) units_[handle->name] = handle;
  };
  for (const access::target_entry& target : now.targets) {
    take(target.luns);
    for (const auto& [name, initiator] : target.initiators)
      if (initiator.luns) take(*initiator.luns);
  }
  std::vector<attachment*> concerned;
  for (auto& [key, d] : all_) concerned.push_back(&d);
  for (attachment* d : concerned) settle(*d);
}

/// Takes an attachment a step nearer to what it should be.
void attachments::settle(attachment& d) {
  if (d.leaves) return;
  const auto found = units_.find(d.unit);
  const auto wanted = d.users != 0 && found != units_.end() ? found->second : nullptr;
  const std::pair<std::string, std::uint64_t> key{d.unit, d.nexus->id};
  if (d.handle == wanted) {
    if (d.users == 0) all_.erase(key);
    return;
  }
  if (d.handle) {
    d.leaves = true;
    const auto reason = d.users == 0 ? port::loss_reason::logout : port::loss_reason::unit_removed;
    d.handle->endpoints[loop_.index()]->remove_nexus(d.nexus->id, reason, [this, key] { detached(key); });
    return;
  }
  d.handle = wanted;
  d.handle->endpoints[loop_.index()]->add_nexus(d.nexus, nullptr);
}

void attachments::detached(const std::pair<std::string, std::uint64_t>& key) {
  attachment& d = all_.at(key);
  d.leaves = false;
  d.handle.reset();
  settle(d);
}

}  // namespace sluice::relay
