#pragma once
#include <cstdint>
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
  bool has(const std::string& name) const { return find(name) != nullptr; }
  void set(const std::string& name, value v, place at = {});
  void erase(const std::string& name);
  /// Where the key stands; `otherwise` when it is absent.
  place where(const std::string& name, place otherwise = {}) const {
    const row* found = find(name);
    return found ? found->at : otherwise;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const row& each : rows_) out.push_back(each.name);
    return out;
  }
  /// Calls `each(name, text)` for texts, paths, choices and names of stores.
  template <class F>
  void for_each_text(F each) const {
    for (const row& here : rows_)
      if (const auto* text_here = std::get_if<std::string>(&here.is)) each(here.name, *text_here);
  }
  /// Keys whose values differ between the two, sorted.
  std::vector<std::string> differing(const values& other) const;
  bool operator==(const values& other) const { return rows_ == other.rows_; }

 private:
  struct row {
    std::string name;
    value is;
    place at;
    bool operator==(const row&) const = default;
  };
  const row* find(const std::string& name) const;
  template <class T>
  const T* get(const std::string& name) const {
    const row* found = find(name);
    return found ? std::get_if<T>(&found->is) : nullptr;
  }
  // Sorted by name. A gateway has thousands of stores, each with a few keys: all of one lie together.
  std::vector<row> rows_;
};

}  // namespace sluice::config
