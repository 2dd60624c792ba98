#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "actors/base/result.hpp"
#include "config/schema/diagnostic.hpp"
#include "config/schema/keys.hpp"

/// The keys of every table that does not belong to a store type or a fabric. The reader, the manual page, docs/ and the
/// completion read these rows and nothing else.
namespace sluice::config {

struct model;

/// What a fabric says of the configuration. Only the keys are needed; what is absent asks nothing.
struct fabric_rules {
  std::string name;               // fabric = "iscsi"
  std::vector<key> port_keys;     // of [[target.X.port]], beyond fabric and group
  std::string name_key = "name";  // the one of them that names the port: with fabric and group its identity
  std::vector<key> access_keys;   // of [target.X.access."INITIATOR"], beyond luns
  /// The spelling in which names of ports and initiators are compared.
  std::function<std::string(const std::string&)> canonical_name = {};
  /// Why a name can't be an initiator's; empty when it can, or when the fabric has no names for initiators.
  std::function<std::string(const std::string&)> initiator_problem = {};
  /// What is wrong with this fabric's ports and their access tables, in a model that is otherwise understood. Pure.
  std::function<void(const model&, diagnostics&)> check = {};
  /// What is wrong with the files that they name. Blocks on the file system.
  std::function<void(const model&, diagnostics&)> check_files = {};
  /// What is good and yet most likely not meant, in a model that nothing is wrong with. Pure.
  std::function<void(const model&, diagnostics&)> warn = {};
};

/// What the registries know; passed in, because this module is below them.
struct known_types {
  std::vector<std::pair<std::string, std::vector<key>>> stores;  // type -> its own keys
  std::vector<fabric_rules> fabrics;
  /// Whether the keys of a store of a type go together; the sentence begins with the key that it is about. Empty: all
  /// do.
  std::function<result<void>(const std::string& type, const settings& of)> examine = {};
};

const std::vector<key>& root_keys();
const std::vector<key>& gateway_keys();
const std::vector<key>& cluster_keys();
const std::vector<key>& store_keys();  // of every store; its type has more
const std::vector<key>& unit_keys();
const std::vector<key>& target_keys();
const std::vector<key>& port_keys();    // of every port; its fabric has more
const std::vector<key>& access_keys();  // of every access table; the fabrics of its target have more

/// The keys of a type; null when it is not known.
const std::vector<key>* find_keys(const std::vector<std::pair<std::string, std::vector<key>>>& types,
                                  const std::string& name);

/// The fabric of that name; null when it is not known.
const fabric_rules* find_fabric(const known_types& known, const std::string& name);

/// The words of a choice key.
std::vector<std::string> choices_of(const key& k);

/// What a key takes, in words: "one of text and json", "a number from 1 to 64".
std::string allowed_by(const key& k);

inline constexpr std::uint32_t max_lun = 16383;  // single level LUN structure, flat space addressing [SAM-5 4.7.5]

}  // namespace sluice::config
