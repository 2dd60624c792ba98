#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "gateway/scsi/asc.hpp"
#include "gateway/unit/test_fixture.hpp"

// Random programs of commands through a whole unit, held against naive models; rapidcheck shrinks what contradicts.
// Each step of a program is a number that says what is done, by whom, and to what.
namespace sluice::unit {
namespace {

using scsi::sense_key;
namespace asc = scsi::asc;
using program = std::vector<std::uint16_t>;

constexpr unsigned hosts = 3;
constexpr std::uint32_t blocks = 8;

class dice {
 public:
  explicit dice(std::uint16_t number) : left_(number) {}
  unsigned of(unsigned sides) {
    const unsigned thrown = left_ % sides;
    left_ /= sides;
    return thrown;
  }

 private:
  unsigned left_;
};

octets select6(const octets& page, bool saved) {
  return {0x15, static_cast<std::uint8_t>(saved ? 0x11 : 0x10), 0, 0, static_cast<std::uint8_t>(page.size()), 0};
}

/// A list for MODE SELECT of one page; bits as `flip` says differ from its values now.
octets page_list(fixture& s, initiator& by, std::uint8_t code, std::size_t octet, std::uint8_t flip) {
  octets list = s.done(by.send({0x1a, 8, code, 0, 252, 0}, {}, 252)).in;
  list.at(0) = list.at(2) = 0;
  list.at(4) &= 0x3f;
  list.at(4 + octet) ^= flip;
  return list;
}

// -- unit attentions, by kind, nexus and precedence [SAM-5 5.14] -----------------------------------------------------

class attentions {
 public:
  attentions() : s_(with_shards(2)) {
    for (unsigned i = 0; i < hosts; ++i) {
      add(i);
      s_.drain(host_[i]->send(test_unit_ready()));  // hears of the reset
    }
    const octets now = page_list(s_, *host_[0], 0x0a, 5, 0);
    for (const bool on : {false, true}) {
      control_[on] = now;
      control_[on].at(4 + 5) = static_cast<std::uint8_t>(on ? 0x40 : 0);
    }
    s_.fails = [this](const store::request& r) {
      return r.what == store::verb::flush && flush_fails_ ? store::status::medium_error : store::status::good;
    };
  }

  void step(dice d) {
    const unsigned h = d.of(hosts);
    switch (d.of(16)) {
      case 0:
        expect(h, s_.done(host_[h]->send(test_unit_ready())), false);
        return;
      case 1:
        RC_ASSERT(s_.done(host_[h]->send({0x12, 0, 0, 0, 36, 0}, {}, 36)).good());
        return;
      case 2:
        return request_sense(h);
      case 3:
        return mode_select(h, d.of(2) == 1, d.of(2) == 1);
      case 4:
        return reset(h);
      case 5:
        host_[h]->manage(port::task_function::i_t_nexus_reset);
        s_.run();
        pending_[h] = {asc::i_t_nexus_loss};
        return;
      case 6:
        host_[h]->manage(port::task_function::clear_task_set);  // there is no task to be cleared
        s_.run();
        return;
      case 7:
        return resize(d.of(2) == 1 ? 8000 : 8192);
      case 8:
        s_.coordinator->establish_unit_attention(asc::background_medium_error, host_[h]->identity->id);
        s_.run();
        return establish_but(h, asc::background_medium_error);
      case 9:
        s_.remove(*host_[h]);
        add(h);
        pending_[h] = {asc::reset_occurred};
        deferred_[h] = wrote_[h] = false;
        return;
      case 10:
        if (!expect(h, s_.done(host_[h]->send(pr_out(6), pr_list(0, h + 1))), false)) return;
        registered_.insert(h);
        return;
      case 11:
        return clear(h);
      case 12:
        return preempt(h, d.of(hosts));
      case 13:
        if (expect(h, s_.done(host_[h]->send(write10(h, 1), filled(512, 1))), false)) wrote_[h] = true;
        return;
      case 14:
        if (expect(h, s_.done(host_[h]->send(cdb10(0x35, 0, 0))), false)) wrote_ = {};
        return;
      default:
        return fail_flush(h);
    }
  }

 private:
  static fixture_options with_shards(unsigned shards) {
    fixture_options how;
    how.shards = shards;
    return how;
  }
  void add(unsigned h) { host_[h] = &s_.add(h % 2, "iqn.2026-11.org.example:host" + std::to_string(h), true); }

  /// What a command that hears unit attentions says; whether it was done. `ends`: not GOOD when it is done.
  bool expect(unsigned h, const exchange& e, bool ends, scsi::status how = scsi::status::good) {
    if (!pending_[h].empty()) {
      RC_ASSERT(e.sensed(sense_key::unit_attention, pending_[h].front()));
      RC_ASSERT(!e.outcome.sense.deferred);
      pending_[h].pop_front();
      return false;
    }
    if (deferred_[h]) {
      RC_ASSERT(e.sensed(sense_key::medium_error, asc::write_error) && e.outcome.sense.deferred);
      deferred_[h] = false;
      return false;
    }
    RC_ASSERT(e.ended_with(ends ? how : scsi::status::good));
    return true;
  }
  void establish(unsigned h, scsi::additional_sense code) {
    auto& mine = pending_[h];
    if (std::find(mine.begin(), mine.end(), code) == mine.end()) mine.push_back(code);
  }
  void establish_but(unsigned except, scsi::additional_sense code) {
    for (unsigned h = 0; h < hosts; ++h)
      if (h != except) establish(h, code);
  }

  void request_sense(unsigned h) {
    const exchange& e = s_.done(host_[h]->send({0x03, 0, 0, 0, 252, 0}, {}, 252));
    RC_ASSERT(e.good());
    const scsi::sense told = scsi::decode_sense(e.in);
    if (!pending_[h].empty()) {
      RC_ASSERT(told.key == sense_key::unit_attention && told.code == pending_[h].front());
      pending_[h].pop_front();
    } else {
      RC_ASSERT(told.key == (deferred_[h] ? sense_key::medium_error : sense_key::no_sense));
      RC_ASSERT(told.deferred == deferred_[h]);
      deferred_[h] = false;
    }
  }
  void mode_select(unsigned h, bool task_aborted, bool saved) {
    const octets& list = control_[task_aborted];
    if (!expect(h, s_.done(host_[h]->send(select6(list, saved), list)), false)) return;
    if (task_aborted != task_aborted_) establish_but(h, asc::mode_parameters_changed);
    task_aborted_ = task_aborted;
    if (saved) saved_ = task_aborted;
  }
  void reset(unsigned h) {
    host_[h]->manage(port::task_function::logical_unit_reset);
    s_.run();
    for (auto& each : pending_) each = {asc::bus_device_reset};
    task_aborted_ = saved_;
  }
  void resize(std::uint64_t capacity) {
    s_.coordinator->set_capacity(capacity);
    s_.run();
    if (capacity != capacity_) establish_but(hosts, asc::capacity_changed);
    capacity_ = capacity;
  }
  void clear(unsigned h) {
    const bool registered = registered_.contains(h);
    exchange& e = s_.done(host_[h]->send(pr_out(3), pr_list(h + 1, 0)));
    if (!expect(h, e, !registered, scsi::status::reservation_conflict) || !registered) return;
    for (const unsigned other : registered_)
      if (other != h) establish(other, asc::reservations_preempted);
    registered_.clear();
  }
  void preempt(unsigned h, unsigned whom) {
    const bool can = registered_.contains(h) && registered_.contains(whom);
    exchange& e = s_.done(host_[h]->send(pr_out(4, 1), pr_list(h + 1, whom + 1)));
    if (!expect(h, e, !can, scsi::status::reservation_conflict) || !can) return;
    if (whom != h) establish(whom, asc::registrations_preempted);
    registered_.erase(whom);
  }
  void fail_flush(unsigned h) {
    flush_fails_ = true;
    exchange& e = s_.done(host_[h]->send(cdb10(0x35, 0, 0)));
    flush_fails_ = false;
    if (!expect(h, e, true, scsi::status::check_condition)) return;
    RC_ASSERT(e.sensed(sense_key::medium_error, asc::write_error) && !e.outcome.sense.deferred);
    for (unsigned other = 0; other < hosts; ++other)
      deferred_[other] = deferred_[other] || (wrote_[other] && other != h);
    wrote_ = {};
  }

  bool flush_fails_ = false;
  fixture s_;
  std::array<initiator*, hosts> host_{};
  std::array<std::deque<scsi::additional_sense>, hosts> pending_;
  std::array<bool, hosts> deferred_{}, wrote_{};
  std::set<unsigned> registered_;
  octets control_[2];
  bool task_aborted_ = false, saved_ = false;
  std::uint64_t capacity_ = 8192;
};

RC_GTEST_PROP(unit_model, unit_attentions_and_deferred_errors, (const program& steps)) {
  attentions unit;
  for (const std::uint16_t number : steps) unit.step(dice(number));
}

// -- mode pages: current, changeable, default and saved values [SPC-4 6.11, 6.13]
// ---------------------------------------

constexpr std::uint8_t codes[] = {0x01, 0x08, 0x0a, 0x1c};

class mode_pages {
 public:
  mode_pages() : host_(s_.add()) {
    for (const std::uint8_t code : codes) {
      current_[code] = default_[code] = saved_[code] = page(code, 2);
      changeable_[code] = page(code, 1);
    }
  }

  void step(dice d) {
    const std::uint8_t code = codes[d.of(std::size(codes))];
    switch (d.of(6)) {
      case 0:
        host_.manage(port::task_function::logical_unit_reset);
        s_.run();
        RC_ASSERT(s_.done(host_.send(test_unit_ready())).sensed(sense_key::unit_attention, asc::bus_device_reset));
        current_ = saved_;
        break;
      case 1:
        for (const std::uint8_t each : codes) check(each);
        break;
      default: {
        const std::size_t octet = 2 + d.of(static_cast<unsigned>(current_[code].size() - 2));
        const auto flip = static_cast<std::uint8_t>(d.of(2) == 0 ? changeable_[code][octet] : 1 << d.of(8));
        select(code, octet, flip, d.of(2) == 1, d.of(2) == 1);
      }
    }
    check(code);
  }

 private:
  octets page(std::uint8_t code, unsigned control) {
    octets list = s_.done(host_.send({0x1a, 8, static_cast<std::uint8_t>(control << 6 | code), 0, 252, 0}, {}, 252)).in;
    list.erase(list.begin(), list.begin() + 4);
    return list;
  }
  void check(std::uint8_t code) {
    RC_ASSERT(page(code, 0) == current_[code]);
    RC_ASSERT(page(code, 1) == changeable_[code]);
    RC_ASSERT(page(code, 2) == default_[code]);
    RC_ASSERT(page(code, 3) == saved_[code]);
  }
  void select(std::uint8_t code, std::size_t octet, std::uint8_t flip, bool saves, bool ten) {
    octets wanted = current_[code];
    wanted[octet] ^= flip;
    octets list(ten ? 8 : 4);
    list.insert(list.end(), wanted.begin(), wanted.end());
    list[ten ? 8 : 4] &= 0x3f;
    octets cdb = select6(list, saves);
    if (ten) {
      cdb.resize(10);
      cdb[0] = 0x55;
      cdb[4] = 0;
      cdb[8] = static_cast<std::uint8_t>(list.size());
    }
    const exchange& e = s_.done(host_.send(cdb, list));
    if ((flip & ~changeable_[code][octet]) != 0) {
      RC_ASSERT(e.sensed(sense_key::illegal_request, asc::invalid_field_in_parameter_list));
      RC_ASSERT(e.outcome.sense.field_byte == list.size() - wanted.size() + octet);
      return;
    }
    RC_ASSERT(e.good());
    current_[code] = wanted;
    if (saves) saved_ = current_;
  }

  fixture s_;
  initiator& host_;
  std::map<std::uint8_t, octets> current_, changeable_, default_, saved_;
};

RC_GTEST_PROP(unit_model, mode_pages, (const program& steps)) {
  mode_pages unit;
  for (const std::uint16_t number : steps) unit.step(dice(number));
}

// -- what a loss of power may take [SBC-3 4.15, 6.5.6]
// -----------------------------------------------------------------

class caching {
 public:
  caching() : s_(with_shards()) {
    for (unsigned i = 0; i < hosts; ++i) host_[i] = &s_.add(i % 2);
    s_.fails = [this](const store::request& r) { return at_medium(r); };
  }

  void step(dice d) {
    initiator& host = *host_[d.of(hosts)];
    const std::uint32_t lba = d.of(blocks);
    switch (d.of(10)) {
      case 0:
      case 1:
      case 2: {
        const bool fua = d.of(3) == 0;
        if (good(host, write10(lba, 1, fua), filled(512, 1)) && (fua || !write_back())) RC_ASSERT(is_durable(lba));
        break;
      }
      case 3:
        if (good(host, cdb10(0x2e, lba, 1), filled(512, 1))) RC_ASSERT(is_durable(lba));
        break;
      case 4:
        if (good(host, cdb10(0x41, lba, 1), filled(512, 1)) && !write_back()) RC_ASSERT(is_durable(lba));
        break;
      case 5:
        if (good(host, cdb10(0x28, lba, 1, 8), {}, 512)) RC_ASSERT(is_durable(lba));
        break;
      case 6:
        if (good(host, cdb10(0x2f, lba, 1))) RC_ASSERT(is_durable(lba));
        break;
      case 7:
        flush_fails_ = d.of(4) == 0;
        if (good(host, cdb10(0x35, 0, 0))) RC_ASSERT(volatile_.empty());
        break;
      case 8:
        flush_fails_ = d.of(4) == 0;
        set_write_cache(host, d.of(2) == 1, d.of(2) == 1);
        break;
      default:
        host.manage(port::task_function::logical_unit_reset);
        s_.run();
        if (!write_back()) RC_ASSERT(volatile_.empty());
    }
    flush_fails_ = false;
  }

 private:
  static fixture_options with_shards() {
    fixture_options how;
    how.shards = 2;
    return how;
  }
  bool write_back() const { return s_.coordinator->snapshot()->writes_back(); }
  bool is_durable(std::uint32_t lba) const { return !volatile_.contains(lba); }

  store::status at_medium(const store::request& r) {
    if (r.what == store::verb::flush) {
      if (flush_fails_) return store::status::medium_error;
      volatile_.clear();
    } else if (store::changes_medium(r.what)) {
      for (std::uint64_t at = r.offset_bytes; at < r.offset_bytes + r.length_bytes; at += 512)
        if (r.fua)
          volatile_.erase(static_cast<std::uint32_t>(at / 512));
        else
          volatile_.insert(static_cast<std::uint32_t>(at / 512));
    }
    return store::status::good;
  }

  /// Until nobody has anything else to tell; whether the command was done.
  bool good(initiator& host, const octets& cdb, const octets& out = {}, std::uint64_t room = 0) {
    for (int tries = 0; tries < 6; ++tries) {
      const exchange& e = s_.done(host.send(cdb, out, room));
      if (e.good()) return true;
      if (!e.sensed(sense_key::unit_attention, e.outcome.sense.code) && !e.outcome.sense.deferred) return false;
    }
    RC_FAIL("it is told something for ever");
    return false;
  }
  void set_write_cache(initiator& host, bool on, bool saved) {
    if (!good(host, test_unit_ready())) return;
    octets list = page_list(s_, host, 0x08, 2, 0);
    list.at(6) = static_cast<std::uint8_t>((list.at(6) & ~4) | (on ? 4 : 0));
    if (good(host, select6(list, saved), list) && !on) RC_ASSERT(volatile_.empty());
  }

  bool flush_fails_ = false;
  std::set<std::uint32_t> volatile_;  // blocks that the power would take
  fixture s_;
  std::array<initiator*, hosts> host_{};
};

RC_GTEST_PROP(unit_model, what_a_loss_of_power_may_take, (const program& steps)) {
  caching unit;
  for (const std::uint16_t number : steps) unit.step(dice(number));
}

// -- the order of tasks [SAM-5 8]
// --------------------------------------------------------------------------------------

/// Each task writes a block of its own; the medium sees the order in which they are done.
RC_GTEST_PROP(unit_model, the_order_of_tasks, (const program& steps)) {
  fixture_options how;
  how.shards = 2;
  how.blocks = 8192;
  fixture s(how);
  s.late = true;
  std::vector<initiator*> host;
  for (unsigned i = 0; i < hosts; ++i) host.push_back(&s.add(i % 2));
  std::map<std::uint64_t, std::uint64_t> begun;  // by task: when the medium first heard of it
  std::uint64_t now = 0;
  s.fails = [&](const store::request& r) {
    begun.emplace(r.offset_bytes / 512, ++now);
    return store::status::good;
  };
  struct sent_task {
    unsigned host;
    port::task_attribute attribute;
    exchange* e;
  };
  std::vector<sent_task> tasks;
  for (const std::uint16_t number : steps) {
    dice d(number);
    const unsigned h = d.of(hosts);
    const auto attribute = static_cast<port::task_attribute>(d.of(3));
    const auto lba = static_cast<std::uint32_t>(tasks.size());
    const octets cdb = d.of(4) == 0 ? cdb16(0x8b, lba, 1) : write10(lba, 1);
    tasks.push_back({h, attribute, &host[h]->send(cdb, filled(512, 1), 0, attribute, d.of(2) * 512)});
    for (unsigned n = d.of(12); n > 0 && !s.later.empty(); --n) s.later.step();
  }
  s.run();
  for (std::size_t later = 0; later < tasks.size(); ++later) {
    RC_ASSERT(tasks[later].e->good());
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (tasks[earlier].host != tasks[later].host) continue;
      const bool waits_for_all = tasks[later].attribute == port::task_attribute::ordered;
      const bool is_waited_for = tasks[earlier].attribute == port::task_attribute::ordered &&
                                 tasks[later].attribute != port::task_attribute::head_of_queue;
      if (!waits_for_all && !is_waited_for) continue;
      RC_ASSERT(begun.at(earlier) < begun.at(later));
      RC_ASSERT(tasks[earlier].e->completed_at < tasks[later].e->completed_at);
    }
  }
}

}  // namespace
}  // namespace sluice::unit
