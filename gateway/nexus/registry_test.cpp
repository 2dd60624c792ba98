#include "gateway/nexus/registry.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::nexus {

struct recorder final : registry_link {
  struct eviction {
    unsigned core;
    std::uint64_t id;
    port::loss_reason reason;
  };
  struct granting {
    unsigned core;
    std::uint64_t question_id, id;
  };
  std::vector<eviction> evicted;
  std::vector<granting> granted;
  void evict(unsigned core, std::uint64_t id, port::loss_reason reason) override {
    evicted.push_back({core, id, reason});
  }
  void grant(unsigned core, std::uint64_t question_id, std::uint64_t id) override {
    granted.push_back({core, question_id, id});
  }
  void refuse(unsigned, std::uint64_t question_id, errc why) override { refused.emplace_back(question_id, why); }
  std::vector<std::pair<std::uint64_t, errc>> refused;
};

static admission from(unsigned core, std::uint64_t question_id, const char* initiator,
                      const char* isid = "0x000000000001") {
  return {core, question_id, {scsi::protocol::iscsi, initiator, isid}, {"iscsi", "iqn.t:a", 1}};
}

TEST(registry, grants_different_ports_side_by_side) {
  recorder cores;
  registry r(cores);
  r.admit(from(0, 1, "iqn.a"));
  r.admit(from(1, 1, "iqn.b"));
  r.admit(from(1, 2, "iqn.a", "0x000000000002"));
  EXPECT_EQ(cores.granted.size(), 3u);
  EXPECT_TRUE(cores.evicted.empty());
  EXPECT_EQ(r.size(), 3u);
}

TEST(registry, reinstates_only_after_the_old_nexus_has_ended) {
  recorder cores;
  registry r(cores);
  r.admit(from(0, 1, "iqn.a"));
  const std::uint64_t old = cores.granted.at(0).id;
  r.admit(from(1, 7, "iqn.a"));
  ASSERT_EQ(cores.evicted.size(), 1u);
  EXPECT_EQ(cores.evicted[0].id, old);
  EXPECT_EQ(cores.evicted[0].core, 0u);
  EXPECT_EQ(cores.evicted[0].reason, port::loss_reason::reinstated);
  EXPECT_EQ(cores.granted.size(), 1u);
  r.closed(old, 0);
  ASSERT_EQ(cores.granted.size(), 2u);
  EXPECT_EQ(cores.granted[1].question_id, 7u);
  EXPECT_NE(cores.granted[1].id, old);
}

TEST(registry, lets_a_storm_of_logins_end_with_the_last) {
  recorder cores;
  registry r(cores);
  for (std::uint64_t question_id = 1; question_id <= 5; ++question_id) r.admit(from(0, question_id, "iqn.a"));
  for (std::size_t i = 0; i < 5; ++i) {
    ASSERT_EQ(cores.granted.size(), i + 1);
    EXPECT_EQ(cores.granted[i].question_id, i + 1);
    r.closed(cores.granted[i].id, 0);
  }
  EXPECT_EQ(cores.evicted.size(), 4u);
  EXPECT_EQ(r.size(), 0u);
}

static admission joining(unsigned core, std::uint64_t question_id, const char* initiator, std::uint64_t nexus) {
  admission wish = from(core, question_id, initiator);
  wish.joins = nexus;
  return wish;
}

TEST(registry, a_nexus_ends_with_its_last_channel) {
  recorder cores;
  registry r(cores);
  r.admit(from(0, 1, "iqn.a"));
  const std::uint64_t id = cores.granted.at(0).id;
  r.admit(joining(2, 5, "iqn.a", id));
  ASSERT_EQ(cores.granted.size(), 2u);
  EXPECT_EQ(cores.granted[1].id, id);
  EXPECT_EQ(cores.granted[1].core, 2u);
  r.closed(id, 0);
  EXPECT_EQ(r.size(), 1u);
  r.admit(from(0, 9, "iqn.a"));
  ASSERT_EQ(cores.evicted.size(), 1u) << "only where it has a channel";
  EXPECT_EQ(cores.evicted[0].core, 2u);
  EXPECT_EQ(cores.granted.size(), 2u);
  r.closed(id, 2);
  ASSERT_EQ(cores.granted.size(), 3u);
  EXPECT_EQ(cores.granted[2].question_id, 9u);
}

TEST(registry, refuses_a_channel_of_what_is_not_there_ends_or_has_one_there) {
  recorder cores;
  registry r(cores);
  r.admit(from(0, 1, "iqn.a"));
  const std::uint64_t id = cores.granted.at(0).id;
  r.admit(joining(1, 10, "iqn.a", id + 1));
  r.admit(joining(1, 11, "iqn.b", id));  // another initiator's
  r.admit(joining(0, 12, "iqn.a", id));
  r.kick(id, port::loss_reason::kicked);
  r.admit(joining(1, 13, "iqn.a", id));
  const std::vector<std::pair<std::uint64_t, errc>> wanted{
      {10, errc::not_found}, {11, errc::not_found}, {12, errc::already_exists}, {13, errc::not_found}};
  EXPECT_EQ(cores.refused, wanted);
  EXPECT_EQ(cores.granted.size(), 1u);
}

TEST(registry, kicks_only_what_is_there) {
  recorder cores;
  registry r(cores);
  EXPECT_FALSE(r.kick(1, port::loss_reason::kicked));
  r.admit(from(0, 1, "iqn.a"));
  EXPECT_TRUE(r.kick(cores.granted[0].id, port::loss_reason::kicked));
  r.closed(cores.granted[0].id, 0);
  r.closed(cores.granted[0].id, 0);  // late notices are harmless
  EXPECT_FALSE(r.kick(cores.granted[0].id, port::loss_reason::kicked));
}

}  // namespace sluice::nexus
