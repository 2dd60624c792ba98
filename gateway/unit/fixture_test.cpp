#include <algorithm>

#include "gateway/unit/test_fixture.hpp"

namespace sluice::unit {

using port::task_event;

namespace {

std::uint64_t size_of(const std::vector<memory::slice>& slices) {
  std::uint64_t total = 0;
  for (const memory::slice& s : slices) total += s.size();
  return total;
}

}  // namespace

initiator::initiator(fixture& on, unsigned where, std::uint64_t id, std::string name) : shard(where), on_(on) {
  identity->id = id;
  identity->initiator = {scsi::protocol::iscsi, std::move(name), "0x000000000001"};
  identity->target_name = "main";
  identity->port = {{"iscsi", "iqn.2026-11.io.sluice:main", 1},
                    scsi::protocol::iscsi,
                    "iqn.2026-11.io.sluice:main,t,0x0001",
                    "iqn.2026-11.io.sluice:main",
                    true};
}

exchange& initiator::send(octets cdb, octets out, std::uint64_t room, port::task_attribute attribute,
                          std::size_t immediate) {
  exchange& e = exchanges.emplace_back();
  port::task& t = e.task;
  t.nexus = identity;
  t.fabric = this;
  t.tag = next_tag_++;
  t.attribute = attribute;
  t.set_cdb(cdb);
  t.expected_data_out = out.size();
  t.expected_data_in = room;
  t.arrived_ns = on_.loop->now_ns();
  t.fabric_private = &e;
  t.payer = payer;
  e.out = std::move(out);
  bring(e, std::min(immediate, e.out.size()));
  on_.later.add(200 + identity->id, [this, &t] { on_.shards[shard]->on_task(t, task_event::submit); });
  return e;
}

managed& initiator::manage(port::task_function function, std::uint64_t tag) {
  managed& m = managements.emplace_back();
  m.request.nexus = identity;
  m.request.reply_to = this;
  m.request.function = function;
  m.request.referenced_tag = tag;
  m.request.fabric_private = &m;
  on_.later.add(200 + identity->id, [this, &m] { on_.shards[shard]->on_manage(m.request); });
  return m;
}

/// The data-out arrives in slices of odd sizes.
void initiator::bring(exchange& e, std::uint64_t end) {
  port::task& t = e.task;
  while (t.data_out_end < end) {
    const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(end - t.data_out_end, 40000));
    memory::slice s =
        lends ? memory::slice::borrow(e.out.data() + t.data_out_end, size) : on_.loop->buffers().take(size);
    ASSERT_FALSE(s.empty());
    if (!lends) std::memcpy(s.data(), e.out.data() + t.data_out_end, size);
    t.data_out.push_back(s.sub(0, size));
    t.data_out_end += size;
  }
}

void initiator::post(port::task& subject, task_event event) noexcept {
  on_.later.add(400 + identity->id, [this, &subject, event] {
    exchange& e = *static_cast<exchange*>(subject.fabric_private);
    EXPECT_EQ(e.completions, 0) << "the task was the fabric's already";
    if (event == task_event::take_back) {
      const auto debt = std::find_if(owed_.begin(), owed_.end(), [&](const auto& d) { return d.first == &e; });
      if (debt == owed_.end()) return;  // crossed the answer
      const task_event due = debt->second;
      owed_.erase(debt);
      ++e.taken_back;
      return answer(e, due, port::transfer_end::taken_back);
    }
    if (event == task_event::complete) {
      if (!looks_twice) return end(e);
      take_in(e, size_of(subject.data_in) / 2);
      return on_.loop->post([this, &e] { end(e); });
    }
    if (event != task_event::get_data) take_in(e, size_of(subject.data_in));
    ++e.events;
    if (event == task_event::get_data) {
      EXPECT_EQ(subject.wanted_offset, subject.data_out_end);
      EXPECT_LE(subject.wanted_offset + subject.wanted_length, e.out.size());
      EXPECT_LE(subject.wanted_length, subject.nexus->caps.max_get_bytes);
    }
    const auto due = event == task_event::get_data ? task_event::data_arrived : task_event::data_sent;
    if (stalled)
      owed_.emplace_back(&e, due);
    else
      answer(e, due, e.loses_data ? port::transfer_end::failed : port::transfer_end::done);
  });
}

/// Looks at data_in up to `end`, from where it stopped.
void initiator::take_in(exchange& e, std::uint64_t end) {
  std::uint64_t start = 0;
  for (const memory::slice& s : e.task.data_in) {
    const std::uint64_t from = std::max(start, e.looked_at), until = std::min(start + s.size(), end);
    if (from < until) e.in.insert(e.in.end(), s.data() + (from - start), s.data() + (until - start));
    start += s.size();
  }
  e.looked_at = end == start ? 0 : end;
}

void initiator::end(exchange& e) {
  port::task& t = e.task;
  take_in(e, size_of(t.data_in));
  ++e.completions;
  e.silent = t.silent();
  e.silenced = t.silenced;
  e.outcome = t.outcome;
  e.completed_at = ++on_.completions;
  t.data_in.clear();
  t.data_out.clear();
}

void initiator::answer(exchange& e, task_event event, port::transfer_end how) {
  port::task& t = e.task;
  t.ended = how;
  if (event == task_event::data_arrived && how == port::transfer_end::done) bring(e, t.wanted_offset + t.wanted_length);
  on_.later.add(200 + identity->id, [this, &t, event] { on_.shards[shard]->on_task(t, event); });
}

void initiator::release() {
  stalled = false;
  for (const auto& [e, event] : std::exchange(owed_, {})) answer(*e, event, port::transfer_end::done);
}

void initiator::lose(exchange& e) {
  const bool here = std::any_of(owed_.begin(), owed_.end(), [&](const auto& d) { return d.first == &e; });
  if (here || e.completions > 0) return;
  on_.later.add(200 + identity->id, [this, &e] { on_.shards[shard]->on_task(e.task, task_event::transport_abort); });
}

void initiator::post(port::task_management& request) noexcept {
  on_.later.add(400 + identity->id, [&request] { ++static_cast<managed*>(request.fabric_private)->answers; });
}

fixture::fixture(const fixture_options& how) : options(how), later(how.seed, how.delays) {
  reactor::loop_options loop_how;
  loop_how.kind = reactor::backend::epoll;
  loop_how.buffer_bytes = 64 * mib;
  loop = std::move(*reactor::make_loop(loop_how));
  medium = *ram::ram_store::make(options.blocks * options.block_size);
  for (unsigned i = 0; i < options.shards; ++i) {
    coordinator_links_.emplace_back();
    coordinator_links_.back().owner = this;
    coordinator_links_.back().index = i;
    shard_links_.emplace_back();
    shard_links_.back().owner = this;
    shard_links_.back().index = i;
  }
  authority = *state::local_authority::make(*kept);
  coordinator = make_coordinator(true);
  auto link = coordinator_links_.begin();
  const auto flushes = std::make_shared<flush_book>();
  for (unsigned i = 0; i < options.shards; ++i) {
    shard_options limits = options.limits;
    limits.index = i;
    limits.gateway = options.shares ? 1 : 0;
    limits.busy_patience_ns = limits.ready_patience_ns = options.patience_ns;
    limits.flushes = flushes;
    shards.push_back(std::make_unique<unit::shard>(
        limits, *link++, *loop,
        std::make_unique<late_channel>(medium->attach(*loop), later, late, fails, stalled, announced),
        coordinator->snapshot()));
  }
  if (options.shares) coordinator->links_are_up();
}

std::unique_ptr<unit::coordinator> fixture::make_coordinator(bool replaces) {
  coordinator_options how;
  how.serial = "0123456789abcdef0123456789abcdef";
  how.facts.capacity_blocks = options.blocks;
  how.facts.block_size = options.block_size;
  how.facts.thin = options.thin;
  how.facts.volatile_cache = true;
  how.maps = true;
  how.groups = {{.number = 1, .ports = {1, 2}}};
  how.replaces = replaces && !options.shares;
  how.gateway = options.shares ? 1 : 0;
  how.shares = how.awaits_links = options.shares;
  how.relays = options.relays;
  how.tenure = options.tenure;
  how.awaits_predecessor = options.limits.awaits_predecessor;
  std::vector<shard_link*> links;
  for (to_shard_link& l : shard_links_) links.push_back(&l);
  state::local_authority& from =
      replaces ? *authority : *later_starts_.emplace_back(*state::local_authority::make(*kept));
  auto made = std::make_unique<unit::coordinator>(how, links, *loop, *from.open("unit/disk", *loop));
  std::optional<result<void>> started;
  made->start([&](const result<void>& how_it_went) { started = how_it_went; });
  while (!started) turn_loop();
  EXPECT_TRUE(*started);
  return made;
}

fixture::~fixture() {
  fails = {};
  end_stall();
  while (!initiators.empty()) remove(initiators.front());
  run();
}

initiator& fixture::add(unsigned where, std::string name, bool told) {
  const std::uint64_t id = next_nexus_++;
  if (name.empty()) name = "iqn.2026-11.org.example:host" + std::to_string(id);
  initiator& made = initiators.emplace_back(*this, where, id, name);
  shards[where]->attach(made.identity, told ? scsi::asc::reset_occurred : scsi::additional_sense{0});
  return made;
}

void fixture::remove(initiator& which) {
  run();
  bool gone = false;
  shards[which.shard]->detach(which.identity->id, port::loss_reason::logout, [&] { gone = true; });
  run();
  EXPECT_TRUE(gone);
  for (const exchange& e : which.exchanges) EXPECT_EQ(e.completions, 1);
  initiators.remove_if([&](const initiator& i) { return &i == &which; });
}

/// Lets the loop do what was posted to it and deferred.
void fixture::turn_loop() {
  for (int i = 0; i < 3; ++i) {
    loop->post([this] { loop->post([this] { loop->stop(); }); });
    loop->run();
  }
}

void fixture::pass(unsigned periods) {
  for (unsigned i = 0; i < periods; ++i) {
    for (const auto& each : shards) each->tick();
    run();
  }
}

void fixture::end_stall() {
  stalled.on = false;
  for (const auto& work : std::exchange(stalled.held, {})) later.add(later.new_key(), work);
}

void fixture::run() {
  do {
    while (!later.empty()) later.step();
    turn_loop();
  } while (!later.empty());
}

}  // namespace sluice::unit
