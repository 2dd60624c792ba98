#include "gateway/state/state_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "gateway/state/identity.hpp"

namespace sluice::state {
namespace {

std::unique_ptr<reactor::loop> make_loop() {
  reactor::loop_options how;
  how.kind = reactor::backend::epoll;
  how.buffer_bytes = 16 * mib;
  return std::move(*reactor::make_loop(how));
}

struct folder {
  std::string path = make();
  static std::string make() {
    std::string pattern = ::testing::TempDir() + "/state_XXXXXX";
    return ::mkdtemp(pattern.data()) ? pattern : std::string();
  }
  ~folder() { std::filesystem::remove_all(path); }
};

void puts_and_erases(state_store& store) {
  const auto loop = make_loop();
  int done = 0;
  const auto count = [&](const result<void>& r) {
    EXPECT_TRUE(r.has_value());
    EXPECT_TRUE(loop->is_home());
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
    EXPECT_FALSE(open_rocksdb_store(where.path + "/db").has_value());  // one gateway at a time
  }
  auto again = open_rocksdb_store(where.path + "/db");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ((*again)->load("a/1")->value(), "uno");
}

TEST(state_store, what_was_issued_is_written_before_the_store_goes) {
  const folder where;
  const auto loop = make_loop();
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
