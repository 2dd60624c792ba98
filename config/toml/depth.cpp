#include "config/toml/depth.hpp"

#include <cstdint>
#include <vector>

namespace sluice::config {

namespace {

class depth_scanner {
 public:
  explicit depth_scanner(std::string_view text) : text_(text) {}

  std::optional<place> run() {
    while (at_ < text_.size() && !found_ && !lost_) step();
    return found_;
  }

 private:
  enum class expecting : std::uint8_t { key, header, value };
  /// What a value is inside of.
  struct frame {
    bool array;
    unsigned depth;  // of what lies in it
  };

  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void advance() {
    const auto octet = static_cast<unsigned char>(text_[at_++]);
    if (octet == '\n') {
      ++here_.line;
      here_.column = 1;
    } else if ((octet & 0xc0) != 0x80) {  // columns are characters, not octets
      ++here_.column;
    }
  }

  void deeper(unsigned depth) {
    if (depth > max_depth && !found_) found_ = here_;
  }

  void step() {
    const char c = peek();
    if (c == '#') {
      while (at_ < text_.size() && peek() != '\n') advance();
      return;
    }
    if (c == '"' || c == '\'') return skip_string(c);
    if (c == '\n') {
      if (frames_.empty()) begin_line();
      return advance();
    }
    if (expecting_ == expecting::value)
      in_value(c);
    else
      in_key(c);
    advance();
  }

  void begin_line() {
    expecting_ = expecting::key;
    parts_ = 1;
    line_is_empty_ = true;
  }

  void in_key(char c) {
    if (c == ' ' || c == '\t' || c == '\r') return;
    if (c == '[' && frames_.empty() && line_is_empty_) {
      expecting_ = expecting::header;
      header_ = peek(1) == '[' ? 1 : 0;  // a table in an array
      if (header_ == 1) advance();
      line_is_empty_ = false;
      return;
    }
    line_is_empty_ = false;
    const unsigned container = expecting_ == expecting::header ? header_ : container_depth();
    if (c == '.') {
      deeper(container + ++parts_);
    } else if (c == ']' && expecting_ == expecting::header) {
      header_ += parts_;
      expecting_ = expecting::key;  // nothing more comes on this line but the second bracket
    } else if (c == '=' && expecting_ == expecting::key) {
      depth_ = container + parts_;
      deeper(depth_);
      expecting_ = expecting::value;
    } else if (c == '}' && !frames_.empty()) {
      close();
    } else if (c == '{' || c == '[') {
      lost_ = true;
    }
  }

  void in_value(char c) {
    if (c == '[') {
      frames_.push_back({true, ++depth_});
      deeper(depth_);
    } else if (c == '{') {
      frames_.push_back({false, depth_});
      expecting_ = expecting::key;
      parts_ = 1;
    } else if (c == ',' && !frames_.empty()) {
      after_comma();
    } else if (c == ']' || c == '}') {
      close();
    }
  }

  void after_comma() {
    depth_ = frames_.back().depth;
    if (frames_.back().array) return;
    expecting_ = expecting::key;
    parts_ = 1;
  }

  void close() {
    if (frames_.empty()) {
      lost_ = true;
      return;
    }
    frames_.pop_back();
    if (!frames_.empty()) depth_ = frames_.back().depth;
    expecting_ = expecting::value;  // up to the comma or the end of the line
  }

  unsigned container_depth() const { return frames_.empty() ? header_ : frames_.back().depth; }

  void skip_string(char quote) {
    line_is_empty_ = false;
    const bool lines = peek(1) == quote && peek(2) == quote;
    for (int i = lines ? 3 : 1; i > 0; --i) advance();
    while (at_ < text_.size()) {
      const char c = peek();
      if (!lines && c == '\n') return;  // no TOML
      if (c == '\\' && quote == '"') {
        advance();
        if (at_ < text_.size()) advance();
        continue;
      }
      const bool ends = c == quote && (!lines || (peek(1) == quote && peek(2) == quote));
      if (!ends) {
        advance();
        continue;
      }
      for (int i = lines ? 3 : 1; i > 0; --i) advance();
      while (lines && peek() == quote) advance();  // up to two quotes may end the text itself
      return;
    }
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  place here_{1, 1};
  expecting expecting_ = expecting::key;
  bool line_is_empty_ = true;
  unsigned parts_ = 1;   // of the key that is being read
  unsigned header_ = 0;  // depth of the table that the last header opened
  unsigned depth_ = 0;   // of the value that is being read
  std::vector<frame> frames_;
  std::optional<place> found_;
  bool lost_ = false;  // this is no TOML: the parser says so
};

}  // namespace

std::optional<place> too_deep(std::string_view text) {
  return depth_scanner(text).run();
}

}  // namespace sluice::config
