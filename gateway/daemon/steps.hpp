#pragma once
#include "gateway/daemon/step.hpp"

/// The steps of each noun. make_steps() in reconciler.cpp puts them in order.
namespace sluice::daemon {

/// add_, change_, replace_, remove_ and resize_store.
std::unique_ptr<step> make_store_step(change& in, const config::step& told);
/// A store that leaves, or changes what it holds data in, brings below what only it holds, so that whoever comes after
/// it finds all of it. Prepared after every store of the plan is open, before anybody else uses what lies below.
std::unique_ptr<step> make_hand_over_step(change& in, const std::string& store, bool leaves);
/// A medium that lacks data is used by nobody but the tier that holds them.
std::unique_ptr<step> make_claim_step(change& in, const std::string& tier);
/// When all is done, tiers may keep what they see again. The first of all steps: its finish() is the last.
std::unique_ptr<step> make_take_over_step(change& in);

/// add_, change_, replace_ and remove_unit.
std::unique_ptr<step> make_unit_step(change& in, const config::step& told);
/// Ends units that left, or that are not used after all; before the steps of units, so that it does so after all.
std::unique_ptr<step> make_units_end_step(change& in);
/// Starts the units that were made, all at once; after the steps of units.
std::unique_ptr<step> make_units_begin_step(change& in);
/// Flash that was told of every write to a medium is not told of those of a unit that uses the medium itself.
std::unique_ptr<step> make_forget_binding_step(change& in, const std::string& unit);

/// add_, change_ and remove_port.
std::unique_ptr<step> make_port_step(change& in, const config::step& told);

/// Steps of targets, access tables and LUNs: what initiators may see. All of them are put in force by make_show_step().
std::unique_ptr<step> make_access_step(change& in, const config::step& told);
/// The new directory. After all but resizes.
std::unique_ptr<step> make_show_step(change& in, bool visible);

/// errc::busy when the medium lacks data that are elsewhere than with `holder`.
result<void> check_ownership(const change& in, const std::string& user, const std::string& used,
                             const std::string& holder);
/// The same for a unit, which holds nothing, before anything was opened, as far as that can be seen.
result<void> check_unmarked(const change& in, const std::string& user, const std::string& used);
/// The mark of a store's medium as it is now; empty where a tier that holds what the medium lacks lets go of it first.
/// errc::unsupported: it has none, or cannot be looked at without opening it.
result<store::ownership> look_at_ownership(const change& in, const std::string& used);
/// Units over that store, or over a tier above it, are to be looked at.
void concern_users(change& in, const std::string& store);
/// Tries again to end the units that were left behind, then lets tiers keep what they see, but for those over media
/// that such units may still write to.
void take_over(running& now);
/// Shows the units that were left behind.
void show_ending(running& now);

/// Every live nexus. Blocks for a turn of each loop.
std::vector<nexus::nexus_info> nexuses_of(running& now);
/// How many of a target's sessions hold for `so`.
std::size_t count_sessions(running& now, const std::string& target,
                           const std::function<bool(const nexus::nexus_info&)>& so);

}  // namespace sluice::daemon
