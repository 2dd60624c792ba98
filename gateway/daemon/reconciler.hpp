#pragma once
#include "gateway/daemon/step.hpp"

namespace sluice::daemon {

/// The difference between what runs and what is wanted. A gateway that runs nothing yet takes any `gateway` table.
config::plan plan_for(const change& in);
/// What carries it out, in order. A plan with refusals has no steps to carry out.
steps make_steps(change& in, const config::plan& p);
/// Asks each step whether it could, and adds what they say to the plan.
void ask(const steps& all, config::plan& p);
/// Adds to the plan what those that were asked could not know.
void tell_doubts(const steps& all, config::plan& p);

}  // namespace sluice::daemon
