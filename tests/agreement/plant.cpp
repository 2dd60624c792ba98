#include "tests/agreement/plant.hpp"

#include <utility>

namespace sluice::agreement_sim {
namespace {
constexpr std::pair<plant, const char*> names[] = {
    {plant::none, "none"},
    {plant::no_compare, "no-compare"},
    {plant::early_effects, "early-effects"},
    {plant::epoch_restarts, "epoch-restarts"},
    {plant::lost_event, "lost-event"},
    {plant::dropped_attention, "dropped-attention"},
    {plant::unconfirmed, "unconfirmed"},
    {plant::no_lease, "no-lease"},
    {plant::unfenced, "unfenced"},
    {plant::old_epoch, "old-epoch"},
    {plant::stale_cache, "stale-cache"},
};
}  // namespace

const char* to_string(plant p) {
  for (const auto& [each, name] : names)
    if (each == p) return name;
  return "none";
}

std::optional<plant> parse_plant(const std::string& name) {
  for (const auto& [each, text] : names)
    if (name == text) return each;
  return std::nullopt;
}

}  // namespace sluice::agreement_sim
