#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <random>

#include "actors/wire/big_endian.hpp"
#include "gateway/state/local_authority.hpp"
#include "gateway/unit/coordinator.hpp"
#include "gateway/unit/shard.hpp"
#include "tiers/ram/ram_store.hpp"

/// What the tests of this room share: a whole logical unit over a RAM store, with initiators, in which every message
/// and every completion of the medium waits in a queue until the test lets it arrive, in any order that the seams
/// allow.
namespace sluice::unit {

using octets = std::vector<std::uint8_t>;

/// Things that will happen. What has one key happens in order; between keys chance decides (or, without delays, age).
class happenings {
 public:
  explicit happenings(std::uint64_t seed, bool delays) : chance_(seed), delays_(delays) {}
  void add(std::uint64_t key, std::function<void()> what) { queues_[key].push_back({next_++, std::move(what)}); }
  bool empty() const { return queues_.empty(); }
  void step() {
    auto chosen = queues_.begin();
    if (delays_) {
      std::advance(chosen, static_cast<std::ptrdiff_t>(chance_() % queues_.size()));
    } else {
      for (auto it = queues_.begin(); it != queues_.end(); ++it)
        if (it->second.front().first < chosen->second.front().first) chosen = it;
    }
    const std::function<void()> what = std::move(chosen->second.front().second);
    chosen->second.pop_front();
    if (chosen->second.empty()) queues_.erase(chosen);
    what();
  }
  std::uint64_t random() { return chance_(); }
  std::uint64_t new_key() { return next_key_++; }

 private:
  std::map<std::uint64_t, std::deque<std::pair<std::uint64_t, std::function<void()>>>> queues_;
  std::mt19937_64 chance_;
  bool delays_;
  std::uint64_t next_ = 0;
  std::uint64_t next_key_ = 1000;
};

/// A medium that answers no more, until it does again.
struct stall {
  bool on = false;
  std::vector<std::function<void()>> held;  // requests that wait for its end
  store::availability state = store::availability::ready;
};

/// The RAM store's channel, late and, when told so, failing.
class late_channel final : public store::channel {
 public:
  using fault = std::function<store::status(const store::request&)>;
  late_channel(std::unique_ptr<store::channel> below, happenings& later, const bool& late, const fault& fails,
               stall& stalled, std::vector<std::uint64_t>& announced)
      : below_(std::move(below)), later_(later), late_(late), fails_(fails), stall_(stalled), announced_(announced) {}

  void submit(store::request& r) noexcept override {
    const auto work = [this, &r] {
      store::status outcome = fails_ ? fails_(r) : store::status::good;
      if (outcome == store::status::good && !below_->try_now(r, outcome)) return below_->submit(r);
      r.done(outcome);
    };
    if (stall_.on)
      stall_.held.push_back(work);
    else
      later_.add(later_.new_key(), work);
  }
  store::availability available() const noexcept override { return stall_.state; }
  bool borrow(std::uint64_t offset, std::uint64_t length, std::vector<memory::slice>& out) noexcept override {
    return !late_ && !fails_ && below_->borrow(offset, length, out);
  }
  bool try_now(store::request& r, store::status& outcome) noexcept override {
    return !late_ && !fails_ && below_->try_now(r, outcome);
  }
  void will_read(std::uint64_t offset_bytes) noexcept override { announced_.push_back(offset_bytes); }

 private:
  std::unique_ptr<store::channel> below_;
  happenings& later_;
  const bool& late_;
  const fault& fails_;
  stall& stall_;
  std::vector<std::uint64_t>& announced_;
};

/// One command as the initiator sees it.
struct exchange {
  port::task task;
  octets out;                   // what the initiator has to send
  octets in;                    // what came
  std::uint64_t looked_at = 0;  // octets of this answer that are in `in`
  int completions = 0;
  int events = 0;  // get_data and put_data
  bool silent = false;
  bool loses_data = false;  // the fabric fails every transfer
  int taken_back = 0;       // transfers that the unit asked for
  port::silence silenced = port::silence::none;
  scsi::outcome outcome;
  std::uint64_t completed_at = 0;  // order of completion
  bool good() const { return completions == 1 && !silent && outcome.status == scsi::status::good; }
  bool ended_with(scsi::status s) const { return completions == 1 && !silent && outcome.status == s; }
  bool sensed(scsi::sense_key key, scsi::additional_sense code) const {
    return ended_with(scsi::status::check_condition) && outcome.sense.key == key && outcome.sense.code == code;
  }
};

struct managed {
  port::task_management request;
  int answers = 0;
};

class fixture;

/// An initiator's nexus with a fabric that keeps to the seam.
class initiator final : public port::task_endpoint {
 public:
  initiator(fixture& on, unsigned shard, std::uint64_t id, std::string name);

  exchange& send(octets cdb, octets out = {}, std::uint64_t room = 0,
                 port::task_attribute attribute = port::task_attribute::simple, std::size_t immediate = 0);
  managed& manage(port::task_function function, std::uint64_t tag = 0);
  void post(port::task& subject, port::task_event event) noexcept override;
  void post(port::task_management& request) noexcept override;

  std::shared_ptr<port::i_t_nexus> identity = std::make_shared<port::i_t_nexus>();
  bool lends = false;  // its data-out, from its own memory
  std::list<exchange> exchanges;
  std::list<managed> managements;
  const unsigned shard;
  bool stalled = false;      // brings no data and takes none
  bool looks_twice = false;  // at the data of an answer: at half of them at once, at the rest when the turn ends
  memory::account* payer = nullptr;
  /// Goes on with what it owes.
  void release();
  bool owes() const { return !owed_.empty(); }
  /// Its fabric loses a task that the unit holds.
  void lose(exchange& e);

 private:
  void answer(exchange& e, port::task_event event, port::transfer_end how);
  void take_in(exchange& e, std::uint64_t end);
  void end(exchange& e);
  std::vector<std::pair<exchange*, port::task_event>> owed_;  // what is to be answered, and by what
  void bring(exchange& e, std::uint64_t end);
  fixture& on_;
  std::uint64_t next_tag_ = 1;
};

struct fixture_options {
  unsigned shards = 1;
  std::uint64_t seed = 1;
  bool delays = false;  // messages take any time
  std::uint64_t blocks = 8192;
  std::uint32_t block_size = 512;
  bool thin = true;
  std::uint64_t patience_ns = 0;   // with answers that say: try again
  bool shares = false;             // the unit, with other gateways; then this one has the number 1
  bool relays = false;             // likewise: commands to the unit's owner
  unit::tenure* tenure = nullptr;  // likewise: the medium's; outlives the fixture
  shard_options limits;
};

class fixture {
 public:
  explicit fixture(const fixture_options& options = {});
  ~fixture();

  initiator& add(unsigned shard = 0, std::string name = {}, bool told = false);
  void remove(initiator& which);
  /// Until nothing is left to happen.
  void run();
  /// Lets so many periods of the deadlines' clock pass on all cores.
  void pass(unsigned periods);
  /// The medium answers again, what it kept back first.
  void end_stall();
  void drain(exchange& e) {
    run();
    EXPECT_EQ(e.completions, 1);
  }
  exchange& done(exchange& e) {
    drain(e);
    return e;
  }

  fixture_options options;
  happenings later;
  bool late = false;
  late_channel::fault fails;
  stall stalled;
  std::vector<std::uint64_t> announced;  // to the medium: where reads will begin
  std::unique_ptr<reactor::loop> loop;
  std::unique_ptr<state::state_store> kept = state::make_memory_store();
  std::shared_ptr<ram::ram_store> medium;
  std::unique_ptr<state::local_authority> authority;
  std::unique_ptr<unit::coordinator> coordinator;
  std::vector<std::unique_ptr<unit::shard>> shards;
  std::list<initiator> initiators;
  std::uint64_t completions = 0;
  std::map<std::string, int> messages;

  /// The coordinator after a restart with what was kept; or the coordinator of a unit that takes this one's place.
  std::unique_ptr<unit::coordinator> make_coordinator(bool replaces = false);

 private:
  struct to_coordinator_link final : coordinator_link {
    fixture* owner;
    unsigned index;
    void send(to_coordinator message) override {
      owner->later.add(index,
                       [o = owner, m = std::move(message)]() mutable { o->coordinator->on_message(std::move(m)); });
    }
  };
  struct to_shard_link final : shard_link {
    fixture* owner;
    unsigned index;
    void send(to_shard message) override {
      owner->later.add(100 + index, [o = owner, i = index, m = std::move(message)]() mutable {
        o->shards[i]->on_message(std::move(m));
      });
    }
  };
  void turn_loop();
  std::list<to_coordinator_link> coordinator_links_;
  std::list<to_shard_link> shard_links_;
  std::list<std::unique_ptr<state::local_authority>> later_starts_;
  std::uint64_t next_nexus_ = 1;
};

// -- CDBs ----------------------------------------------------------------------------------------------------

inline octets cdb10(std::uint8_t opcode, std::uint32_t lba, std::uint16_t length, std::uint8_t flags = 0) {
  octets c(10);
  c[0] = opcode;
  c[1] = flags;
  wire::store32(c, 2, lba);
  wire::store16(c, 7, length);
  return c;
}
inline octets cdb16(std::uint8_t opcode, std::uint64_t lba, std::uint32_t length, std::uint8_t flags = 0) {
  octets c(16);
  c[0] = opcode;
  c[1] = flags;
  wire::store64(c, 2, lba);
  wire::store32(c, 10, length);
  return c;
}
inline octets read10(std::uint32_t lba, std::uint16_t blocks) {
  return cdb10(0x28, lba, blocks);
}
inline octets write10(std::uint32_t lba, std::uint16_t blocks, bool fua = false) {
  return cdb10(0x2a, lba, blocks, fua ? 8 : 0);
}
inline octets test_unit_ready() {
  return octets(6);
}
inline octets compare_and_write16(std::uint64_t lba, std::uint8_t blocks) {
  octets c = cdb16(0x89, lba, 0);
  c[13] = blocks;
  return c;
}
inline octets pr_out(std::uint8_t action, std::uint8_t type = 0) {
  octets c = cdb10(0x5f, 0, 24, action);
  c[2] = type;
  return c;
}
inline octets pr_list(std::uint64_t key, std::uint64_t action_key, std::uint8_t flags = 0) {
  octets l(24);
  wire::store64(l, 0, key);
  wire::store64(l, 8, action_key);
  l[20] = flags;
  return l;
}
inline octets filled(std::size_t size, std::uint8_t value) {
  return octets(size, value);
}
inline octets patterned(std::size_t size, unsigned seed) {
  octets o(size);
  for (std::size_t i = 0; i < size; ++i) o[i] = static_cast<std::uint8_t>((i * 7 + i / 512 * 13 + seed) & 0xff);
  return o;
}

}  // namespace sluice::unit
