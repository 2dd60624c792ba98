#include "gateway/daemon/kept_binding.hpp"

#include <string_view>

#include "tiers/store/ownership_text.hpp"

namespace sluice::daemon {

kept_binding::kept_binding(state::authority& agreed, runtime::core& core, state::state_store& former,
                           const config::store_config& of)
    : record_(agreed, core, "witness/" + of.name),
      former_(former),
      former_key_("flash/" + of.name),
      medium_(" " + of.type) {
  // Which medium it is stands in texts; numbers and flags say how it is used.
  for (const std::string& name : of.settings.names())
    if (const std::string* text = of.settings.text(name)) medium_ += " " + name + "=" + *text;
}

/// A line "FLASH MEDIUM"; 0 where it is another medium's.
std::uint64_t kept_binding::binding_in(const std::string& kept) const {
  if (!kept.ends_with(medium_)) return 0;
  return store::binding_of(std::string_view(kept).substr(0, kept.size() - medium_.size()));
}

/// What cannot be read any more names no flash: whatever it holds is not believed, and read from the medium anew.
result<std::uint64_t> kept_binding::read() {
  const auto now = record_.read();
  if (!now) return tl::unexpected(now.error());
  if (!now->damage.empty()) return 0;
  if (!now->content.empty()) return binding_in(now->content);
  const auto before = former_.load(former_key_);
  if (!before) return tl::unexpected(before.error());
  return binding_in(before->value_or(""));
}

/// The last word counts: who writes has the medium, and what others named before is stale from now on.
result<void> kept_binding::write(std::uint64_t flash) {
  auto now = record_.read();
  if (!now) return tl::unexpected(now.error());
  for (state::record expected = *now;;) {
    const auto how = record_.propose({.expected = expected.epoch,
                                      .content = store::text_of_binding(flash) + medium_,
                                      .lasts = true,
                                      .replaces = {former_key_}});
    if (!how) return tl::unexpected(how.error());
    if (how->what == state::verdict::kind::failed) return tl::unexpected(how->why);
    if (how->what == state::verdict::kind::committed) return {};
    expected = how->current;
  }
}

}  // namespace sluice::daemon
