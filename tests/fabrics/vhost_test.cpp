#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <filesystem>

#include "actors/wire/little_endian.hpp"
#include "fabrics/port/contract_kit.hpp"
#include "fabrics/vhost/front_end.hpp"
#include "tests/fabrics/test_live.hpp"

/// vhost-user-scsi by a real socket and shared memory, against a whole gateway on two cores.
namespace sluice::fabrics {
namespace {

using namespace port::contract;
using vhost::front_end;
using vhost::response_code;

constexpr unsigned queue = 2;  // the first of requests
constexpr std::uint64_t second_ns = ns_per_s;
constexpr std::uint32_t abort_task = 0, lun_reset = 5, query_task = 6;

std::string socket_path() {
  return (std::filesystem::temp_directory_path() / ("sluice-vhost-" + std::to_string(::getpid()) + ".sock")).string();
}

config::port_config vhost_port() {
  config::port_config made;
  made.fabric = "vhost";
  made.name = "5000c50012345678";
  made.settings.set("socket", socket_path());
  return made;
}

octets test_ready() {
  return octets(6, 0);
}
/// Takes what unit attentions there are.
void settle(front_end& guest, std::uint16_t lun = 0) {
  for (int i = 0; i < 8; ++i)
    if (guest.run(queue, lun, test_ready()).status == scsi::status::good) return;
  ADD_FAILURE() << "unit attentions without end";
}

class vhost_test : public testing::TestWithParam<front_end::options> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(connects(guest));
    settle(guest);
  }
  bool connects(front_end& who) {
    const auto how = who.connect(socket_path());
    EXPECT_TRUE(how) << (how ? "" : how.error().message);
    return how.has_value();
  }
  live_gateway gateway{{vhost_port()}};
  front_end guest{GetParam()};
};

}  // namespace

TEST_P(vhost_test, a_disk_is_found_written_and_read) {
  const auto inquiry = guest.run(queue, 0, {0x12, 0, 0, 0, 36, 0}, {}, 36);
  EXPECT_EQ(inquiry.code, response_code::ok);
  EXPECT_EQ(inquiry.status, scsi::status::good);
  EXPECT_EQ(inquiry.data[0] & 0x1f, 0) << "a disk";
  std::uint32_t block = 1;
  for (const std::size_t blocks : {1u, 8u, 127u, 513u, 2048u, 4096u}) {
    const octets data = pattern(blocks * 512, static_cast<unsigned>(blocks));
    for (unsigned by = queue; by < queue + GetParam().request_queues; ++by) {
      const auto written = guest.run(by, 0, block_cdb(0x2a, block, blocks), data);
      EXPECT_EQ(written.status, scsi::status::good);
      EXPECT_EQ(written.residual, 0u);
      const auto read = guest.run(by, 0, block_cdb(0x28, block, blocks), {}, data.size());
      EXPECT_EQ(read.status, scsi::status::good);
      EXPECT_TRUE(read.data == data) << blocks << " blocks by queue " << by;
    }
    block += 7;
  }
}

TEST_P(vhost_test, what_is_missing_or_left_over_is_told) {
  const octets data = pattern(4096, 3);
  ASSERT_EQ(guest.run(queue, 0, block_cdb(0x2a, 0, 8), data).status, scsi::status::good);
  auto how = guest.run(queue, 0, block_cdb(0x28, 0, 2), {}, 4096);
  EXPECT_EQ(how.code, response_code::ok);
  EXPECT_EQ(how.residual, 3072u);
  how = guest.run(queue, 0, block_cdb(0x28, 0, 8), {}, 1024);
  EXPECT_EQ(how.code, response_code::overrun);
  EXPECT_EQ(how.data, bytes_of(data, 0, 1024));
  how = guest.run(queue, 0, block_cdb(0x28, 0, 0));
  EXPECT_EQ(how.status, scsi::status::good);
  how = guest.run(queue, 0, {0xbf, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(how.status, scsi::status::check_condition);
  EXPECT_EQ(scsi::decode_sense(how.sense).key, scsi::sense_key::illegal_request);
  EXPECT_EQ(guest.run(queue, 9, test_ready()).status, scsi::status::check_condition) << "no such unit";
}

TEST_P(vhost_test, parameter_lists_are_taken) {
  const octets registers = reservation_parameters(0, 0xaa), mine = reservation_parameters(0xaa, 0);
  EXPECT_EQ(guest.run(queue, 0, reserve_out(0, 0, registers).cdb, registers).status, scsi::status::good);
  EXPECT_EQ(guest.run(queue, 0, reserve_out(1, 1, mine).cdb, mine).status, scsi::status::good);
}

TEST_P(vhost_test, many_at_once_are_answered_once_each) {
  const unsigned queues = GetParam().request_queues;
  std::vector<std::pair<unsigned, std::uint16_t>> heads;
  for (unsigned i = 0; i < 24; ++i) {
    const unsigned by = queue + i % queues;
    heads.emplace_back(by, guest.submit(by, 0, block_cdb(0x2a, i * 8, 8), i, pattern(4096, i)));
  }
  for (const auto& [by, head] : heads) EXPECT_EQ(guest.collect(by, head).status, scsi::status::good);
  for (unsigned i = 0; i < 24; ++i)
    EXPECT_TRUE(guest.run(queue, 0, block_cdb(0x28, i * 8, 8), {}, 4096).data == pattern(4096, i));
}

/// More than a core takes of a nexus at once, by queues that share it.
TEST(vhost_rings, queues_wait_for_each_other_and_none_for_ever) {
  live_gateway gateway({vhost_port()}, 1);
  front_end guest({.request_queues = 2, .ring_size = 256, .memory_bytes = 64 * mib});
  ASSERT_TRUE(guest.connect(socket_path()));
  settle(guest);
  for (unsigned round = 0; round < 3; ++round) {
    std::vector<std::pair<unsigned, std::uint16_t>> heads;
    for (unsigned i = 0; i < 400; ++i)
      heads.emplace_back(queue + i / 200, guest.submit(queue + i / 200, 0, block_cdb(0x28, i, 8), i, {}, 4096));
    for (const auto& [by, head] : heads) ASSERT_EQ(guest.collect(by, head).status, scsi::status::good);
  }
}

TEST_P(vhost_test, functions_are_answered) {
  EXPECT_EQ(guest.manage(abort_task, 0, 1234), response_code::ok) << "it is over";
  EXPECT_EQ(guest.manage(query_task, 0, 1234), response_code::ok) << "it is not there";
  EXPECT_EQ(guest.manage(lun_reset, 9, 0), response_code::incorrect_lun);
  EXPECT_EQ(guest.manage(99, 0, 0), response_code::function_rejected);
  EXPECT_EQ(guest.manage(lun_reset, 0, 0), response_code::ok);
  const auto told = guest.run(queue, 0, test_ready());
  EXPECT_EQ(scsi::decode_sense(told.sense).code, scsi::asc::bus_device_reset);
  settle(guest);
}

TEST_P(vhost_test, units_that_come_and_go_are_told_of) {
  namespace le = wire::little;
  gateway.add_unit("more", 1 * mib);
  gateway.model.targets[0].luns.push_back({1, "more", {}});
  gateway.apply();
  auto told = guest.next_event(10 * second_ns);
  ASSERT_TRUE(told);
  EXPECT_EQ(le::load32(*told, 0), 1u) << "a transport reset";
  EXPECT_EQ((*told)[7], 1) << "LUN 1";
  EXPECT_EQ(le::load32(*told, 12), 1u) << "rescan";
  settle(guest, 1);
  gateway.model.targets[0].luns.pop_back();
  gateway.apply();
  told = guest.next_event(10 * second_ns);
  ASSERT_TRUE(told);
  EXPECT_EQ((*told)[7], 1) << "LUN 1";
  EXPECT_EQ(le::load32(*told, 12), 2u) << "removed";
  EXPECT_FALSE(guest.next_event(second_ns / 10)) << "each once";
}

TEST_P(vhost_test, a_front_end_goes_and_comes_back) {
  const octets data = pattern(4096, 7);
  ASSERT_EQ(guest.run(queue, 0, block_cdb(0x2a, 3, 8), data).status, scsi::status::good);
  for (int round = 0; round < 5; ++round) {
    // Whatever was under way is done again, and answered.
    const std::uint16_t head = guest.submit(queue, 0, block_cdb(0x2a, 100, 8), 1, pattern(4096, 50));
    guest.disconnect();
    ASSERT_TRUE(connects(guest));
    if (GetParam().inflight) {
      EXPECT_TRUE(guest.collect(queue, head).came);
    }
    settle(guest);
    EXPECT_TRUE(guest.run(queue, 0, block_cdb(0x28, 3, 8), {}, 4096).data == data);
  }
}

TEST_P(vhost_test, a_ring_stops_and_goes_on_where_it_was) {
  ASSERT_EQ(guest.run(queue, 0, test_ready()).status, scsi::status::good);
  const auto next = guest.stop_ring(queue);
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, guest.ring(queue).available_index());
  const std::uint16_t head = guest.submit(queue, 0, test_ready(), 1);
  EXPECT_FALSE(guest.wait(queue, second_ns / 10)) << "a ring that is stopped";
  ASSERT_TRUE(guest.start_ring(queue, *next));
  guest.kick(queue);
  EXPECT_EQ(guest.collect(queue, head).status, scsi::status::good);
}

TEST_P(vhost_test, a_port_goes_while_its_guest_works) {
  for (unsigned i = 0; i < 8; ++i) guest.submit(queue, 0, block_cdb(0x28, 0, 64), i, {}, 64 * 512);
  gateway.model.targets[0].ports.clear();
  gateway.apply();
  EXPECT_TRUE(guest.is_closed(10 * second_ns));
  EXPECT_FALSE(std::filesystem::exists(socket_path()));
  EXPECT_FALSE(guest.connect(socket_path()));
}

TEST_P(vhost_test, a_ring_that_makes_no_sense_harms_nobody_else) {
  if (GetParam().request_queues < 2) GTEST_SKIP() << "nobody else is there";
  vhost::driver_ring& ring = guest.ring(queue);
  ring.set(0, {0xdead0000, 64, vhost::driver_ring::next_flag, 0});
  ring.make_available(0);
  guest.kick(queue);
  EXPECT_FALSE(guest.wait(queue, second_ns / 10));
  EXPECT_EQ(guest.run(queue + 1, 0, test_ready()).status, scsi::status::good);
  EXPECT_TRUE(guest.stop_ring(queue)) << "a ring that is given up is stopped like any other";
  EXPECT_EQ(guest.run(queue + 1, 0, test_ready()).status, scsi::status::good);
}

TEST_P(vhost_test, messages_that_make_no_sense_are_refused) {
  namespace le = wire::little;
  const auto words = [](std::initializer_list<std::uint64_t> all) {
    octets out(all.size() * 8);
    std::size_t at = 0;
    for (const std::uint64_t each : all) le::store64(out, std::exchange(at, at + 8), each);
    return out;
  };
  using vhost::request;
  EXPECT_FALSE(guest.tell(request::set_features, words({1ull << 34}))) << "packed rings";
  EXPECT_FALSE(guest.tell(request::set_vring_num, words({99999}))) << "no such queue";
  EXPECT_FALSE(guest.tell(request::set_vring_num, words({256ull << 32 | queue}))) << "of a ring that runs";
  EXPECT_FALSE(guest.tell(request::set_mem_table, words({1, 0, 4096, 4096, 0}))) << "without a descriptor";
  EXPECT_FALSE(guest.tell(request::set_mem_table, words({1, 0, 1ull << 40, 0, 0}), {guest.memory_handle()}))
      << "beyond the end of what is shared";
  EXPECT_FALSE(
      guest.tell(request::add_mem_reg, words({0, front_end::guest_base, 4096, 0x1000, 0}), {guest.memory_handle()}))
      << "where there is memory already";
  EXPECT_FALSE(guest.tell(request::rem_mem_reg, words({0, 1, 2, 3, 4}))) << "there is none";
  EXPECT_FALSE(guest.tell(request::set_inflight_fd, octets(24, 0), {guest.memory_handle()}));
  EXPECT_FALSE(guest.tell(request::set_log_base, words({1ull << 40, 0}), {guest.memory_handle()}));
  EXPECT_FALSE(guest.tell(static_cast<request>(77), {}));
  EXPECT_EQ(guest.run(queue, 0, test_ready()).status, scsi::status::good) << "and nothing has changed";
  EXPECT_TRUE(guest.tell(request::reset_device, {}));
  EXPECT_TRUE(connects(guest));
  settle(guest);
}

TEST_P(vhost_test, what_is_written_is_noted_for_a_migration) {
  namespace le = wire::little;
  octets features(8);
  le::store64(features, 0, vhost::feature::offered & ~(GetParam().event_index ? 0 : vhost::feature::event_index));
  const int file = ::memfd_create("log", MFD_CLOEXEC);
  const std::uint64_t pages = front_end::guest_base / 4096 + 4096, size = pages / 8;
  ASSERT_EQ(::ftruncate(file, static_cast<off_t>(size)), 0);
  octets place(16);
  le::store64(place, 0, size);
  EXPECT_EQ(guest.ask(vhost::request::set_log_base, place, {file}).value_or(1), 0u);
  EXPECT_TRUE(guest.tell(vhost::request::set_features, features));
  octets log(size);
  ASSERT_EQ(guest.run(queue, 0, block_cdb(0x28, 0, 64), {}, 64 * 512).status, scsi::status::good);
  ASSERT_EQ(::pread(file, log.data(), size, 0), static_cast<ssize_t>(size));
  std::size_t dirty = 0;
  for (const std::uint8_t each : log) dirty += static_cast<std::size_t>(std::popcount(each));
  EXPECT_GE(dirty, 8u) << "32 KiB of data";
  EXPECT_LE(dirty, 12u);
  ::close(file);
}

INSTANTIATE_TEST_SUITE_P(rings, vhost_test,
                         testing::Values(front_end::options{}, front_end::options{.request_queues = 3},
                                         front_end::options{.event_index = false},
                                         front_end::options{.request_queues = 2, .indirect = false, .inflight = false}),
                         [](const auto& of) {
                           return std::string("queues_") + std::to_string(of.param.request_queues) +
                                  (of.param.event_index ? "_event_index" : "") +
                                  (of.param.indirect ? "_indirect" : "") + (of.param.inflight ? "_inflight" : "");
                         });

}  // namespace sluice::fabrics
