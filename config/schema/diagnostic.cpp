#include "config/schema/diagnostic.hpp"

#include <algorithm>

namespace sluice::config {

namespace {

/// Operator input may hold control characters; a terminal shall not obey them.
std::string printable(const std::string& text) {
  static const char* digits = "0123456789abcdef";
  std::string out;
  for (char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x20 && octet != 0x7f)
      out += c;
    else
      (out += "\\x") += {digits[octet >> 4], digits[octet & 0xf]};
  }
  return out;
}

/// Keys and names are told apart by capitals and by '-' and '_'; whoever errs there means the same word.
std::string plain(std::string word) {
  for (char& c : word) c = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return word;
}

/// Edits (insert, drop, replace, swap neighbours) from `a` to `b`.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> two_up, up(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) up[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({up[j] + 1, row[j - 1] + 1, up[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], two_up[j - 2] + 1);
    }
    two_up = up;
    up = row;
  }
  return up[b.size()];
}

}  // namespace

std::string format(const diagnostic& d, const std::string& file) {
  return file + ":" + std::to_string(d.at.line) + ":" + std::to_string(d.at.column) + ": " + printable(d.key) + ": " +
         printable(d.problem) + (d.allowed.empty() ? "" : "; " + printable(d.allowed));
}

std::string format(const diagnostics& all, const std::string& file) {
  std::string out;
  for (const diagnostic& d : all) {
    if (!out.empty()) out += '\n';
    out += format(d, file);
  }
  return out;
}

void sort_by_place(diagnostics& all) {
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.at.before(b.at); });
}

std::string closest(const std::string& word, const std::vector<std::string>& candidates) {
  constexpr std::size_t longest_word = 64;  // bounds the work on hostile input
  if (word.size() > longest_word) return {};
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::string found;
  const std::string wanted = plain(word);
  for (const std::string& candidate : candidates) {
    const std::size_t d = distance(wanted, plain(candidate));
    if (d < best) best = d, found = candidate;
  }
  return found;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates,
                         const std::string& quote) {
  const std::string meant = closest(word, candidates);
  return meant.empty() ? std::string() : ", did you mean " + quote + meant + quote + "?";
}

std::string one_of(const std::vector<std::string>& words) {
  constexpr std::size_t most = 100;  // more are no help to anybody
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i == most) return out + " or one of " + std::to_string(words.size() - most) + " more";
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

}  // namespace sluice::config
