#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "actors/base/result.hpp"
#include "config/schema/keys.hpp"

/// The keys of every table that does not belong to a store type or a fabric. The reader, the manual page, docs/ and the
/// completion read these rows and nothing else.
namespace sluice::config {

/// What the registries know; passed in, because this room is below them. type or fabric -> its own keys.
struct known_types {
  std::vector<std::pair<std::string, std::vector<key>>> stores;
  std::vector<std::pair<std::string, std::vector<key>>> fabrics;
  /// Whether the keys of a store of a type go together; the sentence begins with the key that it is about. Empty: all
  /// do.
  std::function<result<void>(const std::string& type, const settings& of)> examine = {};
};

const std::vector<key>& root_keys();
const std::vector<key>& gateway_keys();
const std::vector<key>& store_keys();  // of every store; its type has more
const std::vector<key>& unit_keys();
const std::vector<key>& target_keys();
const std::vector<key>& port_keys();  // of every port; its fabric has more
const std::vector<key>& access_keys();

/// The keys of a type; null when it is not known.
const std::vector<key>* find_keys(const std::vector<std::pair<std::string, std::vector<key>>>& types,
                                  const std::string& name);

/// The words of a choice key.
std::vector<std::string> choices_of(const key& k);

/// What a key takes, in words: "one of text and json", "a number from 1 to 64".
std::string allowed_by(const key& k);

/// Every key in Markdown: the middle of docs/configuration.md. A test keeps the page and the program together.
std::string describe_keys();

inline constexpr std::uint32_t max_lun = 16383;  // single level LUN structure, flat space addressing [SAM-5 4.7.5]

}  // namespace sluice::config
