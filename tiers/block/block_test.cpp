#include "tiers/block/block_store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "tiers/block/register.hpp"
#include "tiers/store/contract.hpp"
#include "tiers/store/contract_setup.hpp"

namespace sluice::store::contract {
namespace {

using testing::HasSubstr;

/// A loop device over a sparse file, gone with the object.
class loop_device {
 public:
  /// Null where this user may not.
  static std::unique_ptr<loop_device> attach(const std::string& file, std::uint64_t size, std::uint32_t block) {
    const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return nullptr;
    std::unique_ptr<loop_device> made;
    // Another test may take the free one first.
    for (int attempt = 0; attempt < 16 && !made; ++attempt) {
      const int number = ioctl(control, LOOP_CTL_GET_FREE);
      if (number < 0) break;
      made.reset(new loop_device("/dev/loop" + std::to_string(number)));
      if (!made->configure(file, size, block)) made.reset();
    }
    close(control);
    return made;
  }
  ~loop_device() {
    if (configured_) ioctl(device_, LOOP_CLR_FD, 0);
    if (device_ >= 0) close(device_);
  }
  loop_device(const loop_device&) = delete;
  loop_device& operator=(const loop_device&) = delete;
  const std::string& path() const { return path_; }
  bool grow(const std::string& file, std::uint64_t size) {
    return truncate(file.c_str(), static_cast<off_t>(size)) == 0 && ioctl(device_, LOOP_SET_CAPACITY, 0) == 0;
  }

 private:
  explicit loop_device(std::string path) : path_(std::move(path)), device_(::open(path_.c_str(), O_RDWR | O_CLOEXEC)) {}
  bool configure(const std::string& file, std::uint64_t size, std::uint32_t block) {
    const int backing = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(backing);
    config.block_size = block;
    configured_ = device_ >= 0 && backing >= 0 && ftruncate(backing, static_cast<off_t>(size)) == 0 &&
                  ioctl(device_, LOOP_CONFIGURE, &config) == 0;
    if (backing >= 0) close(backing);
    return configured_;
  }
  std::string path_;
  int device_;
  bool configured_ = false;
};

class block_setup final : public setup {
 public:
  explicit block_setup(std::uint32_t block) : block_(block) {}
  world& where() override { return world_; }
  std::shared_ptr<store> open(std::uint64_t size_bytes) override {
    device_ = loop_device::attach(folder_ / "medium", size_bytes, block_);
    if (!device_) {
      ADD_FAILURE() << "no loop device";
      return nullptr;
    }
    auto opened = block::open_store(device_->path(), false, world_.loop());
    if (opened) return *opened;
    ADD_FAILURE() << opened.error().message;
    return nullptr;
  }

 private:
  std::uint32_t block_;
  temporary_folder folder_;
  std::unique_ptr<loop_device> device_;
  real_world world_;
};

std::string why_no_devices() {
  const temporary_folder folder;
  return loop_device::attach(folder / "probe", 1 * mib, 512) ? "" : "this user cannot attach loop devices";
}

subject block_subject(std::string name, std::uint32_t block) {
  return {std::move(name), [block] { return std::make_unique<block_setup>(block); }, false, why_no_devices()};
}
INSTANTIATE_TEST_SUITE_P(block, store_contract,
                         testing::Values(block_subject("of_512", 512), block_subject("of_4096", 4096)), name_of);

class block_store_test : public testing::Test {
 protected:
  void SetUp() override {
    device_ = loop_device::attach(folder_ / "medium", 8 * mib, 4096);
    if (!device_) GTEST_SKIP() << "this user cannot attach loop devices";
  }
  temporary_folder folder_;
  real_world world_;
  std::unique_ptr<loop_device> device_;
};

TEST_F(block_store_test, takes_size_and_geometry_from_the_device) {
  const auto opened = block::open_store(device_->path(), false, world_.loop());
  ASSERT_TRUE(opened) << opened.error().message;
  const properties p = (*opened)->describe();
  EXPECT_EQ(p.size_bytes, 8 * mib);
  EXPECT_EQ(p.logical_block, 4096U);
  EXPECT_TRUE(p.volatile_cache);
  EXPECT_EQ(p.deadline_ns, 30 * ns_per_s) << "a device may hang";
  EXPECT_FALSE(p.maps);
}

TEST_F(block_store_test, refuses_a_device_in_use_with_a_sentence) {
  const int user = open(device_->path().c_str(), O_RDWR | O_EXCL | O_CLOEXEC);
  ASSERT_GE(user, 0);
  const auto refused = block::open_store(device_->path(), false, world_.loop());
  close(user);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::busy);
  EXPECT_THAT(refused.error().message, HasSubstr("is in use: mounted"));
}

TEST_F(block_store_test, two_stores_never_share_a_device) {
  const auto first = block::open_store(device_->path(), false, world_.loop());
  ASSERT_TRUE(first);
  const auto second = block::open_store(device_->path(), false, world_.loop());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::busy);
}

TEST_F(block_store_test, notices_that_the_device_has_grown) {
  const auto opened = block::open_store(device_->path(), false, world_.loop());
  ASSERT_TRUE(opened) << opened.error().message;
  std::uint64_t told = 0;
  (*opened)->on_change([&] {
    told = (*opened)->describe().size_bytes;
    world_.finish();
  });
  world_.enter([&] { EXPECT_TRUE(device_->grow(folder_ / "medium", 12 * mib)); });
  EXPECT_EQ(told, 12 * mib);
}

TEST(block_store, refuses_what_is_no_block_device) {
  const temporary_folder folder;
  real_world world;
  std::ofstream(folder / "file") << "octets";
  const auto refused = block::open_store(folder / "file", true, world.loop());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::invalid_argument);
  EXPECT_THAT(refused.error().message, HasSubstr("no block device"));
  const auto absent = block::open_store(folder / "absent", true, world.loop());
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, errc::not_found);
}

TEST(block_store, registers_its_keys) {
  registry all;
  block::register_store(all);
  ASSERT_NE(all.find("block"), nullptr);
  EXPECT_EQ(all.find("block")->keys.front().name, "path");
}

}  // namespace
}  // namespace sluice::store::contract
