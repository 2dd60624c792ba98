#include "gateway/state/state_store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "gateway/state/identity.hpp"
#include "gateway/state/log_salvage.hpp"
#include "gateway/state/state_repair.hpp"
#include "gateway/state/test_loop.hpp"

namespace sluice::state {
namespace {

struct folder {
  std::string path = make();
  static std::string make() {
    std::string pattern = ::testing::TempDir() + "/state_XXXXXX";
    return ::mkdtemp(pattern.data()) ? pattern : std::string();
  }
  ~folder() { std::filesystem::remove_all(path); }
};

void puts_and_erases(state_store& store) {
  const auto loop = make_test_loop();
  int done = 0;
  const auto count = [&](const result<void>& r) {
    EXPECT_TRUE(r.has_value());
    EXPECT_TRUE(loop->runs_here());
    if (++done == 4) loop->stop();
  };
  store.put("a/1", "one", *loop, count);
  store.put("a/2", std::string("t\0wo", 4), *loop, count);
  store.put("a/1", "uno", *loop, count);
  store.erase("a/3", *loop, count);
  loop->run();
  EXPECT_EQ(done, 4);
  EXPECT_EQ(store.load("a/1")->value(), "uno");
  EXPECT_EQ(store.load("a/2")->value(), std::string("t\0wo", 4));
  EXPECT_FALSE(store.load("a/3")->has_value());
}

TEST(state_store, in_memory) {
  puts_and_erases(*make_memory_store());
}

TEST(state_store, in_rocksdb_across_restarts) {
  const folder where;
  {
    auto store = open_rocksdb_store(where.path + "/db");
    ASSERT_TRUE(store.has_value()) << store.error().message;
    puts_and_erases(**store);
    const auto second = open_rocksdb_store(where.path + "/db");
    ASSERT_FALSE(second.has_value()) << "one gateway at a time";
    EXPECT_EQ(second.error().code, errc::busy);
    EXPECT_NE(second.error().message.find("used by another gateway"), std::string::npos) << second.error().message;
  }
  auto again = open_rocksdb_store(where.path + "/db");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ((*again)->load("a/1")->value(), "uno");
}

/// As it is with /var/lib/sluice and somebody who is not the service.
TEST(state_store, that_cannot_be_made_names_the_key_and_a_way_out) {
  const folder where;
  std::ofstream(where.path + "/file") << "no folder";
  for (const char* below : {"/file/state", "/absent/state"}) {
    const auto refused = open_rocksdb_store(where.path + below);
    ASSERT_FALSE(refused.has_value());
    const std::string& told = refused.error().message;
    EXPECT_TRUE(told.starts_with("gateway.state_dir: make the state directory " + where.path + below + ": ")) << told;
    EXPECT_NE(told.find("; set state_dir to a folder that you may write"), std::string::npos) << told;
  }
}

TEST(state_store, what_was_issued_is_written_before_the_store_goes) {
  const folder where;
  const auto loop = make_test_loop();
  {
    auto store = open_rocksdb_store(where.path);
    ASSERT_TRUE(store.has_value());
    for (int i = 0; i < 100; ++i) (*store)->put("k/" + std::to_string(i), "v", *loop, [](const result<void>&) {});
  }
  auto again = open_rocksdb_store(where.path);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE((*again)->load("k/" + std::to_string(i))->has_value());
  loop->post([&] { loop->post([&] { loop->stop(); }); });
  loop->run();
}

/// What lies in the folder of a gateway that was killed after a few changes.
struct killed {
  folder where;
  std::string path = where.path + "/killed";
  killed() {
    auto store = open_rocksdb_store(where.path + "/live");
    for (const char* name : {"a", "b", "c", "d"}) EXPECT_TRUE((*store)->save(name, "value of " + std::string(name)));
    std::filesystem::copy(where.path + "/live", path);
  }
  std::filesystem::path log() const {
    for (const auto& each : std::filesystem::directory_iterator(path))
      if (each.path().extension() == ".log") return each.path();
    return {};
  }
  bool is_whole(state_store& store) const {
    for (const char* name : {"a", "b", "c", "d"})
      if (const auto value = store.load(name); !value || *value != "value of " + std::string(name)) return false;
    return true;
  }
};

void flip(const std::filesystem::path& file, std::size_t octet, int bit) {
  std::fstream at(file, std::ios::in | std::ios::out | std::ios::binary);
  at.seekg(static_cast<std::streamoff>(octet));
  const int value = at.get();
  at.seekp(static_cast<std::streamoff>(octet));
  at.put(static_cast<char>(value ^ 1 << bit));
}

TEST(state_store, a_flipped_bit_of_the_log_is_told) {
  // Its checksum, both octets of its length (with a length beyond the end it looks like one that was never written
  // whole), its type, its data; and the last octet of all.
  const std::size_t size = std::filesystem::file_size(killed().log());
  for (const std::size_t octet :
       {std::size_t{0}, std::size_t{4}, std::size_t{5}, std::size_t{6}, std::size_t{30}, size - 1}) {
    const killed one;
    flip(one.log(), octet, static_cast<int>(octet % 8));
    const auto store = open_rocksdb_store(one.path);
    if (store) {
      EXPECT_TRUE(one.is_whole(**store)) << octet;
      continue;
    }
    EXPECT_EQ(store.error().code, errc::corrupt) << octet;
    EXPECT_NE(store.error().message.find("sluice state repair"), std::string::npos) << store.error().message;
    flip(one.log(), octet, static_cast<int>(octet % 8));
    EXPECT_TRUE(one.is_whole(**open_rocksdb_store(one.path))) << "nothing was changed by looking at it";
  }
}

TEST(state_store, acknowledged_changes_that_are_missing_are_told) {
  const killed before;
  std::filesystem::resize_file(before.log(), std::filesystem::file_size(before.log()) - 1);
  const auto store = open_rocksdb_store(before.path);
  ASSERT_FALSE(store.has_value());
  EXPECT_NE(store.error().message.find("of 4 changes only 3"), std::string::npos) << store.error().message;
}

TEST(state_store, what_was_never_acknowledged_may_be_missing) {
  const killed before;
  std::ofstream(before.log(), std::ios::app | std::ios::binary) << "the beginning of a record";
  std::filesystem::resize_file(before.log(), std::filesystem::file_size(before.log()) - 20);
  const auto store = open_rocksdb_store(before.path);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  EXPECT_TRUE(before.is_whole(**store));
}

TEST(state_store, a_damaged_number_of_the_last_change_costs_nothing) {
  const killed before;
  flip(before.path + "/last-change", 9, 1);
  const auto store = open_rocksdb_store(before.path);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  EXPECT_TRUE(before.is_whole(**store));
  EXPECT_EQ((*store)->health(), "good");
}

TEST(state_repair, keeps_all_but_the_record_that_is_damaged) {
  const killed one;
  flip(one.log(), 5, 3);  // the length of the first record, of four
  ASSERT_FALSE(open_rocksdb_store(one.path));
  const auto repaired = repair_state(one.path);
  ASSERT_TRUE(repaired) << repaired.error().message;
  EXPECT_GT(repaired->damaged_bytes, 10u);
  EXPECT_LT(repaired->damaged_bytes, 60u);
  EXPECT_EQ(repaired->records,
            (std::map<std::string, std::string>{{"b", "value of b"}, {"c", "value of c"}, {"d", "value of d"}}));
  const auto store = open_rocksdb_store(one.path);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ((*store)->load("d")->value(), "value of d");
  EXPECT_FALSE((*store)->load("a")->has_value());
  EXPECT_EQ(repair_state(one.path).error().code, errc::busy);
}

TEST(state_repair, of_what_is_whole_keeps_all) {
  const killed one;
  ASSERT_TRUE(repair_state(one.path));
  EXPECT_TRUE(one.is_whole(**open_rocksdb_store(one.path)));
  EXPECT_EQ(repair_state(one.path + "/nowhere").error().code, errc::not_found);
}

TEST(log_salvage, finds_records_of_several_blocks_behind_damage) {
  const folder where;
  const auto store = open_rocksdb_store(where.path + "/db");
  const std::string large(100'000, 'x');
  ASSERT_TRUE((*store)->save("large", large));
  ASSERT_TRUE((*store)->save("small", "y"));
  std::string log;
  for (const auto& each : std::filesystem::directory_iterator(where.path + "/db"))
    if (each.path().extension() == ".log") {
      std::ifstream from(each.path(), std::ios::binary);
      log.assign(std::istreambuf_iterator<char>(from), {});
    }
  EXPECT_EQ(salvage_log(log).batches.size(), 2u);
  EXPECT_EQ(salvage_log(log).damaged_bytes, 0u);
  log[50'000] ^= 1;
  const salvaged_log damaged = salvage_log(log);
  ASSERT_EQ(damaged.batches.size(), 1u);
  EXPECT_EQ(damaged.batches.front().back(), 'y');
  EXPECT_EQ(damaged.damaged_bytes, 32u * 1024) << "a fragment that fills a block";
}

/// A mount namespace that ends with the process: made before there are threads, for RocksDB's must be in it too.
const bool has_own_mounts =
    ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;

/// A small file system of the test's own.
class small_file_system : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_own_mounts || ::mount("none", where.path.c_str(), "tmpfs", 0, "size=8m") != 0)
      GTEST_SKIP() << "no mounts of its own: " << std::strerror(errno);
  }
  void TearDown() override { ::umount2(where.path.c_str(), MNT_DETACH); }
  void fill() const {
    const int to = ::open((where.path + "/filler").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const std::string much(64 * kib, 'x');
    for (std::size_t piece = much.size(); piece > 0; piece /= 2)
      while (::write(to, much.data(), piece) == static_cast<ssize_t>(piece)) {
      }
    ::close(to);
  }
  /// The refusal of a change: the log's last blocks take some, and a database that recovers takes less room than
  /// before.
  error refusal(state_store& store) const {
    for (int tries = 0; tries < 1000; ++tries) {
      fill();
      if (const auto done = store.save("more", std::string(8 * kib, 'v')); !done) return done.error();
    }
    return {errc::unsupported, "it takes all"};
  }
  void free_up() const { std::filesystem::remove(where.path + "/filler"); }
  void remount(unsigned long how) const {
    ASSERT_EQ(::mount("none", where.path.c_str(), "tmpfs", MS_REMOUNT | how, "size=8m"), 0) << std::strerror(errno);
  }
  std::unique_ptr<state_store> open() const {
    auto store = open_rocksdb_store(where.path + "/db");
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  static bool gets_well(state_store& store) {
    for (int i = 0; i < 200 && store.health() != "good"; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return store.health() == "good";
  }
  folder where;
};

TEST_F(small_file_system, that_is_full_refuses_changes_until_there_is_space) {
  const auto store = open();
  ASSERT_TRUE(store->save("kept", "value"));
  EXPECT_EQ(refusal(*store).code, errc::no_space);
  EXPECT_NE(store->health().find(where.path), std::string::npos) << store->health();
  EXPECT_EQ(store->load("kept")->value(), "value");
  free_up();
  EXPECT_TRUE(gets_well(*store)) << "without being asked";
  EXPECT_TRUE(store->save("more", "value"));
  refusal(*store);
  free_up();
  EXPECT_TRUE(store->save("at once", "value"));
}

TEST_F(small_file_system, that_is_full_is_opened_and_read) {
  {
    const auto store = open();
    ASSERT_TRUE(store->save("kept", "value"));
    refusal(*store);
  }
  fill();
  const auto store = open();
  ASSERT_TRUE(store);
  EXPECT_EQ(store->load("kept")->value(), "value");
  EXPECT_EQ(refusal(*store).code, errc::no_space);
  EXPECT_NE(store->health(), "good");
  EXPECT_EQ(store->load("kept")->value(), "value");
  free_up();
  EXPECT_TRUE(gets_well(*store));
  EXPECT_TRUE(store->save("more", "value"));
  EXPECT_EQ(store->load("kept")->value(), "value");
}

TEST_F(small_file_system, that_is_read_only_is_opened_and_read) {
  ASSERT_TRUE(open()->save("kept", "value"));
  remount(MS_RDONLY);
  const auto store = open();
  ASSERT_TRUE(store);
  EXPECT_EQ(store->load("kept")->value(), "value");
  EXPECT_EQ(store->save("more", "value").error().code, errc::io);
  EXPECT_NE(store->health(), "good");
  EXPECT_EQ(open_rocksdb_store(where.path + "/db").error().code, errc::busy);
  remount(0);
  EXPECT_TRUE(store->save("more", "value"));
  EXPECT_EQ(store->health(), "good");
}

TEST_F(small_file_system, that_is_full_takes_no_new_directory) {
  ASSERT_EQ(::mkdir((where.path + "/db").c_str(), 0700), 0);
  fill();
  const auto store = open_rocksdb_store(where.path + "/db");
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("cannot be written"), std::string::npos) << store.error().message;
}

TEST(state_store, a_folder_that_cannot_be) {
  const auto store = open_rocksdb_store("/proc/no/such/folder");
  ASSERT_FALSE(store.has_value());
  EXPECT_FALSE(store.error().message.empty());
}

TEST(identity, follows_from_its_serial) {
  std::uint64_t next = 0x0123456789abcdef;
  const std::string serial = make_serial([&] { return next++; });
  EXPECT_EQ(serial, "0123456789abcdef0123456789abcdf0");
  EXPECT_TRUE(is_serial(serial));
  EXPECT_EQ(identity_of(serial).naa, 0x3123456789abcdefu);
  EXPECT_FALSE(is_serial("nonsense"));
}

}  // namespace
}  // namespace sluice::state
