#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/schema/address.hpp"
#include "config/schema/diagnostic.hpp"
#include "config/schema/sections.hpp"
#include "config/schema/values.hpp"

/// A configuration as plain values: five nouns. Everything compares by meaning: places in the file don't count, and
/// stores, units, targets and access tables are sorted by name, LUN maps by LUN.
namespace sluice::config {

enum class log_form : std::uint8_t { text, json };
enum class log_threshold : std::uint8_t { debug, info, warning, error };

struct gateway_config {
  std::string name;  // empty until the loader puts the host's name
  std::string state_dir = "/var/lib/sluice";
  std::string control = "/run/sluice/control.sock";
  std::uint32_t reactor_count = 0;   // 0: one per core, or one for each of `cores`
  std::vector<std::uint32_t> cores;  // empty: any
  std::optional<listen_address> http;
  log_form log = log_form::text;
  log_threshold log_level = log_threshold::info;
  std::uint64_t buffers_bytes = 256ull << 20;  // of each reactor
  std::uint32_t max_connections = 4096;
  std::uint32_t max_connections_per_address = 0;  // 0: a quarter of them, at least 64
  std::uint64_t login_timeout_ns = 15'000'000'000;
  std::uint32_t max_tasks = 128;  // of a session
  place at, http_at;
  bool operator==(const gateway_config&) const = default;
};

/// Other gateways, with which this one serves the same units: [cluster].
struct cluster_config {
  std::string name = "sluice";
  std::string pool;
  std::string user, conf;                // empty: librados' own
  std::optional<listen_address> listen;  // for links of the other gateways; none: commands are not relayed
  bool balance = true;                   // units move to the gateway by which most of their commands come
  bool hosts_move = false;               // hosts are told that they may choose the owner of a unit
  place at;
  bool operator==(const cluster_config&) const = default;
};

struct store_config {
  std::string name;
  std::string type;
  values settings;   // of its type; paths absolute
  std::string over;  // the store below; empty for a backstore
  place at;
  bool operator==(const store_config&) const = default;
};

struct unit_config {
  std::string name;
  std::string store;
  std::uint32_t block_size = 512;
  bool says_block_size = false;  // else that of a medium with larger blocks counts
  bool thin = true;
  bool read_only = false;
  // Empty, none: made once and kept (naa, serial), or the product's own.
  std::string naa;     // "naa." and 16 or 32 hexadecimal digits, in lower case
  std::string serial;  // 1 to 64 of ASCII
  std::string vendor, product;
  std::optional<bool> rotational;  // none: as the medium is
  bool implied = false;            // no [unit.X] of its own: a LUN map names the store X
  place at, store_at, block_size_at, naa_at, serial_at, vendor_at, product_at;
  bool operator==(const unit_config&) const = default;
};

struct lun_config {
  std::uint16_t lun = 0;
  std::string unit;
  place at;
  bool operator==(const lun_config&) const = default;
};
using lun_map = std::vector<lun_config>;

struct port_config {
  std::string fabric;
  std::string name;  // canonical; with fabric and group the port's identity
  std::uint16_t group = 1;
  values settings;  // of its fabric, the name apart
  place at, name_at;
  bool same_identity(const port_config& other) const {
    return fabric == other.fabric && name == other.name && group == other.group;
  }
  bool operator==(const port_config&) const = default;
};

struct access_config {
  std::string initiator;        // canonical
  std::optional<lun_map> luns;  // nullopt: the target's
  values settings;              // of the target's fabrics
  place at;
  bool operator==(const access_config&) const = default;
};

struct target_config {
  std::string name;
  lun_map luns;
  std::vector<port_config> ports;     // in the order of the file
  std::vector<access_config> access;  // empty: everybody
  bool open = false;
  place at;
  bool operator==(const target_config&) const = default;
};

struct model {
  gateway_config gateway;
  std::optional<cluster_config> cluster;  // none: this gateway is alone
  std::vector<store_config> stores;
  std::vector<unit_config> units;
  std::vector<target_config> targets;
  bool operator==(const model&) const = default;
};

/// The element of that name; null when there is none. At once where it is there and the list is sorted, as those of a
/// model that was read are.
template <class T>
const T* find_named(const std::vector<T>& all, const std::string& name) {
  const auto at = std::lower_bound(all.begin(), all.end(), name,
                                   [](const T& each, const std::string& wanted) { return each.name < wanted; });
  if (at != all.end() && at->name == name) return &*at;
  for (const T& each : all)
    if (each.name == name) return &each;
  return nullptr;
}

/// Elements of a list by name, for who looks for many: whoever asks in the order of the names, or nearly, hears at
/// once, and an absent name costs no look at all of them. The list stays as it is meanwhile; for one thread.
template <class T>
class by_name {
 public:
  explicit by_name(const std::vector<T>& all) : all_(all), next_(all.begin()) {
    const auto before = [](const T& a, const T& b) { return a.name < b.name; };
    if (!std::is_sorted(all.begin(), all.end(), before))
      for (const T& each : all) of_unsorted_.emplace(each.name, &each);
  }

  /// The first element of that name; null when there is none.
  const T* find(std::string_view name) const {
    if (!of_unsorted_.empty()) {
      const auto found = of_unsorted_.find(name);
      return found == of_unsorted_.end() ? nullptr : found->second;
    }
    if (next_ == all_.end() || next_->name != name)
      next_ = std::lower_bound(all_.begin(), all_.end(), name,
                               [](const T& each, std::string_view wanted) { return each.name < wanted; });
    return next_ != all_.end() && next_->name == name ? &*next_++ : nullptr;
  }

 private:
  const std::vector<T>& all_;
  mutable typename std::vector<T>::const_iterator next_;  // what is asked for next, as a rule
  std::unordered_map<std::string_view, const T*> of_unsorted_;
};

/// How a store's size is known before it is opened: its own `size` key or, for a tier, that of the store at the bottom.
/// nullopt when only the medium knows.
std::optional<std::uint64_t> configured_size(const model& m, const store_config& store);

/// Key paths as diagnostics print them; an initiator's name goes in quotes.
std::string access_path(const std::string& target, const std::string& initiator);
std::string port_path(const std::string& target, std::size_t index);

/// Calls `each(target, port, path of the port)` for the ports of one fabric.
template <class F>
void for_each_port(const model& m, const std::string& fabric, F each) {
  for (const target_config& target : m.targets)
    for (std::size_t i = 0; i < target.ports.size(); ++i)
      if (target.ports[i].fabric == fabric) each(target, target.ports[i], port_path(target.name, i));
}

}  // namespace sluice::config
