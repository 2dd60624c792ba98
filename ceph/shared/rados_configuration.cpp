#include "ceph/shared/rados_configuration.hpp"

#include <cerrno>
#include <charconv>
#include <future>
#include <memory>
#include <utility>

#include "ceph/shared/configuration_record.hpp"

namespace sluice::shared {
namespace {

using state::configuration_answer;
using state::configuration_proposal;
using state::configuration_state;
using state::configuration_version;
using state::configuration_view;

constexpr const char* head_prefix = "head/";
constexpr const char* newest_key = "head/newest";
constexpr const char* proposal_key = "head/proposal";
constexpr std::string_view gateway_prefix = "head/gateway/";
constexpr const char* version_prefix = "version/";
constexpr const char* proposed_key = "proposed";
constexpr std::string_view answer_prefix = "answer/";

/// All numbers have the same length, so that keys are in order, and none begins as another.
std::string numbered(const std::string& prefix, std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return prefix + std::string(20 - digits.size(), '0') + digits;
}
std::string version_key(std::uint64_t number) {
  return numbered(version_prefix, number);
}
std::string text_key(std::uint64_t number) {
  return numbered("text/", number);
}

std::string newest_text(std::uint64_t number, std::uint64_t proposal) {
  return std::to_string(number) + " " + std::to_string(proposal);
}

/// What newest_text() makes, and nothing else.
bool parse_newest(const std::string& text, std::uint64_t& number, std::uint64_t& proposal) {
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, number);
  if (first.ec != std::errc() || first.ptr == end) return false;
  const auto second = std::from_chars(first.ptr + 1, end, proposal);
  return second.ec == std::errc() && text == newest_text(number, proposal);
}

std::string value_of(const omap& table, const std::string& key) {
  const auto found = table.find(key);
  return found == table.end() ? std::string() : found->second;
}

/// Until the members are known as they are now: who joins later sees what is proposed by now.
result<void> look_at_members(membership& of) {
  const auto looked = std::make_shared<std::promise<void>>();
  of.ask([looked](const lives&) { looked->set_value(); });
  if (looked->get_future().wait_for(shared_object::patience) == std::future_status::ready) return {};
  return fail(errc::timeout, "this gateway cannot see which gateways are in the cluster");
}

tl::unexpected<error> withdrawn() {
  return fail(errc::not_found, "the configuration is not proposed any more");
}

}  // namespace

result<std::shared_ptr<rados_configuration>> rados_configuration::open(std::shared_ptr<membership> of) {
  std::shared_ptr<rados_configuration> made(new rados_configuration(std::move(of)));
  const auto in = made->object();
  if (!in) return tl::unexpected(in.error());
  const int outcome = in->change_now({true, {}, {{newest_key, newest_text(0, 0)}, {proposal_key, ""}}, {}});
  if (outcome < 0 && outcome != -EEXIST) return tl::unexpected(made->why_not(outcome));
  return made;
}

error rados_configuration::why_not(int outcome) const {
  const errc code = outcome == -ETIMEDOUT ? errc::timeout : errc::io;
  return {code, "the cluster's object \"" + membership_->options().name +
                    ".config\" cannot be used: " + cluster::text_of(outcome)};
}

result<shared_object> rados_configuration::object() const {
  const auto in = membership_->now();
  if (!in) return fail(errc::closed, "this gateway is no member of its cluster now");
  return shared_object(in->pool, membership_->options().name + ".config");
}

result<omap> rados_configuration::read(const std::string& prefix) const {
  const auto in = object();
  if (!in) return tl::unexpected(in.error());
  auto [outcome, table] = in->read_now(shared_object::patience, {.prefix = prefix});
  if (outcome < 0) return tl::unexpected(why_not(outcome));
  return std::move(table);
}

/// errc::busy: what the change expects is not so.
result<void> rados_configuration::change(const object_change& wanted) const {
  const auto in = object();
  if (!in) return tl::unexpected(in.error());
  const int outcome = in->change_now(wanted);
  if (outcome == -ECANCELED) return fail(errc::busy, "the cluster's configuration has changed meanwhile");
  if (outcome < 0) return tl::unexpected(why_not(outcome));
  return {};
}

result<rados_configuration::head> rados_configuration::read_head() const {
  auto table = read(head_prefix);
  if (!table) return tl::unexpected(table.error());
  head found;
  if (!parse_newest(value_of(*table, newest_key), found.newest, found.proposal))
    return fail(errc::corrupt, "the number of the newest version of the cluster's configuration is damaged");
  found.table = std::move(*table);
  return found;
}

result<configuration_view> rados_configuration::look() {
  const auto now = read_head();
  if (!now) return tl::unexpected(now.error());
  configuration_view shown{now->newest, now->proposal, {}, {}};
  if (const std::string proposed = value_of(now->table, proposal_key); !proposed.empty()) {
    auto parsed = decode_proposal(proposed);
    if (!parsed) return tl::unexpected(parsed.error());
    shown.proposed = std::move(*parsed);
  }
  for (const auto& [key, record] : now->table)
    if (key.starts_with(gateway_prefix)) {
      auto parsed = decode_state(record);
      shown.states.emplace(key.substr(gateway_prefix.size()),
                           parsed ? std::move(*parsed) : configuration_state{0, parsed.error().message});
    }
  return shown;
}

result<std::vector<configuration_version>> rados_configuration::history() {
  const auto table = read(version_prefix);
  if (!table) return tl::unexpected(table.error());
  std::vector<configuration_version> all;
  for (const auto& [key, record] : *table) {
    auto parsed = decode_version(record);
    if (!parsed) return tl::unexpected(parsed.error());
    all.push_back(std::move(*parsed));
  }
  return all;
}

result<std::string> rados_configuration::text(std::uint64_t version) {
  const auto records = read(version_key(version));
  if (!records) return tl::unexpected(records.error());
  if (records->empty())
    return fail(errc::not_found, "no version " + std::to_string(version) + " of the cluster's configuration is kept");
  const auto about = decode_version(records->begin()->second);
  if (!about) return tl::unexpected(about.error());
  auto texts = read(text_key(version));
  if (!texts) return tl::unexpected(texts.error());
  std::string text = value_of(*texts, text_key(version));
  if (digest_of(text) != about->digest)
    return fail(errc::corrupt,
                "the text of version " + std::to_string(version) + " of the cluster's configuration is damaged");
  return text;
}

result<void> rados_configuration::propose(const configuration_proposal& what, const std::string& text) {
  // Who comes second sees on another look whom it met.
  for (unsigned tries = 0;; ++tries) {
    const auto now = read_head();
    if (!now) return tl::unexpected(now.error());
    if (now->newest != what.base)
      return fail(errc::busy, "the configuration has moved on to version " + std::to_string(now->newest) +
                                  " meanwhile: `sluice config diff` shows what has changed");
    if (const std::string other = value_of(now->table, proposal_key); !other.empty()) {
      const auto parsed = decode_proposal(other);
      return fail(errc::busy, "another configuration is being prepared" +
                                  (parsed ? ", by the gateway '" + parsed->gateway + "'" : std::string()) +
                                  ": try again");
    }
    object_change proposing;
    proposing.expects = {{newest_key, value_of(now->table, newest_key)}, {proposal_key, ""}};
    proposing.sets = {{proposal_key, encode(what)}, {proposed_key, text}};
    auto done = change(proposing);
    if (done) return look_at_members(*membership_);
    if (done.error().code != errc::busy || tries == 3) return done;
  }
}

result<std::string> rados_configuration::proposed_text(const configuration_proposal& what) {
  auto table = read(proposed_key);
  if (!table) return tl::unexpected(table.error());
  const auto now = look();  // after the text: it is that of what is proposed still
  if (!now) return tl::unexpected(now.error());
  if (!now->proposed || now->proposed->id != what.id) return withdrawn();
  return value_of(*table, proposed_key);
}

result<void> rados_configuration::answer(const configuration_proposal& what, const std::string& gateway,
                                         const configuration_answer& says) {
  object_change answering;
  answering.expects[proposal_key] = encode(what);
  answering.sets[std::string(answer_prefix) + gateway] = encode(says);
  const auto done = change(answering);
  if (!done && done.error().code == errc::busy) return withdrawn();
  return done;
}

result<std::map<std::string, configuration_answer>> rados_configuration::answers(const configuration_proposal& what) {
  const auto table = read(std::string(answer_prefix));
  if (!table) return tl::unexpected(table.error());
  std::map<std::string, configuration_answer> all;
  for (const auto& [key, record] : *table) {
    auto parsed = decode_answer(record);
    if (!parsed) return tl::unexpected(parsed.error());
    if (parsed->proposal == what.id) all.emplace(key.substr(answer_prefix.size()), std::move(*parsed));
  }
  return all;
}

result<void> rados_configuration::commit(const configuration_proposal& what, const std::string& text) {
  const auto now = read_head();
  if (!now) return tl::unexpected(now.error());
  const auto kept = history();
  if (!kept) return tl::unexpected(kept.error());
  const auto answered = read(std::string(answer_prefix));
  if (!answered) return tl::unexpected(answered.error());
  const configuration_version made{what.base + 1, what.made_s,     what.id,    what.gateway,
                                   what.origin,   digest_of(text), text.size()};
  object_change making;
  making.expects = {{newest_key, value_of(now->table, newest_key)}, {proposal_key, encode(what)}};
  making.sets = {{newest_key, newest_text(made.number, what.id)},
                 {proposal_key, ""},
                 {version_key(made.number), encode(made)},
                 {text_key(made.number), text}};
  making.removes = {proposed_key};
  for (const auto& [key, record] : *answered) making.removes.push_back(key);
  for (const configuration_version& old : *kept)
    if (old.number + versions_kept <= made.number) {
      making.removes.push_back(version_key(old.number));
      making.removes.push_back(text_key(old.number));
    }
  return change(making);
}

result<void> rados_configuration::withdraw(const configuration_proposal& what) {
  object_change taking_back;
  taking_back.expects[proposal_key] = encode(what);
  taking_back.sets[proposal_key] = "";
  taking_back.removes = {proposed_key};
  const auto done = change(taking_back);
  return !done && done.error().code == errc::busy ? result<void>{} : done;
}

result<void> rados_configuration::report(const std::string& gateway, const configuration_state& now) {
  object_change reporting;
  reporting.sets[std::string(gateway_prefix) + gateway] = encode(now);
  return change(reporting);
}

}  // namespace sluice::shared
