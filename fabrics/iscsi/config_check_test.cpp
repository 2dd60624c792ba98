#include "fabrics/iscsi/config_check.hpp"

#include <gtest/gtest.h>

#include "config/toml/load.hpp"
#include "fabrics/iscsi/iscsi_fabric.hpp"

namespace sluice::iscsi {
namespace {

config::known_types known() {
  config::known_types types;
  types.stores = {{"ram", {{.name = "size", .type = config::kind::size, .required = true, .help = "octets"}}}};
  types.fabrics = {rules()};
  return types;
}

config::loaded load(const std::string& ports) {
  return config::load_text("[store.s]\ntype = \"ram\"\nsize = \"1MiB\"\n" + ports, "f.toml", "/etc", known());
}

/// All that is wrong, in one text; empty when nothing is.
std::string wrong(const std::string& ports) {
  const auto loaded = load(ports);
  return loaded ? "" : loaded.error().to_string();
}

std::string port(const std::string& target, const std::string& name, const std::string& listen,
                 const std::string& more = {}) {
  return "[[target." + target + ".port]]\nfabric = \"iscsi\"\nname = \"" + name + "\"\nlisten = [" + listen + "]\n" +
         more;
}

TEST(iscsi_configuration, lets_targets_share_an_address) {
  EXPECT_EQ(wrong(port("a", "iqn.2026-11.x:a", "\"127.0.0.1:3260\"") +
                  port("b", "iqn.2026-11.x:b", "\"127.0.0.1:3260\", \"[::1]:3260\"")),
            "");
}

TEST(iscsi_configuration, keeps_the_groups_of_a_target_at_different_addresses) {
  const std::string first = port("a", "iqn.2026-11.x:a", "\"127.0.0.1:3260\"");
  EXPECT_EQ(wrong(first + port("a", "iqn.2026-11.x:a", "\"127.0.0.1:3261\"", "group = 2\n")), "");
  EXPECT_NE(wrong(first + port("a", "iqn.2026-11.x:a", "\"127.0.0.1:3260\"", "group = 2\n"))
                .find("another group of the same target"),
            std::string::npos);
  EXPECT_NE(wrong(first + port("a", "iqn.2026-11.x:A", "\"127.0.0.1:3261\"")).find("is in group 1 already"),
            std::string::npos)
      << "names differ by more than case";
}

TEST(iscsi_configuration, refuses_addresses_that_cannot_be_listened_on_together) {
  const std::string open = "[target.a]\nopen = true\n[target.b]\nopen = true\n";
  EXPECT_NE(wrong(open + port("a", "iqn.2026-11.x:a", "\"0.0.0.0:3260\"") +
                  port("b", "iqn.2026-11.x:b", "\"127.0.0.1:3260\""))
                .find("is taken by"),
            std::string::npos);
  EXPECT_NE(wrong(port("a", "iqn.2026-11.x:a", "\"127.0.0.1:1\", \"127.0.0.1:1\"")).find("twice"), std::string::npos);
  EXPECT_NE(wrong("[gateway]\nhttp = \"127.0.0.1:1\"\n" + port("a", "iqn.2026-11.x:a", "\"127.0.0.1:1\""))
                .find("gateway.http"),
            std::string::npos);
  EXPECT_EQ(wrong(open + port("a", "iqn.2026-11.x:a", "\"0.0.0.0:3260\", \"[::]:3261\"")), "");
}

TEST(iscsi_configuration, takes_link_local_addresses_with_their_interface) {
  const std::string open = "[target.a]\nopen = true\n";
  EXPECT_EQ(wrong(open + port("a", "iqn.2026-11.x:a", "\"[fe80::1%eth0]:3260\"")), "");
  EXPECT_NE(wrong(open + port("a", "iqn.2026-11.x:a", "\"[fe80::1]:3260\"")).find("[fe80::1%eth0]:3260"),
            std::string::npos);
}

TEST(iscsi_configuration, refuses_a_port_that_lets_everybody_in_from_a_network) {
  EXPECT_NE(wrong(port("a", "iqn.2026-11.x:a", "\"192.0.2.1:3260\"")).find("everybody may log in"), std::string::npos);
  EXPECT_EQ(wrong(port("a", "iqn.2026-11.x:a", "\"192.0.2.1:3260\"") + "[target.a.access.\"iqn.1994-05.y:h\"]\n"), "");
}

TEST(iscsi_configuration, knows_initiators_by_names_without_case) {
  const std::string one = port("a", "iqn.2026-11.x:a", "\"127.0.0.1:1\"");
  const auto loaded = load(one + "[target.a.access.\"IQN.1991-05.com.microsoft:Win_Host\"]\n");
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->targets[0].access[0].initiator, "iqn.1991-05.com.microsoft:win_host");
  EXPECT_NE(wrong(one + "[target.a.access.\"iqn.a:H\"]\n[target.a.access.\"iqn.a:h\"]\n").find("twice"),
            std::string::npos);
  EXPECT_NE(wrong(one + "[target.a.access.\"host\"]\n").find("the initiator's name starts with neither"),
            std::string::npos);
  EXPECT_NE(wrong(one + "[target.a.access.\"iqn.a:\\u202e\"]\n").find("has a character"), std::string::npos);
}

TEST(iscsi_configuration, advertises_hosts_with_ports) {
  const auto with = [](const std::string& hosts) {
    return wrong(port("a", "iqn.2026-11.x:a", "\"127.0.0.1:1\"", "advertise = [" + hosts + "]\n"));
  };
  EXPECT_EQ(with("\"gw.example.com:3260\", \"192.0.2.1:3260\", \"[2001:db8::1]:3260\""), "");
  for (const char* bad :
       {"\"gw.example.com\"", "\"gw:0\"", "\":3260\"", "\"a b:3260\"", "\"192.0.2.1:0\"", "\"g,1:3\""})
    EXPECT_NE(with(bad).find("names no host with a port"), std::string::npos) << bad;
}

TEST(iscsi_configuration, keeps_first_burst_length_within_max_burst_length) {
  config::port_config wanted;
  wanted.settings.set("max_burst_length", std::uint64_t{64 * 1024});
  EXPECT_EQ(read_port(wanted).ours.first_burst_length, 64u * 1024);
  EXPECT_NE(wrong(port("a", "iqn.2026-11.x:a", "\"127.0.0.1:1\"",
                       "max_burst_length = \"64KiB\"\nfirst_burst_length = \"128KiB\"\n"))
                .find("is more than max_burst_length"),
            std::string::npos);
}

TEST(iscsi_configuration, warns_of_initiators_that_are_admitted_by_their_names_beyond_loopback) {
  const auto warnings = [](const std::string& listen, const std::string& access) {
    const auto loaded =
        load(port("a", "iqn.2026-11.x:a", listen) + "[target.a.access.\"iqn.2026-11.x:host\"]\n" + access);
    EXPECT_TRUE(loaded) << loaded.error().to_string();
    config::diagnostics found;
    if (loaded) {
      warn_of_names(*loaded, "iscsi", found);
      warn_of_names(*loaded, "iscsi", found);  // as of a fabric more: nobody is told twice
    }
    return found;
  };
  const std::string secret = "chap = { user = \"u\", secret_file = \"s\" }\n";
  const auto found = warnings("\"127.0.0.1:1\", \"192.0.2.1:1\", \"192.0.2.2:1\"", "");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].key, "target.a.access.\"iqn.2026-11.x:host\"");
  EXPECT_EQ(found[0].at.line, 8u);
  EXPECT_TRUE(warnings("\"192.0.2.1:1\"", secret).empty());
  EXPECT_TRUE(warnings("\"127.0.0.1:1\", \"[::1]:1\"", "").empty());
}

TEST(iscsi_configuration, reads_what_a_port_demands) {
  const auto of = [](const std::string& more) {
    const auto loaded = load(port("a", "iqn.2026-11.x:a", "\"127.0.0.1:1\"", more));
    EXPECT_TRUE(loaded) << loaded.error().to_string();
    return read_port(loaded->targets[0].ports[0]);
  };
  EXPECT_EQ(of("").ours.weakest_chap, chap_algorithm::md5);
  EXPECT_EQ(of("chap_algorithms = \"sha\"\n").ours.weakest_chap, chap_algorithm::sha1);
  EXPECT_EQ(of("chap_algorithms = \"sha256\"\n").ours.weakest_chap, chap_algorithm::sha256);
  EXPECT_FALSE(load(port("a", "iqn.2026-11.x:a", "\"127.0.0.1:1\"", "chap_algorithms = \"md4\"\n")));
  EXPECT_FALSE(of("").discovery_chap);
  EXPECT_TRUE(of("discovery_chap = true\n").discovery_chap);
  const served_port demanding =
      of("header_digest = false\nheader_digest_required = true\ndata_digest_required = true\n");
  EXPECT_TRUE(demanding.ours.header_digest_required && demanding.ours.header_digest);
  EXPECT_TRUE(demanding.ours.data_digest_required);
}

}  // namespace
}  // namespace sluice::iscsi
