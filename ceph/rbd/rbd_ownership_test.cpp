#include <gmock/gmock.h>

#include <cerrno>
#include <thread>

#include "ceph/rbd/test_cluster.hpp"

/// The note of a tier with an image: it stays with that one and nobody else, and asks for no lock.
namespace sluice::rbd {
namespace {

using namespace std::chrono_literals;
using store::ownership;
using testing::HasSubstr;

const ownership held{7, "journal 0123456789abcdef at host:/flash"};

class rbd_ownership_test : public testing::Test {
 protected:
  void SetUp() override {
    if (!test_cluster::why_not().empty()) GTEST_SKIP() << test_cluster::why_not();
    wanted_ = test_cluster::usual();
    wanted_.image = test_cluster::new_name();
    wanted_.create = true;
    wanted_.size_bytes = 16 * mib;
  }
  std::shared_ptr<rbd_store> open(const options& how) {
    auto opened = rbd_store::open(all_, how);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *opened : nullptr;
  }
  std::shared_ptr<rbd_store> open_named(const std::string& image) {
    options how = wanted_;
    how.image = image;
    how.create = false;
    return open(how);
  }
  /// The image, by a client of its own.
  std::shared_ptr<image> beside() {
    auto other = cluster::connection::open(wanted_.cluster);
    EXPECT_TRUE(other) << other.error().message;
    auto opened = image::open(*other, wanted_, 10s);
    EXPECT_TRUE(opened) << opened.error().message;
    return *opened;
  }

  std::shared_ptr<cluster::connections> all_ = std::make_shared<cluster::connections>();
  options wanted_;
};

TEST_F(rbd_ownership_test, stays_with_the_image) {
  auto store = open(wanted_);
  EXPECT_EQ(store->read_ownership(), ownership()) << "nobody has marked it yet";
  ASSERT_TRUE(store->write_ownership(held));
  EXPECT_EQ(store->read_ownership(), held);
  store.reset();
  all_ = std::make_shared<cluster::connections>();
  store = open(wanted_);
  EXPECT_EQ(store->read_ownership(), held);
  ASSERT_TRUE(store->write_ownership({8, {}}));
  EXPECT_EQ(store->read_ownership(), (ownership{8, {}}));
}

TEST_F(rbd_ownership_test, is_not_inherited_and_is_no_business_of_a_snapshot) {
  auto store = open(wanted_);
  ASSERT_TRUE(store->write_ownership(held));
  const std::string clone = test_cluster::new_name(), copy = test_cluster::new_name(),
                    renamed = test_cluster::new_name();
  {
    const auto other = beside();
    ASSERT_EQ(rbd_snap_create(other->handle(), "then"), 0);
    ASSERT_EQ(rbd_snap_protect(other->handle(), "then"), 0);
    int order = 22;
    ASSERT_EQ(rbd_clone(other->pool().handle(), wanted_.image.c_str(), "then", other->pool().handle(), clone.c_str(),
                        other->facts().features, &order),
              0);
    ASSERT_EQ(rbd_copy(other->handle(), other->pool().handle(), copy.c_str()), 0);
  }
  EXPECT_EQ(open_named(clone)->read_ownership(), ownership());
  EXPECT_EQ(open_named(copy)->read_ownership(), ownership());
  options how = wanted_;
  how.create = false;
  how.snapshot = "then";
  const auto snapshot = open(how);
  EXPECT_EQ(snapshot->read_ownership().error().code, errc::unsupported);
  EXPECT_EQ(snapshot->write_ownership({9, {}}).error().code, errc::unsupported);
  store.reset();
  {
    const auto other = beside();
    ASSERT_EQ(rbd_rename(other->pool().handle(), wanted_.image.c_str(), renamed.c_str()), 0);
  }
  EXPECT_EQ(open_named(renamed)->read_ownership(), held);
}

TEST_F(rbd_ownership_test, the_binding_stays_with_the_image_beside_the_mark_and_is_not_inherited) {
  auto store = open(wanted_);
  EXPECT_EQ(store->read_binding(), 0U);
  ASSERT_TRUE(store->write_binding(UINT64_MAX));
  ASSERT_TRUE(store->write_ownership(held));
  EXPECT_EQ(store->read_binding(), UINT64_MAX);
  EXPECT_EQ(store->read_ownership(), held);
  const std::string copy = test_cluster::new_name();
  {
    const auto other = beside();
    ASSERT_EQ(rbd_snap_create(other->handle(), "then"), 0);
    ASSERT_EQ(rbd_copy(other->handle(), other->pool().handle(), copy.c_str()), 0);
  }
  EXPECT_EQ(open_named(copy)->read_binding(), 0U);
  options how = wanted_;
  how.create = false;
  how.snapshot = "then";
  const auto snapshot = open(how);
  EXPECT_EQ(snapshot->read_binding().error().code, errc::unsupported);
  EXPECT_EQ(snapshot->write_binding(7).error().code, errc::unsupported);
  store.reset();
  all_ = std::make_shared<cluster::connections>();
  store = open_named(wanted_.image);
  EXPECT_EQ(store->read_binding(), UINT64_MAX);
  ASSERT_TRUE(store->write_binding(0));
  EXPECT_EQ(store->read_binding(), 0U);
}

TEST_F(rbd_ownership_test, does_not_wait_for_whoever_has_the_exclusive_lock) {
  const auto store = open(wanted_);
  const auto other = beside();
  ASSERT_EQ(rbd_lock_acquire(other->handle(), RBD_LOCK_MODE_EXCLUSIVE), 0);
  EXPECT_TRUE(store->write_ownership(held));
  EXPECT_EQ(store->read_ownership(), held);
  ASSERT_EQ(rbd_lock_release(other->handle()), 0);
}

TEST_F(rbd_ownership_test, that_is_none_of_ours_is_not_taken_for_nothing) {
  const auto store = open(wanted_);
  const auto other = beside();
  ASSERT_TRUE(other->set_attribute(image::ownership_attribute, "whatever"));
  auto found = store->read_ownership();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, errc::corrupt);
  EXPECT_THAT(found.error().message, HasSubstr(wanted_.path()));
  ASSERT_TRUE(other->set_attribute(image::ownership_attribute, "7 " + std::string(5000, 'x')));
  found = store->read_ownership();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, errc::corrupt);
}

TEST_F(rbd_ownership_test, an_image_that_another_client_has_open_is_refused_to_who_wants_it_alone) {
  auto store = open(wanted_);
  options alone = wanted_;
  alone.exclusive = true;
  const auto refused = rbd_store::open(std::make_shared<cluster::connections>(), alone);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::busy);
  EXPECT_THAT(refused.error().message, HasSubstr("127.0.0.1"));
  store.reset();
  all_.reset();
  const auto opens = [&] { return rbd_store::open(std::make_shared<cluster::connections>(), alone).has_value(); };
  bool opened = false;
  for (int i = 0; i < 100 && !(opened = opens()); ++i) std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(opened) << "the first one has closed it";
}

TEST_F(rbd_ownership_test, goes_through_the_new_connection_after_a_fence) {
  const auto store = open(wanted_);
  ASSERT_TRUE(store->write_ownership(held));
  auto fencer = cluster::connection::open(wanted_.cluster);
  auto fenced = all_->get(wanted_.cluster);
  ASSERT_TRUE(fencer && fenced);
  ASSERT_TRUE((*fencer)->fence(**fenced));
  fenced->reset();
  EXPECT_FALSE(store->write_ownership({8, {}})) << "and it never will be written";
  auto found = store->read_ownership();
  for (int i = 0; i < 300 && !found; ++i) {
    std::this_thread::sleep_for(50ms);
    found = store->read_ownership();
  }
  EXPECT_EQ(found, held);
  EXPECT_TRUE(store->write_ownership({9, {}}));
  EXPECT_EQ(store->read_ownership(), (ownership{9, {}}));
}

TEST_F(rbd_ownership_test, of_an_image_that_is_gone_is_an_error) {
  const auto store = open(wanted_);
  const auto other = beside();
  ASSERT_EQ(rados_remove(other->pool().handle(), other->header_object().c_str()), 0);
  const auto found = store->read_ownership();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, errc::io);
  EXPECT_FALSE(store->write_ownership(held));
  std::uint64_t size = 0;
  time_t changed = 0;
  EXPECT_EQ(rados_stat(other->pool().handle(), other->header_object().c_str(), &size, &changed), -ENOENT);
}

}  // namespace
}  // namespace sluice::rbd
