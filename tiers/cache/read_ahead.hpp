#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "tiers/cache/generation_ref.hpp"
#include "tiers/store/scatter.hpp"

namespace sluice::cache {

class cache_channel;

/// Reads ahead of the sequential readers of one channel, into buffers of its own: what a reader then takes from there
/// is kept in the tiers as if it had been read below just then, or passes by as the long streams do. Nothing of it is
/// ever older than what the store below holds: each block has a fill version, as everywhere, and is served while that
/// holds.
class read_ahead {
 public:
  explicit read_ahead(cache_channel& owner) : owner_(owner) {}
  ~read_ahead();

  /// A read was answered by a tier.
  void passed(std::uint64_t offset_bytes, std::uint64_t length_bytes) noexcept {
    if (streams_in_use_ != 0) follow(offset_bytes, offset_bytes + length_bytes);
  }
  /// Answers a read on the spot when all of it has been read ahead.
  bool serve_now(store::request& r) noexcept;
  /// Takes over a read of which a part is being read ahead: it is answered when that is there.
  bool serve_later(store::request& r) noexcept;
  /// A read goes below, which the channel has observed last: it may be one of a stream.
  void missed(const store::request& r) noexcept;

  /// Other tiers: what was read ahead is worth nothing.
  void drop() noexcept;
  bool at_work() const noexcept;

 private:
  static constexpr unsigned streams_limit = 4;
  struct stream {
    std::uint64_t next = 0;    // where it is expected to go on
    block_number ahead = 0;    // up to here nothing more is to be read ahead
    std::uint64_t window = 0;  // octets, how far ahead it may be
    std::uint64_t grown = 0;   // where it was when the window grew
    std::uint64_t used = 0;    // when; 0: not in use
  };
  class chunk final : public store::request {
   public:
    chunk(read_ahead& by, const stream& reader, block_number from, block_number to, memory::slice into);
    ~chunk();
    void done(store::status outcome) noexcept override { owner.arrived(*this, outcome); }
    bool covers(block_number block) const { return block >= first && block < last; }

    read_ahead& owner;
    const stream& of;
    const block_number first, last;
    const memory::slice buffer;
    const iovec part;
    std::vector<std::uint64_t> fill_versions;
    generation_ref* tiers = nullptr;  // while it is under way
    bool void_ = false;               // nothing of it is served
    store::request_queue waiting;
  };

  enum class found : std::uint8_t { nothing, under_way, all };
  found look(const store::request& r, chunk*& under_way) noexcept;
  chunk* find(block_number block) noexcept;
  void take(store::request& r, std::uint64_t run) noexcept;
  void follow(std::uint64_t from, std::uint64_t end) noexcept;
  void begin_stream(std::uint64_t at) noexcept;
  void end_stream(stream& s) noexcept;
  void extend(stream& s) noexcept;
  bool is_in_a_tier(block_number block) const noexcept;
  bool read(const stream& s, block_number last) noexcept;
  void arrived(chunk& c, store::status outcome) noexcept;
  void forget(const stream& of, block_number before) noexcept;
  void look_for_idle_streams() noexcept;

  cache_channel& owner_;
  std::array<stream, streams_limit> streams_;
  unsigned streams_in_use_ = 0;
  std::uint64_t clock_ = 0;       // counts reads of streams
  std::uint64_t clock_then_ = 0;  // when idle streams were looked for
  std::vector<std::unique_ptr<chunk>> chunks_;
  reactor::member_timer<read_ahead, &read_ahead::look_for_idle_streams> timer_{*this};
};

}  // namespace sluice::cache
