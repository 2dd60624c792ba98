#include "tiers/file/file_store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tiers/file/register.hpp"
#include "tiers/store/contract.hpp"
#include "tiers/store/contract_setup.hpp"
#include "tiers/store/contract_simulated.hpp"

namespace sluice::store::contract {
namespace {

using testing::HasSubstr;

result<std::shared_ptr<store>> open_buffered(reactor::loop& loop, const temporary_folder& folder, std::uint64_t size) {
  return file::open_store({.path = folder / "image.raw", .size_bytes = size}, loop);
}
result<std::shared_ptr<store>> open_direct(reactor::loop& loop, const temporary_folder& folder, std::uint64_t size) {
  return file::open_store({.path = folder / "image.raw", .size_bytes = size, .direct = true}, loop);
}

/// Direct I/O is the file system's to offer.
subject direct_subject(std::string name, std::uint64_t buffer_bytes) {
  subject made = real_subject(std::move(name), open_direct, reactor::backend::automatic, buffer_bytes);
  const temporary_folder folder;
  const int probe = open((folder / "probe").c_str(), O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
  if (probe < 0) made.skip = "the file system of the temporary folder has no direct I/O";
  if (probe >= 0) close(probe);
  return made;
}

/// Memory file systems have holes to punch but no ranges to zero.
subject memory_subject() {
  return real_subject("in_memory", open_buffered, reactor::backend::automatic, 64 * mib, "/dev/shm");
}

INSTANTIATE_TEST_SUITE_P(file, store_contract,
                         testing::Values(real_subject("automatic", open_buffered),
                                         real_subject("epoll", open_buffered, reactor::backend::epoll),
                                         memory_subject(), direct_subject("direct", 64 * mib),
                                         direct_subject("direct_without_buffers", 4096),
                                         simulated_subject("simulated", open_buffered),
                                         simulated_subject("simulated_direct", open_direct)),
                         name_of);

class file_store_test : public testing::Test {
 protected:
  temporary_folder folder_;
  real_world world_;
  std::string path_ = folder_ / "image.raw";

  result<std::shared_ptr<store>> open(std::uint64_t size, bool read_only = false) {
    return file::open_store({.path = path_, .size_bytes = size, .read_only = read_only}, world_.loop());
  }
  void expect_refused(const result<std::shared_ptr<store>>& opened, errc code, const std::string& sentence) {
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, code) << opened.error().message;
    EXPECT_THAT(opened.error().message, HasSubstr(sentence));
    EXPECT_THAT(opened.error().message, HasSubstr(path_));
  }
};

TEST_F(file_store_test, creates_a_sparse_file_of_the_size_given) {
  ASSERT_TRUE(open(1 * gib));
  struct stat about {};
  ASSERT_EQ(stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_size, static_cast<off_t>(1 * gib));
  EXPECT_LT(about.st_blocks, 1000);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
}

TEST_F(file_store_test, takes_the_size_of_the_file_and_grows_it_but_never_cuts_it) {
  ASSERT_TRUE(open(1 * mib));
  auto again = open(0);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->describe().size_bytes, 1 * mib);
  again->reset();
  auto grown = open(2 * mib);
  ASSERT_TRUE(grown);
  EXPECT_EQ((*grown)->describe().size_bytes, 2 * mib);
  grown->reset();
  auto larger = open(1 * mib);
  ASSERT_TRUE(larger);
  EXPECT_EQ((*larger)->describe().size_bytes, 2 * mib);
  EXPECT_EQ(std::filesystem::file_size(path_), 2 * mib);
}

TEST_F(file_store_test, refuses_what_it_cannot_serve) {
  expect_refused(open(0), errc::not_found, "is absent");
  expect_refused(open(1 * mib, true), errc::not_found, "is absent");
  EXPECT_FALSE(std::filesystem::exists(path_));
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(open(0));
  const auto odd = open(1000);
  ASSERT_FALSE(odd);
  EXPECT_THAT(odd.error().message, HasSubstr("multiple of 512"));
}

TEST_F(file_store_test, a_probe_tells_what_opening_would_and_makes_nothing) {
  EXPECT_EQ(file::probe({.path = path_}).error().code, errc::not_found);
  EXPECT_TRUE(file::probe({.path = path_, .size_bytes = mib}));
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(file::probe({.path = path_ + "/nowhere/x", .size_bytes = mib}).error().code, errc::not_found);
  const auto held = open(1 * mib);
  ASSERT_TRUE(held);
  EXPECT_EQ(file::probe({.path = path_, .size_bytes = mib}).error().code, errc::busy);
}

TEST_F(file_store_test, refuses_an_empty_file_without_a_size) {
  std::ofstream(path_).flush();
  expect_refused(open(0), errc::invalid_argument, "is empty");
}

TEST_F(file_store_test, two_stores_never_share_a_file) {
  const auto first = open(1 * mib);
  ASSERT_TRUE(first);
  expect_refused(open(0), errc::busy, "in use");
}

TEST_F(file_store_test, read_only_neither_writes_nor_resizes) {
  ASSERT_TRUE(open(1 * mib));
  auto opened = open(0, true);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE((*opened)->describe().read_only);
  EXPECT_EQ((*opened)->resize(2 * mib).error().code, errc::permission);
}

TEST_F(file_store_test, a_file_cut_behind_its_back_is_found_short_by_who_reads_and_by_who_looks) {
  auto opened = open(1 * mib);
  ASSERT_TRUE(opened);
  std::filesystem::resize_file(path_, 1000);
  std::unique_ptr<channel> channel;
  std::vector<std::uint8_t> memory(8192, 0xee);
  const iovec part{memory.data(), memory.size()};
  test_request r(verb::read, 0, memory.size());
  r.parts = &part;
  r.part_count = 1;
  r.on_done = [&] { world_.finish(); };
  world_.enter([&] {
    channel = (*opened)->attach(world_.loop());
    channel->submit(r);
  });
  EXPECT_EQ(r.outcome, status::medium_error);
  EXPECT_EQ(r.failed_offset, 1000U);
  EXPECT_THAT((*opened)->health(), HasSubstr("was cut short"));
}

TEST_F(file_store_test, a_file_that_goes_away_while_it_is_served_is_told_of) {
  auto opened = open(1 * mib);
  ASSERT_TRUE(opened);
  const auto comes_to = [&](const std::string& what) {
    for (int i = 0; i < 1000 && (*opened)->health().find(what) == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_THAT((*opened)->health(), HasSubstr(what));
  };
  std::filesystem::rename(path_, path_ + ".away");
  comes_to("was removed while it is in use");
  std::ofstream(path_) << "another one";
  comes_to("was replaced while it is in use");
  std::filesystem::rename(path_ + ".away", path_);
  comes_to("good");
  std::filesystem::resize_file(path_, 4096);
  comes_to("was cut short");
}

TEST_F(file_store_test, a_copy_with_all_attributes_has_no_flash_that_is_told_of_its_writes) {
  if (!open(1 * mib).value()->write_binding(7)) GTEST_SKIP() << "this file system keeps no attributes";
  EXPECT_EQ(open(1 * mib).value()->read_binding(), 7U);
  ASSERT_EQ(std::system(("cp --preserve=all " + path_ + " " + path_ + ".copy").c_str()), 0);
  std::filesystem::remove(path_);
  std::filesystem::rename(path_ + ".copy", path_);
  EXPECT_EQ(open(1 * mib).value()->read_binding(), 0U);
  ASSERT_TRUE(open(1 * mib).value()->write_binding(8));
  EXPECT_EQ(open(1 * mib).value()->read_binding(), 8U) << "until one begins with it";
  std::filesystem::rename(path_, path_ + ".elsewhere");
  path_ += ".elsewhere";
  EXPECT_EQ(open(1 * mib).value()->read_binding(), 8U) << "a file that is only moved stays itself";
}

TEST_F(file_store_test, a_file_cut_while_nobody_serves_it_is_refused) {
  if (!open(1 * mib).value()->read_ownership()) GTEST_SKIP() << "this file system keeps no attributes";
  std::filesystem::resize_file(path_, 64 * kib);
  const auto refused = open(1 * mib);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::corrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("truncate -s 1048576"));
  std::filesystem::resize_file(path_, 1 * mib);
  ASSERT_TRUE(open(1 * mib)) << "somebody decided";
  ASSERT_TRUE(open(0).value()->resize(512 * kib));
  EXPECT_TRUE(open(0)) << "the gateway's own shrink is none";
}

TEST_F(file_store_test, a_full_file_system_is_no_space_and_the_store_goes_on) {
  const std::string small = folder_ / "small";
  std::filesystem::create_directory(small);
  if (mount("none", small.c_str(), "tmpfs", 0, "size=256k") != 0) GTEST_SKIP() << "this user cannot mount";
  path_ = small + "/image.raw";
  auto opened = open(4 * mib);
  ASSERT_TRUE(opened) << opened.error().message;
  std::unique_ptr<channel> channel;
  std::mt19937_64 random(1);
  test_request first(verb::write, 0, 1 * mib, payload(random, std::vector<std::uint8_t>(1 * mib, 1)));
  test_request discard(verb::discard, 0, 4 * mib);
  test_request second(verb::write, 2 * mib, 64 * kib, payload(random, std::vector<std::uint8_t>(64 * kib, 2)));
  first.on_done = [&] { channel->submit(discard); };
  discard.on_done = [&] { channel->submit(second); };
  second.on_done = [&] { world_.finish(); };
  world_.enter([&] {
    channel = (*opened)->attach(world_.loop());
    channel->submit(first);
  });
  channel.reset();
  opened->reset();
  EXPECT_EQ(umount(small.c_str()), 0);
  EXPECT_EQ(first.outcome, status::no_space);
  EXPECT_EQ(discard.outcome, status::good);
  EXPECT_EQ(second.outcome, status::good);
}

TEST_F(file_store_test, names_a_deadline) {
  ASSERT_TRUE(open(1 * mib));
  EXPECT_EQ((*open(0))->describe().deadline_ns, 30 * ns_per_s);
  const auto patient = file::open_store({.path = path_, .deadline_ns = 600 * ns_per_s}, world_.loop());
  ASSERT_TRUE(patient) << patient.error().message;
  EXPECT_EQ((*patient)->describe().deadline_ns, 600 * ns_per_s);
}

TEST_F(file_store_test, registers_its_keys) {
  registry all;
  file::register_store(all);
  ASSERT_NE(all.find("file"), nullptr);
  EXPECT_EQ(all.find("file")->keys.front().name, "path");
}

}  // namespace
}  // namespace sluice::store::contract
