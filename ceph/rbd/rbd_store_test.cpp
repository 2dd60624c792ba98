#include <gmock/gmock.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <thread>

#include "ceph/rbd/rbd_channel.hpp"
#include "ceph/rbd/register.hpp"
#include "ceph/rbd/test_cluster.hpp"
#include "tiers/store/contract_setup.hpp"

namespace sluice::rbd {
namespace {

using namespace std::chrono_literals;
using store::status;
using store::verb;
using store::contract::payload;
using store::contract::real_world;
using store::contract::temporary_folder;
using store::contract::test_request;
using testing::HasSubstr;

/// An image of its own, and a core with a endpoint to it.
class rbd_store_test : public testing::Test {
 protected:
  void SetUp() override {
    if (!test_cluster::why_not().empty()) GTEST_SKIP() << test_cluster::why_not();
    wanted_ = test_cluster::usual();
    wanted_.image = test_cluster::new_name();
    wanted_.create = true;
    wanted_.size_bytes = 16 * mib;
  }
  void TearDown() override { drop(); }

  void open() {
    auto opened = rbd_store::open(all_, wanted_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = *opened;
    enter([this] { channel_ = store_->attach(world_.loop()); });
  }
  void drop() {
    enter([this] { channel_.reset(); });
    store_.reset();
  }
  void enter(const std::function<void()>& work) {
    world_.enter([&] {
      work();
      world_.finish();
    });
  }
  status run(test_request& r) {
    r.on_done = [this] { world_.finish(); };
    world_.enter([&] { channel_->submit(r); });
    return r.outcome;
  }
  status write(std::uint64_t offset, std::uint64_t length, std::uint8_t value) {
    test_request r(verb::write, offset, length, payload(random_, std::vector<std::uint8_t>(length, value)));
    return run(r);
  }
  std::vector<std::uint8_t> read(std::uint64_t offset, std::uint64_t length) {
    test_request r(verb::read, offset, length, payload(random_, std::vector<std::uint8_t>(length, 0xee)));
    EXPECT_EQ(run(r), status::good);
    return r.content();
  }
  /// Another client's hand on the image.
  template <class Work>
  void beside(Work work) {
    auto other = cluster::connection::open(wanted_.cluster);
    ASSERT_TRUE(other) << other.error().message;
    auto opened = image::open(*other, wanted_, 10s);
    ASSERT_TRUE(opened) << opened.error().message;
    work(**opened);
  }
  template <class Holds>
  bool comes_true(Holds holds) {
    for (int i = 0; i < 1000 && !holds(); ++i) std::this_thread::sleep_for(10ms);
    return holds();
  }
  std::string figure(const std::string& name) {
    for (const store::figure& each : store_->figures())
      if (each.name == name)
        return std::visit(
            [](const auto& value) -> std::string {
              if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
                return value;
              else
                return std::to_string(value);
            },
            each.value);
    return "absent";
  }
  error refusal() {
    auto opened = rbd_store::open(std::make_shared<cluster::connections>(), wanted_);
    EXPECT_FALSE(opened);
    return opened ? error{} : opened.error();
  }

  std::shared_ptr<cluster::connections> all_ = std::make_shared<cluster::connections>();
  options wanted_;
  real_world world_;
  std::shared_ptr<rbd_store> store_;
  std::unique_ptr<store::channel> channel_;
  std::mt19937_64 random_{7};
};

TEST_F(rbd_store_test, says_what_it_cannot_open) {
  wanted_.create = false;
  EXPECT_THAT(refusal().message, HasSubstr("pool \"rbd\" has no image \"" + wanted_.image + "\""));
  options right = wanted_;
  wanted_.pool = "elsewhere";
  EXPECT_THAT(refusal().message, HasSubstr("has no pool \"elsewhere\""));
  wanted_ = right;
  wanted_.name_space = "nowhere";
  EXPECT_THAT(refusal().message, HasSubstr("has no namespace \"nowhere\""));
  wanted_ = right;
  wanted_.cluster.user = "nobody";
  EXPECT_THAT(refusal().message, HasSubstr("client.nobody"));
  wanted_.cluster.conf = "/nonexistent";
  EXPECT_THAT(refusal().message, HasSubstr("cannot read /nonexistent"));
}

TEST_F(rbd_store_test, a_flush_takes_no_lock_unless_there_is_something_to_flush) {
  open();
  const auto has_lock = [](const image& i) {
    int owner = 0;
    EXPECT_EQ(rbd_is_exclusive_lock_owner(i.handle(), &owner), 0);
    return owner != 0;
  };
  const auto flush = [this] {
    test_request r(verb::flush, 0, 0);
    return run(r);
  };
  beside([&](image& writer) {
    const std::vector<char> octets(4096, 1);
    ASSERT_EQ(rbd_write(writer.handle(), 0, octets.size(), octets.data()), 4096);
    ASSERT_TRUE(has_lock(writer));
    EXPECT_EQ(read(0, 4096), std::vector<std::uint8_t>(4096, 1));
    EXPECT_EQ(flush(), status::good);
    EXPECT_TRUE(has_lock(writer)) << "of who writes";
  });
  EXPECT_EQ(write(0, 4096, 2), status::good);
  EXPECT_EQ(flush(), status::good);
}

TEST_F(rbd_store_test, says_that_a_key_is_wrong) {
  const temporary_folder folder;
  std::ifstream right(wanted_.cluster.conf);
  std::ofstream conf(folder / "ceph.conf");
  for (std::string line; std::getline(right, line);)
    conf << (line.starts_with("keyring") ? "keyring = " + (folder / "keyring") : line) << '\n';
  conf.close();
  std::ofstream(folder / "keyring") << "[client.sluice]\nkey = AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA==\n";
  wanted_.cluster.conf = folder / "ceph.conf";
  const error why = refusal();
  EXPECT_EQ(why.code, errc::permission) << why.message;
  EXPECT_THAT(why.message, HasSubstr("refuses client.sluice"));
  std::ofstream(folder / "keyring") << "";
  EXPECT_THAT(refusal().message, HasSubstr("client.sluice"));
}

TEST_F(rbd_store_test, describes_the_image) {
  wanted_.object_size_bytes = 1 * mib;
  open();
  const store::properties p = store_->describe();
  EXPECT_EQ(p.size_bytes, 16 * mib);
  EXPECT_EQ(p.optimal_io_bytes, 1 * mib);
  EXPECT_FALSE(p.volatile_cache);
  EXPECT_EQ(p.deadline_ns, 30 * ns_per_s);
  EXPECT_EQ(store_->health(), "good");
  EXPECT_EQ(figure("object_map"), "valid");
  ASSERT_EQ(write(0, 4096, 1), status::good);
  EXPECT_EQ(figure("writes"), "1");
  EXPECT_EQ(figure("in_flight"), "0");
}

TEST_F(rbd_store_test, small_discards_read_as_zeroes_too) {
  open();
  ASSERT_EQ(write(0, 256 * kib, 7), status::good);
  test_request ragged(verb::discard, 512, 130 * kib);
  ASSERT_EQ(run(ragged), status::good);
  EXPECT_THAT(read(0, 512), testing::Each(7));
  EXPECT_THAT(read(512, 130 * kib), testing::Each(0));
  EXPECT_THAT(read(512 + 130 * kib, 4096), testing::Each(7));
}

TEST_F(rbd_store_test, long_ranges_go_in_pieces) {
  wanted_.object_size_bytes = 64 * kib;
  wanted_.size_bytes = 6 * mib;
  open();
  ASSERT_EQ(write(0, 6 * mib, 7), status::good);
  test_request zeroes(verb::write_zeroes, 512, 6 * mib - 1024);
  ASSERT_EQ(run(zeroes), status::good);
  EXPECT_THAT(read(0, 512), testing::Each(7));
  EXPECT_THAT(read(512, 6 * mib - 1024), testing::Each(0));
  EXPECT_THAT(read(6 * mib - 512, 512), testing::Each(7));
}

TEST_F(rbd_store_test, sees_another_client_resize_the_image) {
  open();
  std::atomic<int> told = 0;
  store_->on_change([&] { ++told; });
  beside([](image& i) { ASSERT_TRUE(i.resize(32 * mib)); });
  EXPECT_TRUE(comes_true([&] { return store_->describe().size_bytes == 32 * mib; }));
  EXPECT_TRUE(comes_true([&] { return told == 1; }));
  ASSERT_EQ(write(31 * mib, 4096, 1), status::good);
  beside([](image& i) { ASSERT_TRUE(i.resize(8 * mib)); });
  EXPECT_TRUE(comes_true([&] { return store_->describe().size_bytes == 8 * mib; }));
  EXPECT_EQ(write(0, 4096, 1), status::good);
  EXPECT_EQ(write(31 * mib, 4096, 1), status::medium_error);
}

TEST_F(rbd_store_test, serves_a_snapshot_read_only) {
  open();
  ASSERT_EQ(write(0, 4096, 1), status::good);
  beside([](image& i) { ASSERT_EQ(rbd_snap_create(i.handle(), "then"), 0); });
  ASSERT_EQ(write(0, 4096, 2), status::good);
  drop();
  wanted_.snapshot = "then";
  wanted_.create = false;
  open();
  EXPECT_TRUE(store_->describe().read_only);
  EXPECT_THAT(read(0, 4096), testing::Each(1));
  EXPECT_EQ(write(0, 4096, 3), status::write_protected);
  EXPECT_FALSE(store_->resize(1 * mib));
}

/// Beside whoever writes to it; what was written before it was opened is there.
TEST_F(rbd_store_test, serves_an_image_read_only) {
  open();
  ASSERT_EQ(write(0, 4096, 1), status::good);
  ASSERT_TRUE(store_->write_ownership({3, "somebody"}));
  drop();
  wanted_.read_only = true;
  wanted_.create = false;
  open();
  EXPECT_TRUE(store_->describe().read_only);
  EXPECT_FALSE(store_->describe().discards);
  EXPECT_THAT(read(0, 4096), testing::Each(1));
  EXPECT_EQ(write(0, 4096, 3), status::write_protected);
  EXPECT_FALSE(store_->resize(1 * mib));
  EXPECT_EQ(store_->read_ownership().value().holder, "somebody") << "who lies over it is asked";
  EXPECT_FALSE(store_->write_ownership({4, ""}));
}

TEST_F(rbd_store_test, serves_clones_and_images_of_a_namespace) {
  open();
  ASSERT_EQ(write(0, 64 * kib, 1), status::good);
  const std::string clone = test_cluster::new_name();
  beside([&](image& i) {
    ASSERT_EQ(rbd_snap_create(i.handle(), "base"), 0);
    ASSERT_EQ(rbd_snap_protect(i.handle(), "base"), 0);
    int order = 22;
    ASSERT_EQ(rbd_clone(i.pool().handle(), wanted_.image.c_str(), "base", i.pool().handle(), clone.c_str(),
                        i.facts().features, &order),
              0);
  });
  drop();
  wanted_.image = clone;
  wanted_.create = false;
  open();
  ASSERT_EQ(write(4096, 4096, 2), status::good);  // copies the object up
  test_request cleared(verb::discard, 8192, 4096);
  ASSERT_EQ(run(cleared), status::good);
  EXPECT_THAT(read(0, 4096), testing::Each(1));
  EXPECT_THAT(read(4096, 4096), testing::Each(2));
  EXPECT_THAT(read(8192, 4096), testing::Each(0));
  EXPECT_THAT(read(12288, 4096), testing::Each(1));
  beside([](image& i) { rbd_namespace_create(i.pool().handle(), "tenant"); });
  drop();
  wanted_.name_space = "tenant";
  wanted_.create = true;
  open();
  EXPECT_THAT(read(0, 4096), testing::Each(0));
}

TEST_F(rbd_store_test, serves_an_encrypted_image) {
  const temporary_folder folder;
  wanted_.size_bytes = 48 * mib;  // the header takes 16 MiB
  wanted_.passphrase_file = folder / "passphrase";
  std::ofstream(wanted_.passphrase_file) << "not to be guessed";
  open();
  beside([](image& i) {
    const std::string secret = "not to be guessed";
    rbd_encryption_luks2_format_options_t how{RBD_ENCRYPTION_ALGORITHM_AES256, secret.data(), secret.size()};
    ASSERT_EQ(rbd_encryption_format(i.handle(), RBD_ENCRYPTION_FORMAT_LUKS2, &how, sizeof how), 0);
  });
  drop();
  wanted_.encryption = "luks2";
  wanted_.create = false;
  EXPECT_EQ(refusal().code, errc::permission);  // others can read the passphrase
  ASSERT_EQ(::chmod(wanted_.passphrase_file.c_str(), 0600), 0);
  open();
  EXPECT_LT(store_->describe().size_bytes, wanted_.size_bytes);  // less the header
  ASSERT_EQ(write(0, 64 * kib, 1), status::good);
  test_request cleared(verb::discard, 4096, 4096);
  ASSERT_EQ(run(cleared), status::good);
  EXPECT_THAT(read(0, 4096), testing::Each(1));
  EXPECT_THAT(read(4096, 4096), testing::Each(0));
  drop();
  std::ofstream(wanted_.passphrase_file) << "another one";
  EXPECT_THAT(refusal().message, HasSubstr("does not open"));
}

TEST_F(rbd_store_test, refuses_a_cache_in_memory_that_the_image_asks_for) {
  open();
  beside([](image& i) { ASSERT_EQ(rbd_metadata_set(i.handle(), "conf_rbd_cache", "true"), 0); });
  drop();
  EXPECT_THAT(refusal().message, HasSubstr("rbd_cache"));
}

TEST_F(rbd_store_test, refuses_a_cache_on_a_local_disk_that_the_image_asks_for) {
  open();
  beside([](image& i) { ASSERT_EQ(rbd_metadata_set(i.handle(), "conf_rbd_persistent_cache_mode", "ssd"), 0); });
  drop();
  EXPECT_THAT(refusal().message, HasSubstr("rbd_persistent_cache_mode"));
}

TEST_F(rbd_store_test, a_fenced_connection_is_replaced_and_nothing_sent_before_is_written_after) {
  open();
  ASSERT_EQ(write(0, 4096, 1), status::good);
  auto fencer = cluster::connection::open(wanted_.cluster);
  ASSERT_TRUE(fencer);
  auto fenced = all_->get(wanted_.cluster);
  ASSERT_TRUE(fenced);
  const std::string victim = (*fenced)->addresses();
  std::string only = victim.substr(0, victim.find('/') + 1) + victim.substr(victim.find('/') + 1);
  ASSERT_EQ(rados_blocklist_add((*fencer)->handle(), only.data(), 600), 0) << only;
  ASSERT_EQ(rados_wait_for_latest_osdmap((*fencer)->handle()), 0);
  fenced->reset();
  // The monitors know; so do the OSDs once they have answered somebody who was told.
  beside([](image& i) {
    std::array<char, 4096> block;
    ASSERT_EQ(rbd_read(i.handle(), 0, block.size(), block.data()), static_cast<ssize_t>(block.size()));
  });
  EXPECT_EQ(write(0, 4096, 2), status::aborted);
  EXPECT_EQ(channel_->available(), store::availability::stalled);
  EXPECT_EQ(write(4096, 4096, 3), status::good);  // waited for the new connection
  EXPECT_THAT(read(0, 4096), testing::Each(1));
  EXPECT_THAT(read(4096, 4096), testing::Each(3));
  EXPECT_EQ(figure("reopened"), "1");
  EXPECT_EQ(figure("fences"), "1");
  EXPECT_EQ(store_->health(), "good");
}

TEST_F(rbd_store_test, an_image_removed_under_it_is_noticed) {
  open();
  beside([this](image& i) { ASSERT_EQ(rados_remove(i.pool().handle(), i.header_object().c_str()), 0); });
  EXPECT_TRUE(comes_true([&] { return channel_->available() == store::availability::gone; }));
  EXPECT_THAT(store_->health(), HasSubstr("is gone"));
  EXPECT_EQ(write(0, 4096, 1), status::gone);
}

}  // namespace
}  // namespace sluice::rbd
