#include "gateway/daemon/kept_witness.hpp"

#include "tiers/store/mark_text.hpp"

namespace sluice::daemon {

kept_witness::kept_witness(state::state_store& state, const config::store_config& of)
    : state_(state), key_("flash/" + of.name), medium_(" " + of.type) {
  // Which medium it is stands in texts; numbers and flags say how it is used.
  for (const std::string& name : of.settings.names())
    if (const std::string* text = of.settings.text(name)) medium_ += " " + name + "=" + *text;
}

result<std::uint64_t> kept_witness::read() {
  const auto kept = state_.load(key_);
  if (!kept) return tl::unexpected(kept.error());
  const std::size_t length = kept->value_or("").size();
  if (length < medium_.size() || (*kept)->compare(length - medium_.size(), medium_.size(), medium_) != 0) return 0;
  return store::witness_of(std::string_view(**kept).substr(0, length - medium_.size()));
}

result<void> kept_witness::write(std::uint64_t flash) {
  return state_.save(key_, store::text_of_witness(flash) + medium_);
}

}  // namespace sluice::daemon
