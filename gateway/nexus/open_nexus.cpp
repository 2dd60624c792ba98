#include "gateway/nexus/open_nexus.hpp"

#include <algorithm>
#include <cctype>
#include <memory>
#include <unordered_set>
#include <utility>

#include "actors/observe/log.hpp"
#include "gateway/scsi/inquiry.hpp"
#include "gateway/scsi/outcome_builders.hpp"
#include "gateway/scsi/reports.hpp"

namespace sluice::nexus {

namespace {

/// Counts down callbacks of several units, then runs `done` once.
std::function<void()> after(std::size_t count, std::function<void()> done) {
  return [left = std::make_shared<std::size_t>(count), done = std::move(done)] {
    if (--*left == 0) done();
  };
}

/// One function of the initiator, carried out by several units; answers once, for all of them.
class fan_out final : public port::task_endpoint {
 public:
  fan_out(port::task_management& original, std::vector<access::unit_endpoint*> endpoints)
      : original_(original), left_(endpoints.size()) {
    original_.response = port::task_response::task_does_not_exist;
    for (access::unit_endpoint* endpoint : endpoints) {
      copies_.push_back(std::make_unique<port::task_management>(original));
      copies_.back()->reply_to = this;
      endpoint->post(*copies_.back());
    }
  }
  void post(port::task&, port::task_event) noexcept override {
    SLUICE_CHECK(!"a task was sent to a management fan-out");
  }
  void post(port::task_management& answered) noexcept override {
    original_.response = of_both(original_.response, answered.response);
    if (--left_ > 0) return;
    original_.reply_to->post(original_);
    delete this;  // it lived for this one answer
  }

 private:
  port::task_management& original_;
  std::size_t left_;
  std::vector<std::unique_ptr<port::task_management>> copies_;
};

/// A copy of a function that somebody is to carry out; tells what came of it, and is gone.
class copy_of_request final : public port::task_endpoint {
 public:
  copy_of_request(const port::task_management& original, other_channels::answer answered)
      : request(original), answered_(std::move(answered)) {
    request.reply_to = this;
  }
  void post(port::task&, port::task_event) noexcept override {
    SLUICE_CHECK(!"a task was sent to a copy of a task management function");
  }
  void post(port::task_management& done) noexcept override {
    const auto answered = std::move(answered_);
    const port::task_response response = done.response;
    delete this;  // it lived for this one answer
    answered(response);
  }
  port::task_management request;

 private:
  other_channels::answer answered_;
};

/// Whether it concerns the tasks of one nexus only, which each of its channels must look for; the others are carried
/// out by the coordinator of a unit, for all cores.
bool is_of_one_nexus(port::task_function function) {
  switch (function) {
    case port::task_function::abort_task:
    case port::task_function::abort_task_set:
    case port::task_function::query_task:
    case port::task_function::query_task_set:
    case port::task_function::i_t_nexus_reset:
      return true;
    default:
      return false;
  }
}

void finish(port::task& t, scsi::outcome outcome, std::vector<std::uint8_t> data, memory::pool& buffers) {
  t.outcome = outcome;
  t.length_in = data.size();
  for (std::size_t done = 0; done < data.size();) {
    const auto part = static_cast<std::uint32_t>(std::min<std::size_t>(data.size() - done, memory::pool::largest));
    memory::slice piece = buffers.take(part);
    if (piece.empty()) {
      t.data_in.clear();
      t.length_in = 0;
      t.outcome = scsi::outcomes::busy();  // it is in no task set
      break;
    }
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(done), part, piece.data());
    t.data_in.push_back(std::move(piece));
    done += part;
  }
  t.fabric->post(t, port::task_event::complete);
}

}  // namespace

std::map<std::string, std::uint64_t> function_counts::by_name() const {
  std::map<std::string, std::uint64_t> all;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    std::string name = port::to_string(static_cast<port::task_function>(i));
    for (char& c : name) c = c == ' ' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    all[name] = counts_[i];
  }
  return all;
}

open_nexus::open_nexus(reactor::loop& loop, std::shared_ptr<const port::i_t_nexus> identity, access::lun_map luns,
                       surroundings around)
    : loop_(loop),
      identity_(std::move(identity)),
      luns_(std::move(luns)),
      others_(around.others),
      joined_(around.joined),
      gone_(std::move(around.gone)),
      moved_(std::move(around.moved)),
      managed_(around.managed) {
  if (around.report) report_ = std::make_shared<std::function<void(const port::unit_event&)>>(std::move(around.report));
  index();
  for (const handle& unit : distinct_units()) add_to(unit);
}

/// In the order of their first LUNs.
std::vector<open_nexus::handle> open_nexus::distinct_units() const {
  std::vector<handle> units;
  std::unordered_set<const access::unit_handle*> seen;
  for (const auto& [number, unit] : luns_)
    if (seen.insert(unit.get()).second) units.push_back(unit);
  return units;
}

void open_nexus::index() {
  by_number_.assign(luns_.empty() ? 0 : luns_.rbegin()->first + std::size_t{1}, nullptr);
  for (const auto& [number, unit] : luns_) by_number_[number] = endpoint_of(unit);
}

access::unit_endpoint* open_nexus::route(port::lun address) const noexcept {
  const std::int32_t number = port::lun_number(address);
  if (number < 0 || static_cast<std::size_t>(number) >= by_number_.size()) return nullptr;
  return by_number_[static_cast<std::size_t>(number)];
}

void open_nexus::submit(port::task& t) noexcept {
  ++commands_;
  if (t.expected_data_in != port::unknown_length) bytes_ += t.expected_data_in;
  if (t.expected_data_out != port::unknown_length) bytes_ += t.expected_data_out;
  if (t.cdb[0] == 0xa0) {
    report_luns(t);
    return;
  }
  access::unit_endpoint* endpoint = route(t.lun);
  if (!endpoint) return answer_absent(t);
  t.unit = endpoint;
  endpoint->post(t, port::task_event::submit);
}

void open_nexus::report_luns(port::task& t) noexcept {
  const auto checked = scsi::check_cdb(t.whole_cdb(), {});
  if (!checked) return finish(t, checked.error(), {}, loop_.buffers());
  const auto cdb = scsi::decode_report_luns(t.cdb);
  if (!cdb) return finish(t, cdb.error(), {}, loop_.buffers());
  // Whoever has the list need not be told that it has changed [SPC-4 6.33].
  for (const handle& unit : distinct_units())
    endpoint_of(unit)->withdraw(identity_->id, scsi::asc::reported_luns_changed);
  std::vector<std::uint64_t> addresses;
  for (const auto& [number, unit] : luns_) addresses.push_back(port::lun_address(number));
  finish(t, scsi::outcomes::good(), scsi::report_luns_data(*cdb, addresses), loop_.buffers());
}

/// A LUN without a logical unit knows INQUIRY and REQUEST SENSE; everything else is LOGICAL UNIT NOT SUPPORTED
/// [SPC-4 6.6.2, SAM-5 4.7.4].
void open_nexus::answer_absent(port::task& t) noexcept {
  if (t.cdb[0] == 0x12) {
    const auto cdb = scsi::decode_inquiry(t.cdb);
    if (!cdb) return finish(t, cdb.error(), {}, loop_.buffers());
    auto data = scsi::inquiry_data_without_unit(*cdb);
    if (!data) return finish(t, data.error(), {}, loop_.buffers());
    return finish(t, scsi::outcomes::good(), std::move(*data), loop_.buffers());
  }
  const scsi::outcome not_supported = scsi::outcomes::lun_not_supported();
  if (t.cdb[0] == 0x03) {
    const auto cdb = scsi::decode_request_sense(t.cdb);
    const scsi::encoded_sense encoded = scsi::encode(not_supported.sense, cdb.descriptor);
    std::vector<std::uint8_t> data(encoded.span().begin(), encoded.span().end());
    scsi::cut(data, cdb.allocation);
    return finish(t, scsi::outcomes::good(), std::move(data), loop_.buffers());
  }
  finish(t, not_supported, {}, loop_.buffers());
}

void open_nexus::manage(port::task_management& request) noexcept {
  // An initiator that manages its tasks has waited for one of them: the first sign of a medium that is slow.
  SLUICE_LOG(info, "nexus", "task management", {"function", port::to_string(request.function)},
             {"initiator", identity_->initiator.to_string()}, {"target", identity_->target_name},
             {"lun", port::lun_number(request.lun)});
  if (managed_) ++managed_->of(request.function);
  if (!others_ || !is_of_one_nexus(request.function)) return manage_here(request);
  request.response = port::task_response::task_does_not_exist;
  const auto heard = [&request, left = std::make_shared<int>(2)](port::task_response said) {
    request.response = of_both(request.response, said);
    if (--*left == 0) request.reply_to->post(request);
  };
  others_->manage_elsewhere(request, heard);
  manage_here((new copy_of_request(request, heard))->request);
}

/// What makes I T NEXUS RESET more than an end of tasks is done where it was asked for.
void open_nexus::manage_for_peer(const peer_request& what, other_channels::answer answered) {
  port::task_management request;
  request.nexus = identity_;
  request.function = what.function;
  request.lun = what.lun;
  request.referenced_tag = what.referenced_tag;
  const bool resets = what.function == port::task_function::i_t_nexus_reset;
  if (resets) request.function = port::task_function::abort_task_set;
  port::task_management& copy = (new copy_of_request(request, std::move(answered)))->request;
  if (resets) return manage_every_unit(copy);
  manage_here(copy);
}

void open_nexus::reset(port::transport_reset what, std::function<void()> done) noexcept {
  port::task_management request;
  request.nexus = identity_;
  request.function = what == port::transport_reset::nexus_loss ? port::task_function::i_t_nexus_reset
                                                               : port::task_function::target_warm_reset;
  manage((new copy_of_request(request, [done = std::move(done)](port::task_response) { done(); }))->request);
}

void open_nexus::manage_here(port::task_management& request) {
  switch (request.function) {
    case port::task_function::i_t_nexus_reset:
    case port::task_function::target_warm_reset:
    case port::task_function::target_cold_reset:
      manage_every_unit(request);
      return;
    default:
      break;
  }
  std::vector<access::unit_endpoint*> endpoints;
  if (access::unit_endpoint* endpoint = route(request.lun)) endpoints.push_back(endpoint);
  for (const departing_unit& each : *departing_)
    if (std::find(each.numbers.begin(), each.numbers.end(), port::lun_number(request.lun)) != each.numbers.end())
      endpoints.push_back(endpoint_of(each.unit));
  request.response = port::task_response::lun_does_not_exist;
  manage_at(request, std::move(endpoints));
}

void open_nexus::manage_every_unit(port::task_management& request) {
  std::vector<access::unit_endpoint*> endpoints;
  for (const handle& unit : distinct_units()) endpoints.push_back(endpoint_of(unit));
  for (const departing_unit& each : *departing_) endpoints.push_back(endpoint_of(each.unit));
  request.response = port::task_response::function_complete;
  manage_at(request, std::move(endpoints));
}

/// Nobody there: the response is what it is.
void open_nexus::manage_at(port::task_management& request, std::vector<access::unit_endpoint*> endpoints) {
  if (endpoints.empty()) return request.reply_to->post(request);
  if (endpoints.size() == 1) return endpoints.front()->post(request);
  new fan_out(request, std::move(endpoints));
}

void open_nexus::reached_from(const std::string& peer, const std::string& description) noexcept {
  if (moved_) moved_(peer, description);
}

void open_nexus::close(port::loss_reason reason, std::function<void()> closed) noexcept {
  SLUICE_LOG(info, "nexus", joined_ ? "channel ended" : "session ended", {"id", identity_->id},
             {"initiator", identity_->initiator.to_string()}, {"target", identity_->target_name},
             {"why", port::to_string(reason)});
  const std::vector<handle> units = distinct_units();
  closing_ = true;
  // Those that were taken away have been told to answer what was sent: nobody waits for that any more, least of all for
  // their media.
  for (const departing_unit& each : *departing_) endpoint_of(each.unit)->remove_nexus(identity_->id, reason, [] {});
  report_.reset();
  by_number_.clear();
  auto finished = [gone = std::move(gone_), closed = std::move(closed), units] {
    gone();
    closed();
  };
  if (units.empty()) {
    loop_.post(std::move(finished));
    return;
  }
  const auto one_less = after(units.size(), std::move(finished));
  for (const handle& unit : units) endpoint_of(unit)->remove_nexus(identity_->id, reason, one_less);
}

void open_nexus::remap(access::lun_map luns, std::uint64_t directory_version) {
  if (closing_ || luns == luns_) return;  // every unit has been told already that it ends
  const std::vector<handle> before = distinct_units();
  const access::lun_map old = std::exchange(luns_, std::move(luns));
  const std::vector<handle> now = distinct_units();
  const std::unordered_set<handle> before_set(before.begin(), before.end()), now_set(now.begin(), now.end());
  index();
  for (const handle& unit : before) {
    if (now_set.contains(unit)) continue;
    std::vector<std::uint16_t> numbers;
    for (const auto& [number, named] : old)
      if (named == unit) numbers.push_back(number);
    depart(unit, std::move(numbers));
  }
  for (const handle& unit : now) {
    if (!before_set.contains(unit))
      add_to(unit);
    else
      endpoint_of(unit)->raise(identity_->id, scsi::asc::reported_luns_changed, directory_version);
  }
  // What the initiator knows of the disk behind such a LUN is another one's [SPC-4 6.6.1]. A unit that went over to
  // another store is still the same disk.
  for (const auto& [number, unit] : luns_)
    if (const auto had = old.find(number); had != old.end() && had->second->name != unit->name)
      endpoint_of(unit)->raise(identity_->id, scsi::asc::inquiry_data_changed, directory_version);
  if (!joined_) report({0, scsi::asc::reported_luns_changed});
}

/// From within the turn of a unit's actor.
void open_nexus::on_attention(const access::unit_endpoint& at, scsi::additional_sense code) noexcept {
  const auto found = std::find(by_number_.begin(), by_number_.end(), &at);
  if (found == by_number_.end()) return;
  report({port::lun_address(static_cast<std::uint16_t>(found - by_number_.begin())), code});
}

void open_nexus::report(port::unit_event what) {
  if (!report_) return;
  loop_.post([to = std::weak_ptr(report_), what] {
    if (const auto fabric = to.lock()) (*fabric)(what);
  });
}

/// The handle is kept until the unit has let go.
void open_nexus::depart(const handle& unit, std::vector<std::uint16_t> numbers) {
  departing_->push_front({unit, std::move(numbers)});
  endpoint_of(unit)->remove_nexus(identity_->id, port::loss_reason::unit_removed,
                                  [all = departing_, it = departing_->begin()] { all->erase(it); });
}

}  // namespace sluice::nexus
