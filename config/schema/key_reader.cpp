#include "config/schema/key_reader.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "config/schema/address.hpp"
#include "config/schema/quantity.hpp"

namespace sluice::config {

namespace {

bool is_left_to_caller(kind type) {
  return type == kind::luns || type == kind::tables;
}

const key* find_key(const std::vector<key>& keys, const std::string& name) {
  for (const key& k : keys)
    if (k.name == name) return &k;
  return nullptr;
}

bool is_parent(const std::vector<key>& keys, const std::string& name) {
  return std::any_of(keys.begin(), keys.end(), [&](const key& k) { return k.name.starts_with(name + "."); });
}

class table_reader {
 public:
  table_reader(read_context& context, const std::vector<key>& keys, std::string path,
               const std::vector<std::string>& let_pass)
      : context_(context), keys_(keys), path_(std::move(path)), let_pass_(let_pass) {}

  values run(const tree_table& table, place at) {
    read_entries(table, "");
    for (const key& k : keys_)
      if (k.required && !seen(k.name)) complain(at, k.name, "is missing", allowed_by(k));
    return std::move(out_);
  }

 private:
  void read_entries(const tree_table& table, const std::string& prefix) {
    for (const tree_entry& entry : table.entries) {
      const std::string name = prefix + entry.name;
      const key* k = find_key(keys_, name);
      if (k != nullptr && !is_left_to_caller(k->type))
        read_value(*k, entry);
      else if (k == nullptr && is_parent(keys_, name))
        read_nested(entry, name);
      else if (k == nullptr && !passes(name))
        complain_unknown(entry, prefix);
      if (k != nullptr) seen_.push_back(name);
    }
  }

  void read_nested(const tree_entry& entry, const std::string& name) {
    if (const auto* nested = std::get_if<tree_table>(&entry.value.value))
      read_entries(*nested, name + ".");
    else
      complain(entry.value.at, name, "is " + describe(entry.value), "a table with " + one_of(names_below(name + ".")));
  }

  std::vector<std::string> names_below(const std::string& prefix) const {
    std::vector<std::string> out;
    for (const key& k : keys_) {
      if (!k.name.starts_with(prefix)) continue;
      const std::string rest = k.name.substr(prefix.size());
      const std::string head = rest.substr(0, rest.find('.'));
      if (std::find(out.begin(), out.end(), head) == out.end()) out.push_back(head);
    }
    return out;
  }

  /// With all that is below it, as far as it is a table.
  bool passes(const std::string& name) const {
    return std::any_of(let_pass_.begin(), let_pass_.end(),
                       [&](const std::string& each) { return each == name || each.starts_with(name + "."); });
  }

  void complain_unknown(const tree_entry& entry, const std::string& prefix) {
    std::vector<std::string> names = names_below(prefix);
    std::vector<std::string> candidates = names;
    for (const key& k : keys_)  // flash_path may mean flash.path
      if (k.name.starts_with(prefix)) candidates.push_back(k.name.substr(prefix.size()));
    candidates.insert(candidates.end(), let_pass_.begin(), let_pass_.end());
    if (!let_pass_.empty()) names.emplace_back("a key of its kind");
    complain(entry.at, prefix + quoted_if_needed(entry.name),
             "is not a key" + did_you_mean(entry.name, candidates, "'"), one_of(names));
  }

  void read_value(const key& k, const tree_entry& entry) {
    if (std::optional<values::value> v = convert(k, entry.value)) out_.set(k.name, std::move(*v), entry.value.at);
  }

  std::optional<values::value> convert(const key& k, const tree_node& node) {
    switch (k.type) {
      case kind::text:
      case kind::store_name:
        return read_text(k, node);
      case kind::path:
        return read_path(k, node);
      case kind::size:
        return read_quantity(k, node, parse_size, size_spelling, format_size);
      case kind::duration:
        return read_quantity(k, node, parse_duration, duration_spelling, format_duration);
      case kind::number:
        return read_number(k, node, k.name);
      case kind::flag:
        return read_flag(k, node);
      case kind::choice:
        return read_choice(k, node);
      case kind::endpoints:
        return read_endpoints(k, node);
      case kind::endpoint:
        return read_endpoint(k.name, allowed_by(k), node);
      case kind::hosts:
        return read_hosts(k, node);
      case kind::numbers:
        return read_numbers(k, node);
      case kind::ranges:
        return read_ranges(k, node);
      case kind::luns:
      case kind::tables:
        break;
    }
    return std::nullopt;
  }

  std::nullopt_t wrong_type(const key& k, const tree_node& node) {
    return complain(node.at, k.name, "is " + describe(node), allowed_by(k));
  }

  std::optional<std::string> read_text(const key& k, const tree_node& node) {
    const auto* text = std::get_if<std::string>(&node.value);
    if (text == nullptr) return wrong_type(k, node);
    if (text->empty()) return complain(node.at, k.name, "is empty", allowed_by(k));
    if (text->find('\0') != std::string::npos) return complain(node.at, k.name, "holds a NUL", allowed_by(k));
    return *text;
  }

  std::optional<std::string> read_path(const key& k, const tree_node& node) {
    std::optional<std::string> text = read_text(k, node);
    return text ? std::optional(absolute_path(*text, context_.directory)) : std::nullopt;
  }

  template <class Parse, class Format>
  std::optional<std::uint64_t> read_quantity(const key& k, const tree_node& node, Parse parse, const char* spelling,
                                             Format format) {
    const auto* text = std::get_if<std::string>(&node.value);
    if (text == nullptr) {
      const bool bare = std::holds_alternative<std::int64_t>(node.value);
      return complain(node.at, k.name, bare ? "is a number without a unit" : "is " + describe(node), spelling);
    }
    const std::optional<std::uint64_t> v = parse(*text);
    if (!v) return complain(node.at, k.name, "\"" + *text + "\" cannot be understood", spelling);
    if (*v < k.minimum || *v > k.maximum)
      return complain(node.at, k.name, format(*v) + " is out of bounds", allowed_by(k));
    return v;
  }

  std::optional<std::uint64_t> read_number(const key& k, const tree_node& node, const std::string& name) {
    const auto* number = std::get_if<std::int64_t>(&node.value);
    if (number == nullptr) return complain(node.at, name, "is " + describe(node), allowed_by(k));
    if (*number < 0 || static_cast<std::uint64_t>(*number) < k.minimum ||
        static_cast<std::uint64_t>(*number) > k.maximum)
      return complain(node.at, name, std::to_string(*number) + " is out of bounds", allowed_by(k));
    return static_cast<std::uint64_t>(*number);
  }

  std::optional<bool> read_flag(const key& k, const tree_node& node) {
    const bool* flag = std::get_if<bool>(&node.value);
    if (flag == nullptr) return wrong_type(k, node);
    return *flag;
  }

  std::optional<std::string> read_choice(const key& k, const tree_node& node) {
    // Where the choices are numbers, the file holds a number too.
    const bool numeric = !k.choices.empty() && k.choices.find_first_not_of("0123456789|") == std::string::npos;
    const auto* number = std::get_if<std::int64_t>(&node.value);
    const auto* text = std::get_if<std::string>(&node.value);
    if (numeric ? number == nullptr : text == nullptr) return wrong_type(k, node);
    const std::string v = numeric ? std::to_string(*number) : *text;
    if (is_choice(k, v)) return v;
    return complain(node.at, k.name,
                    numeric ? v + " is not a choice" : "\"" + v + "\" is not a choice" + did_you_mean(v, choices_of(k)),
                    allowed_by(k));
  }

  static bool is_choice(const key& k, std::string_view word) {
    for (std::string_view rest = k.choices; !k.choices.empty();) {
      const std::size_t bar = rest.find('|');
      if (rest.substr(0, bar) == word) return true;
      if (bar == rest.npos) return false;
      rest.remove_prefix(bar + 1);
    }
    return false;
  }

  std::optional<std::string> read_endpoint(const std::string& name, const std::string& allowed, const tree_node& node) {
    const auto* text = std::get_if<std::string>(&node.value);
    if (text == nullptr) return complain(node.at, name, "is " + describe(node), allowed);
    const std::optional<listen_address> address = parse_listen_address(*text);
    if (!address) return complain(node.at, name, "\"" + *text + "\" is no address to listen on", listen_spelling);
    return address->to_string();
  }

  std::optional<std::string> read_host(const std::string& name, const tree_node& node) {
    const auto* text = std::get_if<std::string>(&node.value);
    if (text && is_host_and_port(*text)) return *text;
    return complain(node.at, name, text ? "\"" + *text + "\" names no host with a port" : "is " + describe(node),
                    "HOST:PORT, as in \"gw.example.com:3260\"");
  }

  template <class ReadOne>
  std::optional<std::vector<std::string>> read_list(const key& k, const tree_node& node, ReadOne read_one) {
    const auto* list = std::get_if<std::vector<tree_node>>(&node.value);
    if (list == nullptr) return wrong_type(k, node);
    if (list->empty()) return complain(node.at, k.name, "is empty", allowed_by(k));
    std::vector<std::string> out;
    for (std::size_t i = 0; i < list->size(); ++i)
      if (auto one = read_one(k.name + "[" + std::to_string(i) + "]", (*list)[i])) out.push_back(std::move(*one));
    return out;
  }
  std::optional<std::vector<std::string>> read_endpoints(const key& k, const tree_node& node) {
    return read_list(k, node, [this](const std::string& name, const tree_node& one) {
      return read_endpoint(name, listen_spelling, one);
    });
  }
  std::optional<std::vector<std::string>> read_hosts(const key& k, const tree_node& node) {
    return read_list(k, node, [this](const std::string& name, const tree_node& one) { return read_host(name, one); });
  }

  std::optional<values::value> read_numbers(const key& k, const tree_node& node) {
    const auto* list = std::get_if<std::vector<tree_node>>(&node.value);
    if (list == nullptr) {
      key count = k;
      count.minimum = 1;
      const auto one = read_number(count, node, k.name);
      return one ? std::optional<values::value>(*one) : std::nullopt;
    }
    if (list->empty()) return complain(node.at, k.name, "is empty", allowed_by(k));
    std::vector<std::string> out;
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string name = k.name + "[" + std::to_string(i) + "]";
      const auto one = read_number(k, (*list)[i], name);
      if (!one) continue;
      if (std::find(out.begin(), out.end(), std::to_string(*one)) != out.end())
        complain((*list)[i].at, name, std::to_string(*one) + " stands there twice", allowed_by(k));
      out.push_back(std::to_string(*one));
    }
    return out;
  }

  std::optional<std::vector<std::string>> read_ranges(const key& k, const tree_node& node) {
    const auto* list = std::get_if<std::vector<tree_node>>(&node.value);
    if (list == nullptr) return wrong_type(k, node);
    if (list->size() > k.maximum)
      return complain(node.at, k.name, "has " + std::to_string(list->size()) + " ranges", allowed_by(k));
    std::vector<std::string> out;
    for (std::size_t i = 0; i < list->size(); ++i) {
      const tree_node& one = (*list)[i];
      const std::string name = k.name + "[" + std::to_string(i) + "]";
      const auto* text = std::get_if<std::string>(&one.value);
      const auto range = text ? parse_range(*text) : std::nullopt;
      if (range)
        out.push_back(format_range(*range));
      else
        complain(one.at, name, text ? "\"" + *text + "\" cannot be understood" : "is " + describe(one), range_spelling);
    }
    return out;
  }

  std::nullopt_t complain(place at, const std::string& name, std::string problem, std::string allowed) {
    context_.wrong.push_back({at, path_.empty() ? name : path_ + "." + name, std::move(problem), std::move(allowed)});
    return std::nullopt;
  }

  bool seen(const std::string& name) const { return std::find(seen_.begin(), seen_.end(), name) != seen_.end(); }

  read_context& context_;
  const std::vector<key>& keys_;
  std::string path_;
  const std::vector<std::string>& let_pass_;
  std::vector<std::string> seen_;
  values out_;
};

}  // namespace

values read_keys(read_context& context, const tree_table& table, const std::vector<key>& keys, const std::string& path,
                 place at, const std::vector<std::string>& let_pass) {
  return table_reader(context, keys, path, let_pass).run(table, at);
}

const tree_node* find_entry(const tree_table& table, const std::string& name) {
  for (const tree_entry& entry : table.entries)
    if (entry.name == name) return &entry.value;
  return nullptr;
}

const tree_table* expect_table(read_context& context, const tree_node& node, const std::string& path,
                               const std::string& allowed) {
  const auto* table = std::get_if<tree_table>(&node.value);
  if (table == nullptr) context.wrong.push_back({node.at, path, "is " + describe(node), allowed});
  return table;
}

std::string describe(const tree_node& node) {
  static const char* const words[] = {"a date or time", "text",   "a whole number", "a fraction",
                                      "a flag",         "a list", "a table"};
  return words[node.value.index()];
}

std::string absolute_path(const std::string& path, const std::string& directory) {
  // As it is already, if no part is empty or may be "." or "..": of thousands of paths, as good as all.
  const bool is_plain = path.starts_with('/') && path.find("//") == path.npos && path.find("/.") == path.npos;
  if (is_plain) return path;
  return (std::filesystem::path(directory) / path).lexically_normal().string();
}

std::string quoted_if_needed(const std::string& name) {
  const bool bare = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? name : "\"" + name + "\"";
}

}  // namespace sluice::config
