#include "config/cli/line_diff.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace sluice::config {

namespace {

using lines = std::vector<std::string_view>;

/// With their newlines; the last may have none.
lines split(std::string_view text) {
  lines all;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    all.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return all;
}

/// One line of what is to be printed: ' ' in both, '-' in the former only, '+' in the latter only.
struct edit {
  char what;
  std::string_view line;
};

/// The shortest way from `a` to `b`, by Myers ("An O(ND) Difference Algorithm and Its Variations", 1986): `furthest`
/// has, for each number of changes, how far in `a` each diagonal can be followed. Nothing when it is longer than
/// max_changes.
class shortest_way {
 public:
  static constexpr int max_changes = 2000;

  shortest_way(const lines& a, const lines& b)
      : a_(a), b_(b), width_(static_cast<int>(a.size())), height_(static_cast<int>(b.size())) {}

  std::optional<std::vector<edit>> find() {
    std::vector<int> furthest(2 * max_changes + 3, 0);
    for (int changes = 0; changes <= max_changes; ++changes) {
      for (int diagonal = -changes; diagonal <= changes; diagonal += 2) {
        int x =
            comes_from_above(furthest, changes, diagonal) ? at(furthest, diagonal + 1) : at(furthest, diagonal - 1) + 1;
        while (x < width_ && x - diagonal < height_ && same(x, x - diagonal)) ++x;
        at(furthest, diagonal) = x;
        if (x >= width_ && x - diagonal >= height_) return walk_back(changes);
      }
      steps_.emplace_back(furthest.begin() + middle - changes, furthest.begin() + middle + changes + 1);
    }
    return std::nullopt;
  }

 private:
  static constexpr int middle = max_changes + 1;
  static int& at(std::vector<int>& furthest, int diagonal) {
    return furthest[static_cast<std::size_t>(middle + diagonal)];
  }
  bool same(int x, int y) const { return a_[static_cast<std::size_t>(x)] == b_[static_cast<std::size_t>(y)]; }
  static bool comes_from_above(std::vector<int>& furthest, int changes, int diagonal) {
    return diagonal == -changes || (diagonal != changes && at(furthest, diagonal - 1) < at(furthest, diagonal + 1));
  }
  /// How far a diagonal went with so many changes.
  int went(int changes, int diagonal) const {
    return steps_[static_cast<std::size_t>(changes)][static_cast<std::size_t>(diagonal + changes)];
  }

  std::vector<edit> walk_back(int changes) const {
    std::vector<edit> way;
    int x = width_, y = height_;
    for (; changes > 0; --changes) {
      const int diagonal = x - y, before = changes - 1;
      const bool above =
          diagonal == -changes || (diagonal != changes && reach(before, diagonal - 1) < reach(before, diagonal + 1));
      const int from = above ? diagonal + 1 : diagonal - 1;
      const int from_x = went(before, from), from_y = from_x - from;
      follow(way, x, y, above ? from_x : from_x + 1, above ? from_y + 1 : from_y);
      way.push_back(above ? edit{'+', b_[static_cast<std::size_t>(from_y)]}
                          : edit{'-', a_[static_cast<std::size_t>(from_x)]});
      x = from_x;
      y = from_y;
    }
    follow(way, x, y, 0, 0);
    std::reverse(way.begin(), way.end());
    return way;
  }
  /// As `went`, for diagonals that so many changes do not reach as well.
  int reach(int changes, int diagonal) const {
    return diagonal < -changes || diagonal > changes ? -1 : went(changes, diagonal);
  }
  void follow(std::vector<edit>& way, int x, int y, int to_x, int to_y) const {
    for (; x > to_x && y > to_y; --x, --y) way.push_back({' ', a_[static_cast<std::size_t>(x - 1)]});
  }

  const lines &a_, &b_;
  const int width_, height_;
  std::vector<std::vector<int>> steps_;
};

std::vector<edit> edits_of(const lines& a, const lines& b) {
  const auto [end_a, end_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  const auto head = end_a - a.begin();
  const auto room = std::min(a.size(), b.size()) - static_cast<std::size_t>(head);
  std::size_t tail = 0;
  while (tail < room && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  const lines inner_a(end_a, a.end() - static_cast<std::ptrdiff_t>(tail));
  const lines inner_b(end_b, b.end() - static_cast<std::ptrdiff_t>(tail));
  std::vector<edit> all;
  for (auto line = a.begin(); line != end_a; ++line) all.push_back({' ', *line});
  if (const auto way = shortest_way(inner_a, inner_b).find()) {
    all.insert(all.end(), way->begin(), way->end());
  } else {
    for (const std::string_view line : inner_a) all.push_back({'-', line});
    for (const std::string_view line : inner_b) all.push_back({'+', line});
  }
  for (std::size_t i = a.size() - tail; i < a.size(); ++i) all.push_back({' ', a[i]});
  return all;
}

/// "12,3" as a hunk's head has it: the first line, and how many. With none, the line before.
std::string range(std::size_t before, std::size_t count) {
  const std::string first = std::to_string(count == 0 ? before : before + 1);
  return count == 1 ? first : first + "," + std::to_string(count);
}

}  // namespace

std::string unified_diff(std::string_view before, std::string_view after, const std::string& name_before,
                         const std::string& name_after) {
  constexpr std::size_t context = 3;
  if (before == after) return {};
  const std::vector<edit> all = edits_of(split(before), split(after));
  std::string out = "--- " + name_before + "\n+++ " + name_after + "\n";
  std::size_t line_a = 0, line_b = 0;  // that are behind us
  for (std::size_t at = 0; at < all.size();) {
    const auto next = static_cast<std::size_t>(std::find_if(all.begin() + static_cast<std::ptrdiff_t>(at), all.end(),
                                                            [](const edit& each) { return each.what != ' '; }) -
                                               all.begin());
    if (next == all.size()) break;
    const std::size_t begin = std::max(at, next > context ? next - context : 0);
    line_a += begin - at;
    line_b += begin - at;
    std::size_t end = next;  // behind the last change that is near enough to the one before
    for (std::size_t i = next; i < all.size() && i <= end + 2 * context; ++i)
      if (all[i].what != ' ') end = i + 1;
    end = std::min(end + context, all.size());
    std::size_t count_a = 0, count_b = 0;
    std::string body;
    for (std::size_t i = begin; i < end; ++i) {
      count_a += all[i].what != '+';
      count_b += all[i].what != '-';
      (body += all[i].what) += all[i].line;
      if (!all[i].line.ends_with('\n')) body += "\n\\ No newline at end of file\n";
    }
    out += "@@ -" + range(line_a, count_a) + " +" + range(line_b, count_b) + " @@\n" + body;
    line_a += count_a;
    line_b += count_b;
    at = end;
  }
  return out;
}

}  // namespace sluice::config
