#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"
#include "actors/memory/slab.hpp"
#include "actors/reactor/loop.hpp"
#include "config/schema/keys.hpp"

/// What a backstore offers. A `store` is the opened medium, shared by all cores; a `channel` is One core's interface to
/// it: requests are submitted and completed on that core, whatever threads the store itself uses.
namespace sluice::store {

enum class verb : std::uint8_t {
  read,          // medium -> parts
  write,         // parts -> medium
  flush,         // everything acknowledged before is durable afterwards
  discard,       // the range reads as zeroes afterwards and, if it can, takes no space
  write_zeroes,  // the range reads as zeroes afterwards; space stays allocated where the medium knows the difference
  write_same,    // parts[0] (one pattern) repeated over the range
  compare_and_write,  // parts[0 … parts_compare) hold what must be there, the rest what replaces it
  map,                // fills `extents` with the provisioning of the range
};

/// Whether the verb gives blocks another content.
constexpr bool changes_medium(verb what) {
  switch (what) {
    case verb::read:
    case verb::flush:
    case verb::map:
      return false;
    case verb::write:
    case verb::discard:
    case verb::write_zeroes:
    case verb::write_same:
    case verb::compare_and_write:
      break;
  }
  return true;
}

enum class status : std::uint8_t {
  good,
  miscompare,    // compare_and_write: miscompare_offset is set, nothing was written
  medium_error,  // the range can't be read or written; failed_offset is set when known
  no_space,      // a write to a thin medium found no space
  write_protected,
  gone,  // the medium is not there (any more)
  timeout,
  aborted,  // by cancel
};

/// One range of a map request. `mapped` is false where the range reads as zeroes and takes no space.
struct extent {
  std::uint64_t offset_bytes;
  std::uint64_t length_bytes;
  bool mapped;
};

/// One asynchronous operation. The submitter owns it, the array behind `parts` and the buffers, and keeps them alive
/// and still until done() is entered. Lengths and offsets are octets, multiples of the unit's block size, inside the
/// store (the submitter has checked; a store asserts). Buffers may have any alignment.
class request {
 public:
  request() = default;
  request(const request&) = delete;
  request& operator=(const request&) = delete;
  /// Makes this the same question as `other`, in its buffers: for a store that passes requests on.
  void ask_as(const request& other) noexcept {
    what = other.what;
    fua = other.fua;
    offset_bytes = other.offset_bytes;
    length_bytes = other.length_bytes;
    parts = other.parts;
    part_count = other.part_count;
    parts_compare = other.parts_compare;
    extents = other.extents;
    extent_limit = other.extent_limit;
    written_anew = other.written_anew;
  }
  /// Takes over what the same question was answered elsewhere.
  void answer_as(const request& other) noexcept {
    miscompare_offset = other.miscompare_offset;
    failed_offset = other.failed_offset;
    loss = other.loss;
  }

  verb what = verb::read;
  bool fua = false;  // write-like verbs: durable before good
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;  // of the range on the medium
  const iovec* parts = nullptr;
  unsigned part_count = 0;
  unsigned parts_compare = 0;              // compare_and_write only: how many leading parts are the compare half
  std::vector<extent>* extents = nullptr;  // map only: cleared, filled in order, merged, covering from offset_bytes on
  unsigned extent_limit = 0;               // map only: stop after so many
  std::uint64_t written_anew = 0;          // flush only: all that was lost up to this `loss` was written anew since

  std::uint64_t miscompare_offset = 0;  // out: octets from offset_bytes to the first difference
  std::uint64_t failed_offset = 0;      // out: octets from the store's start
  std::uint64_t loss = 0;  // out, of a flush that failed: the number of the newest loss of acknowledged writes

  /// Called exactly once per submit, on the channel's core, never from within submit().
  virtual void done(status outcome) noexcept = 0;

  /// Belongs to the channel between submit() and done().
  struct {
    void* pointer;
    request* next;
    std::uint64_t words[4];
  } scratch{};

 protected:
  ~request() = default;
};

struct properties {
  std::uint64_t size_bytes = 0;
  std::uint32_t logical_block = 512;  // the smallest unit the medium writes without read-modify-write, octets
  std::uint32_t physical_block = 4096;
  std::uint32_t optimal_io_bytes = 0;  // 0: unknown
  bool read_only = false;
  bool volatile_cache = true;             // acknowledged writes need flush or fua to be durable
  bool keeps_data = true;                 // false: RAM
  bool discards = false;                  // discard frees space
  std::uint32_t discard_granularity = 0;  // octets
  bool maps = false;                      // map tells holes from data
  bool rotational = false;
  /// What initiators are warned of; each only rises. A part of the medium failed, and it goes on without; data that
  /// were acknowledged are lost.
  std::uint32_t failures = 0;
  std::uint32_t losses = 0;
  bool atomic_across_gateways = false;  // compare_and_write excludes other gateways' writers too
  /// How long a request may take before the unit answers its command without it (the request goes on, and its blocks
  /// stay locked until done()). 0: the medium always answers, so the unit waits.
  std::uint64_t deadline_ns = 0;
};

/// Whether a medium can be used now.
enum class availability : std::uint8_t {
  ready,
  stalled,  // it does not answer, and may do so again
  gone,     // it is not there any more
};

class channel {
 public:
  virtual ~channel() = default;

  /// Starts a request. Requests in flight at the same time have no order between them. For compare_and_write the caller
  /// guarantees that no other request of this gateway overlaps the range while it runs.
  virtual void submit(request& r) noexcept = 0;

  /// A store whose medium is memory may answer a read without a copy: appends slices of its own memory, valid until
  /// the store is closed, whose content is whatever the range holds when it is looked at. False: use submit().
  virtual bool borrow(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                      std::vector<memory::slice>& out) noexcept {
    (void)offset_bytes, (void)length_bytes, (void)out;
    return false;
  }
  /// A read that begins there comes soon: a channel that will have to look it up may fetch what it looks at into the
  /// processor's caches. Promises nothing, for the caller neither, not even that the offset lies in the store.
  virtual void will_read(std::uint64_t offset_bytes) noexcept { (void)offset_bytes; }
  /// A store whose medium is memory may do a request on the spot: it returns true and sets `outcome`; done() is not
  /// called then. Spares the hot path a turn of the loop.
  virtual bool try_now(request& r, status& outcome) noexcept {
    (void)r, (void)outcome;
    return false;
  }
  /// What is known at once; TEST UNIT READY asks.
  virtual availability available() const noexcept { return availability::ready; }
  /// Whether the channel has nothing under way for itself, beyond requests. It may go only then; with no requests, that
  /// comes soon: who has been asked begins nothing for itself until the next request.
  virtual bool idle() noexcept { return true; }
};

/// One thing that a store counts or knows of itself, for `sluice status`: names are snake_case with the unit last
/// ("in_flight", "read_p99_us", "dirty_bytes"), the same ones at each call.
struct figure {
  std::string name;
  std::variant<bool, std::uint64_t, double, std::string> value;
  bool counts = false;  // since the store was opened: it never falls
};
inline figure counter(std::string name, std::uint64_t value) {
  return {std::move(name), value, true};
}

/// What a tier that may hold data for a medium notes with the medium itself, so that nobody uses the medium without
/// them.
struct ownership {
  std::uint64_t epoch = 0;  // raised whenever somebody begins to hold data
  std::string holder;       // who does, in words that an operator can go by; empty: nobody
  bool operator==(const ownership&) const = default;
};

/// Where the binding of a medium is kept that has no place of its own for it. Any thread but a loop's; may block.
class binding_book {
 public:
  virtual ~binding_book() = default;
  virtual result<std::uint64_t> read() = 0;
  virtual result<void> write(std::uint64_t flash) = 0;
};

/// Told when something of describe() changed by itself, the medium's size for one. May come from any thread.
using changed = std::function<void()>;

/// What becomes of a recording of requests.
enum class recording : std::uint8_t { start, fetch, stop };
/// A part of one: lines of TIME_US,OP,OFFSET,LENGTH, and how many requests found no room since the part before.
struct recorded {
  std::string lines;
  std::uint64_t requests = 0;
  std::uint64_t lost = 0;
};

/// Other settings of a store that goes on, ready to be put in force; called once, or dropped.
struct prepared {
  /// At once and without fail. Empty: nothing could be prepared.
  std::function<void()> put_in_force;
  /// Only after the store has handed over what only it holds; it goes over to them in the next take_over().
  bool after_hand_over = false;

  explicit operator bool() const { return put_in_force != nullptr; }
  void operator()() const { put_in_force(); }
};

class store {
 public:
  virtual ~store() = default;

  virtual const char* type() const noexcept = 0;  // "ram", "file", …
  virtual properties describe() const = 0;        // any thread
  /// "good", or a sentence that says what is wrong with the medium. Any thread; never waits for the medium.
  virtual std::string health() const { return "good"; }
  /// What there is to tell beyond describe(). Any thread; never waits for the medium.
  virtual std::vector<figure> figures() const { return {}; }

  /// A channel for one core; called on that core. All channels are gone before the store goes.
  virtual std::unique_ptr<channel> attach(reactor::loop& loop) = 0;

  /// Grows or shrinks the medium (errc::unsupported where it has a size of its own).
  virtual result<void> resize(std::uint64_t size_bytes) = 0;
  /// Whether resize() would take that size, as far as is known without trying. Any thread; never waits for the medium.
  virtual result<void> check_size(std::uint64_t size_bytes) const {
    (void)size_bytes;
    return {};
  }
  virtual void on_change(changed callback) { (void)callback; }

  /// Other settings of the same type over the same store, while requests are under way. Does whatever may fail, and
  /// changes nothing; blocks. Empty: the store has to be opened anew for that. errc::busy: an earlier change is not
  /// through yet. Control path.
  virtual result<prepared> prepare_settings(const config::settings& wanted) {
    (void)wanted;
    return prepared{};
  }

  /// Forgets what a store over a store keeps of it besides: only what lies below as well. errc::unsupported: it keeps
  /// nothing. errc::busy as above. Control path; may block.
  virtual result<void> drop() { return fail(errc::unsupported, "it keeps nothing of another store"); }
  /// Begins to write below all that this store, or one under it, holds and the medium does not. Returns a mark for
  /// undestaged_bytes(). Any thread; waits for nothing.
  virtual std::uint64_t destage() { return 0; }
  /// Octets that were there at the mark and are not below yet; 0: all is. Any thread; waits for nothing.
  virtual std::uint64_t undestaged_bytes(std::uint64_t ownership) const {
    (void)ownership;
    return 0;
  }

  /// Takes down what is asked of this store, in bounded memory, until somebody fetches it; stopping fetches the rest.
  /// errc::unsupported: it does not. errc::busy: somebody else records. `now_ns` is by the loops' clock. Any thread;
  /// waits for nothing.
  virtual result<recorded> record(recording how, std::uint64_t now_ns) {
    (void)how, (void)now_ns;
    return fail(errc::unsupported, "it records nothing");
  }

  /// A store over a store that keeps something of it for itself does so from the start, or from take_over(), up to
  /// hand_over(): until then nobody else uses the store below. After hand_over() it only passes requests on, and what
  /// it kept is void for ever, also where that outlives the process. Control path; may block.
  virtual void take_over() {}
  virtual void hand_over() {}
  /// Brings below what only this store holds, and holds nothing more until take_over(): before anybody else may use the
  /// store below. Does not wait; handed_over() says when it is done. Control path.
  virtual void begin_hand_over() {}
  /// errc::busy: not yet. Any other error: it never will be.
  virtual result<void> handed_over() { return {}; }

  /// Of a medium that gateways share: from now on this one alone uses it, until end_tenure(); a store that was just
  /// opened is in use. What a store over a store kept before is not believed, for the writes of others passed it by.
  /// Returns before the first request. errc::busy: an earlier change is not through yet. Control path; may block.
  virtual result<void> begin_tenure() { return {}; }
  /// Others may use the medium when it returns: what is under way brings nothing that is kept, and notes nothing with
  /// the medium. Control path; may block.
  virtual void end_tenure() {}

  /// Gives up what was acknowledged and is lost: it reads as what lies below from now on. Returns how many octets those
  /// are. errc::unsupported: the store keeps no account of such. Control path.
  virtual result<std::uint64_t> give_up_lost() { return fail(errc::unsupported, "it holds nothing back"); }

  /// The note of a tier with this medium, which survives the process. errc::unsupported where a medium keeps none.
  /// Control path; may block.
  virtual result<ownership> read_ownership() { return fail(errc::unsupported, "this store keeps no marks"); }
  virtual result<void> write_ownership(const ownership& wanted) {
    (void)wanted;
    return fail(errc::unsupported, "this store keeps no marks");
  }
  /// How this store calls itself in the mark of the store below; empty when it leaves none.
  virtual std::string holder() const { return {}; }

  /// The flash over this medium that was told of every write to it, by the flash's own number: what any other one holds
  /// may be stale. 0: there is none. Survives the process, with the medium or in its book; errc::unsupported where
  /// there is neither. Any thread but a loop's; may block.
  result<std::uint64_t> read_binding() {
    auto own = read_own_binding();
    return is_kept_in_book(own) ? book_->read() : own;
  }
  result<void> write_binding(std::uint64_t flash) {
    auto own = write_own_binding(flash);
    return is_kept_in_book(own) ? book_->write(flash) : own;
  }
  /// Before anybody uses the store.
  void keep_binding_in(std::shared_ptr<binding_book> book) { book_ = std::move(book); }

 protected:
  /// As above; errc::unsupported where the medium has no place for it.
  virtual result<std::uint64_t> read_own_binding() { return fail(errc::unsupported, "this store keeps no binding"); }
  virtual result<void> write_own_binding(std::uint64_t flash) {
    (void)flash;
    return fail(errc::unsupported, "this store keeps no binding");
  }

 private:
  template <class Result>
  bool is_kept_in_book(const Result& own) const {
    return book_ && !own && own.error().code == errc::unsupported;
  }

  std::shared_ptr<binding_book> book_;
};

/// How a store type is made. One per folder under tiers/ (and ceph/), handed to the registry by register_store().
struct factory {
  const char* type;
  std::vector<config::key> keys;
  /// Opens the medium; may block, runs on a control thread. `control_loop` opens files; `below` finds a store named in
  /// a store_name key, already open (a tier over a store).
  std::function<result<std::shared_ptr<store>>(const config::settings&, reactor::loop& control_loop,
                                               const std::function<std::shared_ptr<store>(const std::string&)>& below)>
      open;
  /// Whether the keys go together, of which each one is good: touches nothing. The sentence begins with the key that it
  /// is about. Empty where all do.
  std::function<result<void>(const config::settings&)> examine = {};
  /// Looks whether open() would find its medium, and changes nothing: `sluice check --probe`, and `sluice plan` for
  /// stores that come. Empty where there is nothing to look at. May block.
  std::function<result<void>(const config::settings&)> probe = {};
  bool shared = false;  // all gateways of a cluster reach the same medium
  /// Of a tier: whether gateways that share what lies below may each have one of their own over it, so set; the
  /// sentence begins with a key. Empty: they may not.
  std::function<result<void>(const config::settings&)> may_be_shared = {};
};

class registry {
 public:
  void add(factory f) { factories_.push_back(std::move(f)); }
  const factory* find(const std::string& type) const {
    for (const factory& f : factories_)
      if (type == f.type) return &f;
    return nullptr;
  }
  const std::vector<factory>& all() const { return factories_; }

 private:
  std::vector<factory> factories_;
};

}  // namespace sluice::store
