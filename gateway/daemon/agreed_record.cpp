#include "gateway/daemon/agreed_record.hpp"

#include <functional>
#include <utility>

namespace sluice::daemon {
namespace {

template <class Answer>
using answered = std::function<void(result<Answer>)>;

/// Sits down for the length of one call, which `ask` makes on the core's loop.
template <class Answer>
result<Answer> sit_and_ask(state::authority& agreed, runtime::core& core, const std::string& name,
                           const std::function<void(state::seat&, answered<Answer>)>& ask) {
  auto seat = agreed.open(name, core.loop());
  if (!seat) return tl::unexpected(seat.error());
  result<Answer> told = fail(errc::closed, "no answer");
  core.call_async([&](const std::function<void()>& finished) {
    ask(**seat, [&told, finished](result<Answer> answer) {
      told = std::move(answer);
      finished();
    });
  });
  core.call([&] { seat->reset(); });
  return told;
}

}  // namespace

agreed_record::agreed_record(state::authority& agreed, runtime::core& core, std::string name)
    : authority_(&agreed), core_(&core), name_(std::move(name)) {}

result<state::record> agreed_record::read() const {
  return sit_and_ask<state::record>(
      *authority_, *core_, name_, [](state::seat& seat, answered<state::record> done) { seat.read(std::move(done)); });
}

result<state::verdict> agreed_record::propose(const state::proposal& what) const {
  return sit_and_ask<state::verdict>(*authority_, *core_, name_,
                                     [&](state::seat& seat, const answered<state::verdict>& done) {
                                       seat.propose(what, [done](const state::verdict& how) { done(how); });
                                     });
}

}  // namespace sluice::daemon
