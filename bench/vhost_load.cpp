#include "bench/vhost_load.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "actors/wire/big_endian.hpp"
#include "actors/wire/little_endian.hpp"
#include "fabrics/vhost/front_end.hpp"
#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::bench {
namespace {

using vhost::command_header;
using vhost::command_response;
using vhost::driver_ring;
using vhost::front_end;

constexpr unsigned first_queue = 2;
constexpr std::uint64_t patience_ns = 30 * ns_per_s;
constexpr std::size_t table_entries = 3;

class vhost_load {
 public:
  explicit vhost_load(const vhost_settings& asked) : asked_(asked), chance_(asked.seed), guest_(options(asked)) {}

  result<vhost_report> run() {
    if (auto how = pin_to_core(asked_.core); !how) return tl::unexpected(how.error());
    if (auto how = guest_.connect(asked_.path); !how) return tl::unexpected(how.error());
    extents_ = std::max<std::uint64_t>(asked_.region_bytes / asked_.extent_bytes, asked_.queues * asked_.depth);
    generations_.assign(extents_, 0);
    busy_.assign(extents_, false);
    if (auto how = make_slots(); !how) return tl::unexpected(how.error());
    if (auto how = wait_until_ready(); !how) return tl::unexpected(how.error());
    for (slot& each : slots_) begin(each);
    kick_all();
    const std::uint64_t from = now_ns() + static_cast<std::uint64_t>(asked_.warm_up_seconds * 1e9);
    const std::uint64_t until = from + static_cast<std::uint64_t>(asked_.seconds * 1e9);
    if (auto how = go(from); !how) return tl::unexpected(how.error());
    report_ = {};
    if (auto how = take_accounts(report_.client, report_.target); !how) return tl::unexpected(how.error());
    const cpu_time client = report_.client, target = report_.target;
    const std::uint64_t began = now_ns();
    if (auto how = go(until); !how) return tl::unexpected(how.error());
    report_.seconds = static_cast<double>(now_ns() - began) / 1e9;
    if (auto how = take_accounts(report_.client, report_.target); !how && !asked_.reconnects)
      return tl::unexpected(how.error());
    report_.client = report_.client - client;
    report_.target = report_.target - target;
    ending_ = true;
    while (running_ > 0)
      if (auto how = turn(); !how) return tl::unexpected(how.error());
    return report_;
  }

 private:
  struct slot {
    unsigned queue = 0;
    std::uint16_t head = 0;
    std::uint8_t* request = nullptr;
    std::uint8_t* response = nullptr;
    std::uint8_t* data = nullptr;
    std::uint8_t* table = nullptr;
    std::uint64_t extent = 0, began_ns = 0, generation = 0;
    bool writes = false, running = false;
  };

  static front_end::options options(const vhost_settings& asked) {
    front_end::options made;
    made.request_queues = asked.queues;
    made.ring_size = 256;
    const std::uint64_t each = asked.extent_bytes + 4096;
    made.memory_bytes = 4 * mib + std::uint64_t{asked.queues} * (64 * kib + asked.depth * each);
    made.events = false;
    return made;
  }

  result<void> make_slots() {
    slots_.resize(std::size_t{asked_.queues} * asked_.depth);
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      slot& s = slots_[i];
      s.queue = first_queue + static_cast<unsigned>(i % asked_.queues);
      s.head = static_cast<std::uint16_t>(i / asked_.queues);
      s.request = guest_.allocate(64, 64);
      s.response = guest_.allocate(128, 64);
      s.table = guest_.allocate(table_entries * 16, 64);
      s.data = guest_.allocate(asked_.extent_bytes, 4096);
      if (!s.data || s.head >= guest_.ring(s.queue).size()) return fail(errc::no_space, "the depth is too large");
      const auto table = static_cast<std::uint32_t>(table_entries * sizeof(driver_ring::descriptor));
      guest_.ring(s.queue).set(s.head, {guest_.address_of(s.table), table, driver_ring::indirect_flag, 0});
    }
    return {};
  }

  /// Unit attentions are taken by commands that nobody counts.
  result<void> wait_until_ready() {
    for (int i = 0; i < 16; ++i) {
      const auto answer = guest_.run(first_queue, asked_.lun, std::vector<std::uint8_t>(6, 0));
      if (!answer.came) return fail(errc::timeout, "no answer from the gateway");
      if (answer.code == vhost::response_code::ok && answer.status == scsi::status::good) return restore_head();
    }
    return fail(errc::busy, "the unit does not become ready");
  }
  /// run() has used heads of ours.
  result<void> restore_head() {
    for (slot& s : slots_)
      guest_.ring(s.queue).set(s.head, {guest_.address_of(s.table), table_entries * 16, driver_ring::indirect_flag, 0});
    return {};
  }

  void fill(slot& s) const {
    for (std::uint32_t at = 0; at < asked_.extent_bytes; at += 16) {
      std::memcpy(s.data + at, &s.extent, 8);
      const std::uint64_t word = s.generation << 16 ^ at;
      std::memcpy(s.data + at + 8, &word, 8);
    }
  }
  bool holds(const slot& s) const {
    if (generations_[s.extent] == 0) return true;  // not ours
    for (std::uint32_t at = 0; at < asked_.extent_bytes; at += 16) {
      std::uint64_t words[2];
      std::memcpy(words, s.data + at, sizeof words);
      if (words[0] != s.extent || words[1] != (generations_[s.extent] << 16 ^ at)) return false;
    }
    return true;
  }

  void begin(slot& s) {
    do s.extent = chance_() % extents_;
    while (asked_.verify && busy_[s.extent]);
    busy_[s.extent] = true;
    s.writes = chance_() % 100 < asked_.write_percent;
    s.generation = s.writes ? ++generation_ : 0;
    if (s.writes && asked_.verify) fill(s);
    submit(s);
  }

  void submit(slot& s) {
    std::vector<std::uint8_t>& cdb = cdb_;
    cdb.assign(10, 0);
    cdb[0] = s.writes ? 0x2a : 0x28;
    const std::uint32_t blocks = asked_.extent_bytes / 512;
    wire::store32(cdb, 2, static_cast<std::uint32_t>(s.extent * blocks));
    wire::store16(cdb, 7, blocks);
    const auto head = front_end::header(asked_.lun, static_cast<std::uint64_t>(&s - slots_.data()), cdb);
    std::ranges::copy(head, s.request);
    s.response[11] = 0xff;
    using d = driver_ring;
    const auto size = static_cast<std::uint32_t>(command_response::bytes);
    const d::descriptor request{guest_.address_of(s.request), command_header::bytes, d::next_flag, 1};
    d::descriptor response{guest_.address_of(s.response), size, d::write_flag, 2};
    d::descriptor data{guest_.address_of(s.data), asked_.extent_bytes, 0, 2};
    std::array<d::descriptor, table_entries> table{request, data, response};
    if (!s.writes) {
      response.flags |= d::next_flag;
      data.flags = d::write_flag;
      table = {request, response, data};
    } else {
      table[1].flags = d::next_flag;
    }
    std::memcpy(s.table, table.data(), sizeof table);
    s.began_ns = now_ns();
    s.running = true;
    ++running_;
    guest_.ring(s.queue).make_available(s.head);
  }

  void kick_all() {
    for (unsigned i = 0; i < asked_.queues; ++i)
      if (guest_.ring(first_queue + i).wants_kick()) guest_.kick(first_queue + i);
  }

  void done(slot& s) {
    s.running = false;
    --running_;
    const auto status = static_cast<scsi::status>(s.response[10]);
    if (s.response[11] != 0 || status != scsi::status::good) {
      const scsi::sense sense = scsi::decode_sense({s.response + 12, vhost::sense_bytes});
      if (s.response[11] == 0 && status == scsi::status::check_condition &&
          sense.key == scsi::sense_key::unit_attention) {
        ++report_.attentions;  // as a driver does: once more
        return submit(s);
      }
      if (report_.errors++ == 0)
        report_.first_error = "response " + std::to_string(s.response[11]) + ", status " +
                              std::to_string(s.response[10]) + ", sense key " +
                              std::to_string(static_cast<int>(sense.key));
    } else if (s.writes) {
      ++report_.writes;
      generations_[s.extent] = s.generation;
    } else {
      ++report_.reads;
      if (asked_.verify && !holds(s)) ++report_.mismatches;
    }
    busy_[s.extent] = false;
    report_.latency_ns.add(now_ns() - s.began_ns);
    if (!ending_) begin(s);
  }

  bool reap() {
    bool any = false;
    for (unsigned i = 0; i < asked_.queues; ++i)
      while (const auto back = guest_.ring(first_queue + i).next_used()) {
        any = true;
        const std::size_t at = std::size_t{back->head} * asked_.queues + i;
        if (at < slots_.size() && slots_[at].running) done(slots_[at]);
      }
    return any;
  }

  result<void> turn() {
    if (reap()) {
      kick_all();
      last_ns_ = now_ns();
      return {};
    }
    if (asked_.spin_ns && now_ns() < last_ns_ + asked_.spin_ns) return {};
    for (unsigned i = 0; i < asked_.queues; ++i)
      if (!guest_.ring(first_queue + i).ask_for_signal()) return {};
    const bool heard = guest_.wait(first_queue, asked_.reconnects || asked_.queues > 1 ? ns_per_ms : patience_ns);
    for (unsigned i = 0; i < asked_.queues; ++i) guest_.ring(first_queue + i).suppress_signals();
    if (!heard && asked_.reconnects && guest_.is_closed(0)) return come_back();
    if (!heard && now_ns() > std::max(last_ns_, started_ns_) + patience_ns)
      return fail(errc::timeout, "the gateway answers no more");
    return {};
  }

  result<void> come_back() {
    const std::uint64_t until = now_ns() + patience_ns;
    for (;;) {
      const auto how = guest_.connect(asked_.path);
      if (how) break;
      if (now_ns() > until) return how;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ++report_.reconnections;
    last_ns_ = now_ns();
    return {};
  }

  result<void> go(std::uint64_t until) {
    while (now_ns() < until)
      if (auto how = turn(); !how) return how;
    return {};
  }

  result<void> take_accounts(cpu_time& client, cpu_time& target) const {
    auto own = cpu_account(0);
    if (!own) return tl::unexpected(own.error());
    client = *own;
    if (!asked_.target_pid) return {};
    auto theirs = cpu_account(asked_.target_pid);
    if (!theirs) return tl::unexpected(theirs.error());
    target = *theirs;
    return {};
  }

  const vhost_settings asked_;
  std::mt19937_64 chance_;
  front_end guest_;
  std::vector<slot> slots_;
  std::vector<std::uint64_t> generations_;  // of what an extent holds
  std::vector<bool> busy_;
  std::vector<std::uint8_t> cdb_;
  std::uint64_t extents_ = 0, generation_ = 0, last_ns_ = 0;
  const std::uint64_t started_ns_ = now_ns();
  std::size_t running_ = 0;
  bool ending_ = false;
  vhost_report report_;
};

}  // namespace

result<vhost_report> run_vhost_load(const vhost_settings& settings) {
  return vhost_load(settings).run();
}

}  // namespace sluice::bench
