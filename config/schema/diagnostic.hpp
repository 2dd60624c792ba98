#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::config {

/// Where something stands in the file, both from 1; 0 when it does not come from a file. Two places always compare
/// equal, so that models compare by meaning and a reordered file is the same configuration.
struct place {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  bool is_shared = false;  // in the text that the gateways of a cluster share; else in the gateway's own file
  bool operator==(const place&) const { return true; }
  bool before(const place& other) const {
    if (is_shared != other.is_shared) return other.is_shared;
    return line != other.line ? line < other.line : column < other.column;
  }
};

/// One thing that is wrong with a file.
struct diagnostic {
  place at;
  std::string key;      // "store.scratch.size"
  std::string problem;  // "lacks a unit"
  std::string allowed;  // "a whole number with B, KiB, MiB, GiB or TiB"
};

using diagnostics = std::vector<diagnostic>;

/// FILE:LINE:COLUMN: KEY: what is wrong; what is allowed. The last part only when there is something to say.
std::string format(const diagnostic& d, const std::string& file);
/// One line each, in the order of the file, without a newline at the end.
std::string format(const diagnostics& all, const std::string& file);
/// Sorts by place; equal places keep their order.
void sort_by_place(diagnostics& all);

/// The candidate that `word` is most likely a misspelling of; empty when none is close.
std::string closest(const std::string& word, const std::vector<std::string>& candidates);

/// `, did you mean "x"?` with what closest() finds; empty when that is nothing. `quote` stands around the word.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates,
                         const std::string& quote = "\"");

/// "a, b or c"; of many, the first and how many more there are.
std::string one_of(const std::vector<std::string>& words);

}  // namespace sluice::config
