#pragma once
#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/reactor/simulated.hpp"
#include "tests/sim/deferred_model.hpp"
#include "tests/sim/medium_model.hpp"
#include "tests/sim/plants.hpp"
#include "tests/sim/reservation_model.hpp"

namespace sluice::sim {

inline constexpr unsigned max_hosts = 4;
inline constexpr std::uint16_t luns = 3;              // the last comes and goes
inline constexpr std::uint64_t unit_bytes = 2 * mib;  // never less

/// What initiators together know of one logical unit.
struct unit_view {
  unit_view(judge& told, std::string its_name, std::uint16_t its_lun, std::uint32_t block, bool is_lasting)
      : name(std::move(its_name)),
        lun(its_lun),
        block_bytes(block),
        lasting(is_lasting),
        medium(told, unit_bytes / sector_bytes, is_lasting),
        reservations(told) {}

  const std::string name;
  const std::uint16_t lun;
  const std::uint32_t block_bytes;
  const bool lasting;
  medium_model medium;
  reservation_model reservations;
  bool reserving = false;                          // a PERSISTENT RESERVE OUT is in flight, or lost and perhaps alive
  std::set<std::uint64_t> capacities{unit_bytes};  // that it may have had

  // The caching page: with WCE off, from `cache_since` on, writes are durable when they are acknowledged.
  enum class write_cache { on, off, unknown };
  write_cache cache = write_cache::on;
  std::uint64_t cache_since = 0;
  bool selecting = false;  // a MODE SELECT is in flight, or lost and perhaps alive
  bool changing = false;   // another unit takes its place: what the caching page may say is not known

  // What lies under the unit, for commands that begin after `medium_since`.
  bool journaled = false;    // what is written is durable when it is acknowledged, whatever the page says
  bool fua_flushes = false;  // a durable write makes durable what was acknowledged before it: docs/tiers.md
  std::uint64_t medium_since = 0;

  bool makes_durable(bool fua, std::uint64_t begun) const {
    return fua || (journaled && medium_since < begun) || writes_through(begun);
  }
  /// Whether a write that is acknowledged now surely lies in a volatile cache.
  bool caches(bool fua, std::uint64_t begun) const {
    return !fua && !journaled && !changing && medium_since < begun && cache == write_cache::on && cache_since < begun;
  }
  bool makes_all_durable(bool fua, std::uint64_t begun) const {
    return fua_flushes && medium_since < begun && (fua || writes_through(begun));
  }

  std::uint64_t sectors_per_block() const { return block_bytes / sector_bytes; }
  std::uint64_t blocks() const { return unit_bytes / block_bytes; }

  // Commands of others may end without an answer while a reset or PREEMPT AND ABORT is in flight [SAM-5 5.6].
  void abort_begins() { ++aborts_; }
  void abort_ends(std::uint64_t now) {
    --aborts_;
    last_abort_ = now;
  }
  bool may_be_silent(std::uint64_t begun) const { return aborts_ > 0 || last_abort_ > begun; }

 private:
  bool writes_through(std::uint64_t begun) const { return cache == write_cache::off && cache_since < begun; }

  unsigned aborts_ = 0;
  std::uint64_t last_abort_ = 0;
};

/// A host, as others see it that take its commands away.
class fence_listener {
 public:
  /// A reset or PREEMPT AND ABORT that began then has been answered: what the unit had of this host's is over.
  virtual void on_fenced(unit_view& unit, std::uint64_t begun) = 0;

 protected:
  ~fence_listener() = default;
};

/// What the parts of one scenario share.
struct field {
  field(std::uint64_t its_seed, reactor::sim_world& its_world) : seed(its_seed), world(its_world) {}

  const std::uint64_t seed;
  reactor::sim_world& world;
  judge verdict;
  std::vector<std::unique_ptr<unit_view>> units;
  plant bug = plant::none;
  bool verbose = false;
  bool media_hang = false;          // now and then
  bool caching = false;             // hosts flush and change the caching page more often
  flush_log flushes{verdict};       // of unit 0
  flush_log disk_flushes{verdict};  // of whatever lies over the disk
  deferred_model deferred{flushes};

  std::uint64_t next_number = 1;    // of commands, so that a stamp says who wrote it
  std::uint64_t answered = 0;       // commands, over all
  bool media_fail = false;          // errors of the medium were, or are, to be expected
  std::uint64_t broken_until = 0;   // virtual time: until then connections may break
  bool always_breaking = false;     // the network resets connections by chance
  std::uint64_t slow_until_ns = 0;  // media are slow, or something is changed: what began before may take its time
  unsigned standing_still = 0;      // hosts
  std::array<fence_listener*, max_hosts> hosts{};

  /// Unit attention conditions that a host may hear of a unit: how many causes there were.
  std::array<std::map<std::pair<std::uint16_t, std::uint16_t>, unsigned>, max_hosts> attentions;

  void may_hear(unsigned host, std::uint16_t lun, std::uint16_t code) { ++attentions[host][{lun, code}]; }
  void others_may_hear(unsigned host, std::uint16_t lun, std::uint16_t code) {
    for (unsigned i = 0; i < max_hosts; ++i)
      if (i != host) may_hear(i, lun, code);
  }
  void all_may_hear(std::uint16_t lun, std::uint16_t code) { others_may_hear(max_hosts, lun, code); }
  void may_be_slow(std::uint64_t for_ns) { slow_until_ns = std::max(slow_until_ns, world.now_ns() + for_ns); }
  void connections_may_break(std::uint64_t for_ns) { broken_until = std::max(broken_until, world.now_ns() + for_ns); }
  bool may_break() const { return always_breaking || world.now_ns() < broken_until; }
};

}  // namespace sluice::sim
