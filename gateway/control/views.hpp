#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

/// What the gateway tells about itself: the results of the commands in docs/control.md. The daemon fills them, to_json
/// (found by nlohmann::json) writes them. Sizes in octets, latencies in microseconds, counts since the start.
namespace sluice::control::view {

/// Where latencies are counted in metrics; the gateway tells them with `latency_edges_us`.
inline constexpr std::array<std::uint64_t, 20> latency_edges_us{
    2,     5,      10,     25,     50,      100,     250,     500,       1'000,     2'500,
    5'000, 10'000, 25'000, 50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 10'000'000};

/// One class of commands of a unit: "read", "write", "flush", "unmap", "other".
struct command {
  std::string what;  // JSON: "class"
  std::uint64_t count = 0, errors = 0, bytes = 0;
  double p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0;
  double total_us = 0;                                         // of all latencies
  std::array<std::uint64_t, latency_edges_us.size()> up_to{};  // how many took no longer than each edge
  // Not among the errors: unit attentions that were told, and what asked for something that there is not.
  std::uint64_t attentions = 0, unsupported = 0;
  /// Upper edge in microseconds and count of each part of the histogram that is not empty; only where it was asked for.
  std::vector<std::pair<double, std::uint64_t>> latencies = {};
};

struct reactor {
  unsigned index = 0;
  std::string kind;  // "io_uring", "epoll"
  double cpu_s = 0;
  std::string health = "good";
  double silent_s = 0;  // not 0: it owes an answer for so long, what it serves is shown as it was before
  std::uint64_t buffers_used_bytes = 0, buffers_limit_bytes = 0;  // memory for data in flight
};

struct gateway {
  std::string name, version;
  double uptime_s = 0;
  std::vector<reactor> reactors;
  std::string state_health = "good";    // of the state directory
  std::uint64_t log_lines_dropped = 0;  // that nobody took from standard error
  std::uint64_t max_sessions = 0;
  std::map<std::string, std::uint64_t> task_management = {};  // what initiators asked for since the start, by function
};

struct store {
  std::string name, type, over;
  std::uint64_t size_bytes = 0;
  std::string health = "good";                        // or a sentence
  std::string warning = {};                           // what is well, but not as the file says
  nlohmann::json figures = nlohmann::json::object();  // name -> number, text or truth
  std::vector<std::string> counters = {};             // the names of those that only grow
};

/// Commands to a unit that gateways share, by the gateway that a host sent them to.
struct came_by {
  std::string gateway;
  std::uint64_t commands = 0;
};

struct unit {
  std::string name, store;
  std::uint64_t size_bytes = 0;
  std::uint32_t block_size = 0;
  bool read_only = false;
  std::string serial, naa;
  std::string health = "good";
  std::vector<command> commands;
  std::string owner = {};  // in a cluster: the gateway that owns it; "nobody"; JSON: only then, as the next one
  std::vector<view::came_by> came_by = {};
};

/// A unit that was taken away and has not ended.
struct ending {
  std::string name, store, health;
};

struct lun {
  std::uint32_t number = 0;  // JSON: "lun"
  std::string unit;
};

struct port {
  std::string fabric, name;
  std::vector<std::string> portals;
  unsigned group = 1;
};

struct session {
  std::uint64_t id = 0;
  std::string initiator, peer, target, port;
  unsigned group = 1;
  std::string parameters;
  double age_s = 0;
  std::uint64_t commands = 0, bytes = 0;  // that it has asked for; bytes: to be moved
};

/// An initiator that may log in at a target.
struct access {
  std::string initiator;
  bool has_own_luns = false;  // JSON: then "luns" is there
  std::vector<lun> luns;
  std::map<std::string, std::string> settings;  // "chap.user" and the like; never a secret, nor where one lies
};

struct target {
  std::string name;
  std::vector<lun> luns;
  std::vector<port> ports;
  std::vector<session> sessions;
  bool open = false;  // every initiator is let in, also beyond loopback
  std::vector<view::access> access = {};
};

/// A connection without a session: nobody has said a word on it yet, a login is under way, or it is there for
/// discovery.
struct connection {
  std::uint64_t id = 0;
  std::string fabric, peer;
  std::string stage;  // "silent", "login", "authentication", "discovery"
  double age_s = 0;
  std::uint64_t bytes = 0;  // of memory that it holds
};

/// All of them: the oldest, and the addresses that have the most.
struct connections {
  static constexpr std::size_t most = 100;  // of each list
  std::uint64_t count = 0;
  std::vector<connection> oldest;
  struct of_address {
    std::string address;
    std::uint64_t count = 0;
  };
  std::vector<of_address> addresses;
  std::map<std::string, std::uint64_t> refused;  // since the start, by reason
  /// Likewise, by what it is and of which kind; in JSON members of their own: "logins", "digest_errors", "rejects".
  std::map<std::string, std::map<std::string, std::uint64_t>> counted = {};
};

/// A file system that the gateway writes to.
struct file_system {
  std::string of;    // the key that names a place there: "gateway.state_dir"
  std::string path;  // that place
  std::uint64_t free_bytes = 0, size_bytes = 0;
};

/// One gateway of a cluster.
struct member {
  std::string gateway;
  std::uint64_t id = 0;
  bool self = false;
  std::string state;  // "member"; "drained": it owns nothing while another can; "gone": fenced
};

/// The cluster that the gateway is in.
struct cluster {
  std::string name;
  bool holds = false;  // the gateway may answer for what is shared now
  std::vector<member> members;
};

/// "status"
struct status {
  view::gateway gateway;
  std::vector<store> stores;
  std::vector<unit> units;
  std::vector<target> targets;
  view::connections connections = {};
  std::vector<view::ending> ending = {};  // in JSON only when there are any
  std::vector<file_system> file_systems = {};
  std::optional<view::cluster> cluster = {};  // none: the gateway is in no cluster; then not in JSON
};

/// One registration of "pr.show".
struct registrant {
  std::string initiator, port;
  std::string key;  // "0x" and 16 hexadecimal digits
  bool holder = false;
  bool all_target_ports = false;
};

/// "pr.show"
struct reservations {
  std::string unit;
  std::uint32_t generation = 0;
  bool persists = false;  // APTPL
  std::string type;       // "write exclusive", …; empty: no reservation
  std::vector<registrant> registrants;
};

void to_json(nlohmann::json& out, const command& v);
void to_json(nlohmann::json& out, const reactor& v);
void to_json(nlohmann::json& out, const gateway& v);
void to_json(nlohmann::json& out, const store& v);
void to_json(nlohmann::json& out, const unit& v);
void to_json(nlohmann::json& out, const ending& v);
void to_json(nlohmann::json& out, const lun& v);
void to_json(nlohmann::json& out, const port& v);
void to_json(nlohmann::json& out, const session& v);
void to_json(nlohmann::json& out, const target& v);
void to_json(nlohmann::json& out, const connection& v);
void to_json(nlohmann::json& out, const connections& v);
void to_json(nlohmann::json& out, const file_system& v);
void to_json(nlohmann::json& out, const member& v);
void to_json(nlohmann::json& out, const cluster& v);
void to_json(nlohmann::json& out, const status& v);
void to_json(nlohmann::json& out, const registrant& v);
void to_json(nlohmann::json& out, const reservations& v);

}  // namespace sluice::control::view
