#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "config/schema/diagnostic.hpp"
#include "config/schema/keys.hpp"

namespace sluice::config {

/// The settings of one table, by key. Comparable: places don't count.
class values : public settings {
 public:
  using value = std::variant<std::string, std::uint64_t, bool, std::vector<std::string>>;

  const std::string* text(const std::string& name) const override { return get<std::string>(name); }
  std::uint64_t number(const std::string& name, std::uint64_t otherwise) const override {
    const auto* v = get<std::uint64_t>(name);
    return v ? *v : otherwise;
  }
  bool flag(const std::string& name, bool otherwise) const override {
    const auto* v = get<bool>(name);
    return v ? *v : otherwise;
  }
  std::vector<std::string> list(const std::string& name) const override {
    const auto* v = get<std::vector<std::string>>(name);
    return v ? *v : std::vector<std::string>{};
  }

  std::string text_or(const std::string& name, const std::string& otherwise) const {
    const std::string* v = text(name);
    return v ? *v : otherwise;
  }
  bool has(const std::string& name) const { return rows_.contains(name); }
  void set(const std::string& name, value v, place at = {}) { rows_[name] = {std::move(v), at}; }
  void erase(const std::string& name) { rows_.erase(name); }
  /// Where the key stands; `otherwise` when it is absent.
  place where(const std::string& name, place otherwise = {}) const {
    const auto found = rows_.find(name);
    return found == rows_.end() ? otherwise : found->second.at;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, here] : rows_) out.push_back(name);
    return out;
  }
  /// Keys whose values differ between the two, sorted.
  std::vector<std::string> differing(const values& other) const;
  bool operator==(const values& other) const { return rows_ == other.rows_; }

 private:
  struct row {
    value is;
    place at;
    bool operator==(const row&) const = default;
  };
  template <class T>
  const T* get(const std::string& name) const {
    const auto found = rows_.find(name);
    return found == rows_.end() ? nullptr : std::get_if<T>(&found->second.is);
  }
  std::map<std::string, row> rows_;
};

}  // namespace sluice::config
