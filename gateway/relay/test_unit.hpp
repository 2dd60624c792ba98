#pragma once
#include <algorithm>
#include <cstring>
#include <list>
#include <memory>
#include <set>
#include <vector>

#include "actors/wire/big_endian.hpp"
#include "gateway/access/directory.hpp"
#include "gateway/scsi/outcome_builders.hpp"

/// What the tests of this room share: a disk that keeps to the seam of units, on one core.
namespace sluice::relay {

inline constexpr std::uint64_t test_block = 512, test_blocks = 16384;

class test_unit final : public access::unit_endpoint {
 public:
  explicit test_unit(reactor::loop& loop) : disk(test_blocks * test_block), loop_(loop) {
    handle = std::make_shared<access::unit_handle>(access::unit_handle{"disk", {this}});
  }

  void post(port::task& subject, port::task_event event) noexcept override {
    loop_.post([this, &subject, event] { on_task(subject, event); });
  }
  void post(port::task_management&) noexcept override {}
  void add_nexus(std::shared_ptr<const port::i_t_nexus> nexus, access::attention_listener*) override {
    loop_.post([this, nexus] { SLUICE_CHECK(nexuses.emplace(nexus->id, nexus).second); });
  }
  void remove_nexus(std::uint64_t id, port::loss_reason, std::function<void()> removed) override {
    loop_.post([this, id, removed = std::move(removed)] {
      nexuses.erase(id);
      loop_.post(removed);
    });
  }
  void raise(std::uint64_t, scsi::additional_sense, std::uint64_t) override {}
  void withdraw(std::uint64_t, scsi::additional_sense) override {}

  /// Goes on with what it held.
  void release() {
    holds = false;
    for (port::task* t : std::exchange(held, {})) loop_.post([this, t] { run(*t); });
  }

  bool holds = false;        // new tasks wait
  bool obeys = true;         // else what it holds is at its medium, and done whoever aborts it
  bool is_owner = true;      // else it does nothing, and says so
  std::uint64_t writes = 0;  // done
  unsigned aborted = 0;
  std::vector<std::uint8_t> disk;
  std::vector<port::task*> held;
  std::map<std::uint64_t, std::shared_ptr<const port::i_t_nexus>> nexuses;
  std::shared_ptr<access::unit_handle> handle;

 private:
  void on_task(port::task& t, port::task_event event) {
    if (event == port::task_event::transport_abort) {
      if (obeys && std::erase(held, &t) != 0) end(t, port::silence::transport_abort);
      return;
    }
    if (event != port::task_event::submit && t.ended != port::transfer_end::done)
      return end(t, port::silence::transfer_failed);
    if (event == port::task_event::submit) {
      SLUICE_CHECK(nexuses.contains(t.nexus->id));
      if (holds) return held.push_back(&t);
    }
    run(t);
  }
  void end(port::task& t, port::silence why) {
    ++aborted;
    sent_.erase(&t);
    t.silenced = why;
    t.data_in.clear();
    t.fabric->post(t, port::task_event::complete);
  }
  void run(port::task& t) {
    if (!is_owner) return end(t, port::silence::not_owned);
    const std::uint64_t lba = wire::load32(t.cdb, 2), size = wire::load16(t.cdb, 7) * test_block;
    const std::uint64_t offset = lba * test_block;
    if (offset + size > disk.size()) {
      t.outcome = scsi::outcomes::lba_out_of_range(test_blocks);
      return t.fabric->post(t, port::task_event::complete);
    }
    t.cdb[0] == 0x2a ? write(t, offset, size) : read(t, offset, size);
  }
  void write(port::task& t, std::uint64_t offset, std::uint64_t size) {
    t.length_out = size;
    if (t.data_out_end < size) {
      t.wanted_offset = t.data_out_end;
      t.wanted_length =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(size - t.data_out_end, t.nexus->caps.max_get_bytes));
      return t.fabric->post(t, port::task_event::get_data);
    }
    std::uint64_t at = offset;
    for (const memory::slice& each : t.data_out) {
      std::memcpy(disk.data() + at, each.data(), each.size());
      at += each.size();
    }
    ++writes;
    t.fabric->post(t, port::task_event::complete);
  }
  void read(port::task& t, std::uint64_t offset, std::uint64_t size) {
    t.length_in = size;
    const std::uint64_t all = std::min(size, t.expected_data_in);
    std::uint64_t& done = sent_[&t];
    const std::uint64_t next = std::min<std::uint64_t>(all - done, memory::pool::largest);
    if (next != 0) {
      const memory::slice piece = loop_.buffers().take(static_cast<std::uint32_t>(next));
      std::memcpy(piece.data(), disk.data() + offset + done, next);
      t.data_in = {piece.sub(0, static_cast<std::uint32_t>(next))};
      done += next;
    }
    const bool over = done == all;
    if (over) sent_.erase(&t);
    t.fabric->post(t, over ? port::task_event::complete : port::task_event::put_data);
  }

  reactor::loop& loop_;
  std::map<port::task*, std::uint64_t> sent_;  // of reads, by now
};

}  // namespace sluice::relay
