#include "ceph/shared/member_record.hpp"

#include <charconv>
#include <optional>

namespace sluice::shared {
namespace {

/// Words with one space between them.
class words {
 public:
  explicit words(std::string_view text) : rest_(text) {}
  std::optional<std::string_view> next() {
    if (ended_) return std::nullopt;
    const std::size_t end = rest_.find(' ');
    const std::string_view word = rest_.substr(0, end);
    ended_ = end == std::string_view::npos;
    rest_.remove_prefix(ended_ ? rest_.size() : end + 1);
    return word;
  }
  template <class Number>
  bool number(Number& into) {
    const auto word = next();
    if (!word || (word->size() > 1 && word->front() == '0')) return false;
    const auto [end, problem] = std::from_chars(word->data(), word->data() + word->size(), into);
    return problem == std::errc() && end == word->data() + word->size();
  }
  bool ended() const { return ended_; }

 private:
  std::string_view rest_;
  bool ended_ = false;
};

tl::unexpected<error> damaged(const char* what) {
  return fail(errc::corrupt, std::string("the ") + what + " in the cluster's object is damaged, or of a newer version");
}

/// In front of the addresses: @WHERE/SECRET.
constexpr char link_mark = '@';

/// As librados writes addresses: no space, nothing that is not printed.
bool is_address(std::string_view text) {
  if (text.empty() || text.size() > 256) return false;
  for (const char c : text)
    if (c <= ' ' || c > '~') return false;
  return true;
}

}  // namespace

std::string text_of(const member_record& member) {
  std::string text = member.gone ? "gone " : "lives ";
  text += std::to_string(member.id) + " " + std::to_string(member.life) + " " + std::to_string(member.renewed);
  if (!member.link.empty()) text += std::string(" ") + link_mark + member.link + "/" + member.link_secret;
  for (const std::string& address : member.addresses) text += " " + address;
  return text;
}

result<member_record> parse_member(std::string_view text) {
  words all(text);
  member_record found;
  const auto state = all.next();
  if (state != "gone" && state != "lives") return damaged("record of a gateway");
  found.gone = state == "gone";
  if (!all.number(found.id) || !all.number(found.life) || !all.number(found.renewed))
    return damaged("record of a gateway");
  while (const auto address = all.next()) {
    const std::size_t slash = address->find('/');
    if (!address->empty() && address->front() == link_mark) {
      if (!is_address(*address) || slash == std::string_view::npos || slash < 2 || !found.link.empty() ||
          !found.addresses.empty())
        return damaged("record of a gateway");
      found.link = address->substr(1, slash - 1);
      found.link_secret = address->substr(slash + 1);
      continue;
    }
    if (!is_address(*address) || found.addresses.size() == member_record::max_addresses)
      return damaged("record of a gateway");
    found.addresses.emplace_back(*address);
  }
  return found;
}

std::string text_of(const seat_record& seat) {
  return std::to_string(seat.life) + " " + std::to_string(seat.incarnation);
}

result<seat_record> parse_seat(std::string_view text) {
  words all(text);
  seat_record found;
  if (!all.number(found.life) || !all.number(found.incarnation) || !all.ended()) return damaged("record of a seat");
  return found;
}

std::string text_of(const obedience& said) {
  return std::to_string(said.id) + " " + std::to_string(said.incarnation) + " " + std::to_string(said.epoch);
}

result<obedience> parse_obedience(std::string_view text) {
  words all(text);
  obedience found;
  if (!all.number(found.id) || !all.number(found.incarnation) || !all.number(found.epoch) || !all.ended())
    return damaged("note of a gateway");
  return found;
}

}  // namespace sluice::shared
