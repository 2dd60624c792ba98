#include "gateway/agreement/joining.hpp"

#include "gateway/agreement/codec.hpp"
#include "gateway/agreement/mode_blob.hpp"
#include "gateway/reservations/blob.hpp"
#include "gateway/state/identity.hpp"
#include "gateway/state/local_authority.hpp"

namespace sluice::agreement {

std::string record_name(const std::string& unit) {
  return "unit/" + unit;
}

result<std::optional<former>> load_former(state::state_store& kept, const std::string& unit) {
  former found;
  std::optional<error> unreadable;
  const auto load = [&](const std::string& key) -> std::optional<std::string> {
    auto value = kept.load(key);
    if (!value && value.error().code != errc::corrupt) unreadable = value.error();
    if (!value) found.damage = value.error().message;
    if (!value || *value) found.keys.push_back(key);
    if (!value) return std::nullopt;
    return std::move(*value);
  };
  const auto identity = load(state::identity_key(unit));
  const auto held = load(state::reservations_key(unit));
  const auto modes = load(state::mode_key(unit));
  if (unreadable) return tl::unexpected(*unreadable);
  if (found.keys.empty()) return std::nullopt;
  if (identity && state::is_serial(*identity)) found.state.serial = *identity;
  if (identity && !state::is_serial(*identity)) found.damage = "its stored identity is not valid";
  if (held) {
    auto parsed = reservations::parse(*held);
    if (parsed)
      found.state.reservations = std::move(*parsed);
    else
      found.damage = parsed.error().message;
  }
  if (modes) {
    const auto parsed = parse_mode(*modes);
    if (parsed)
      found.state.saved_mode = *parsed;
    else
      found.damage = parsed.error().message;
  }
  return found;
}

std::optional<former> load_alone(state::state_store& kept, const std::string& unit) {
  const auto stored = kept.load(record_name(unit));
  if (!stored || !*stored) return std::nullopt;
  const auto record = state::parse_frame(**stored);
  const auto alone = record ? decode(record->content, record->epoch) : tl::unexpected(record.error());
  if (!alone) return std::nullopt;
  const lasting kept_part = lasting_part(*alone);
  former found;
  found.state.serial = kept_part.serial;
  found.state.saved_mode = kept_part.saved_mode;
  if (kept_part.reservations) found.state.reservations = *kept_part.reservations;
  return found;
}

namespace {

/// One attempt after the other, until one is committed on the record that it was decided on.
struct attempt : std::enable_shared_from_this<attempt> {
  attempt(state::seat& at, joining how, std::function<void(result<agreed>)> tell)
      : seat(at), wanted(std::move(how)), done(std::move(tell)) {}
  state::seat& seat;
  const joining wanted;
  const std::function<void(result<agreed>)> done;

  void on(const state::record& now) {
    agreed before;
    state::proposal proposed;
    auto decoded = now.damage.empty() ? decode(now.content, now.epoch) : fail(errc::corrupt, now.damage);
    if (decoded) {
      before = std::move(*decoded);
    } else if (!(now.content.empty() && now.damage.empty()) && !wanted.gives_up_damaged) {
      return done(tl::unexpected(decoded.error()));
    } else if (wanted.before && !wanted.before->damage.empty() && !wanted.gives_up_damaged) {
      return done(fail(errc::corrupt, wanted.before->damage));
    } else if (wanted.before) {
      before = wanted.before->state;
      proposed.replaces = wanted.before->keys;
    }
    before.epoch = now.epoch;
    const decision d = decide(before, wanted.how, wanted.facts);
    proposed.expected = now.epoch;
    proposed.content = encode(*d.next);
    proposed.joins = {wanted.how.gateway, wanted.how.incarnation};
    proposed.lasts = d.lasts || !proposed.replaces.empty() || wanted.gives_up_damaged;
    seat.propose(std::move(proposed),
                 [self = shared_from_this(), next = *d.next](const state::verdict& how) { self->on(how, next); });
  }
  void on(const state::verdict& how, const agreed& next) {
    switch (how.what) {
      case state::verdict::kind::committed:
        seat.watch(wanted.how.gateway, wanted.how.incarnation, wanted.tells);
        return done(next);
      case state::verdict::kind::conflict:
        return on(how.current);
      case state::verdict::kind::failed:
        return done(tl::unexpected(how.why));
    }
  }
};

}  // namespace

void join_unit(state::seat& seat, const joining& wanted, std::function<void(result<agreed>)> done) {
  const auto all = std::make_shared<attempt>(seat, wanted, std::move(done));
  seat.read([all](const result<state::record>& now) {
    if (!now) return all->done(tl::unexpected(now.error()));
    all->on(*now);
  });
}

}  // namespace sluice::agreement
