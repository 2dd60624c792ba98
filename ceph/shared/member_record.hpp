#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "actors/base/global_id.hpp"
#include "actors/base/result.hpp"

namespace sluice::shared {

/// One life of one gateway, as it says of itself: from its start, or from the moment in which it joined again.
struct member_record {
  static constexpr std::size_t max_addresses = 64;

  gateway_id id = 0;
  std::uint64_t life = 0;              // drawn at random
  std::uint64_t renewed = 0;           // how often; others see by it that the gateway lives
  bool gone = false;                   // another gateway has said so; it is fenced by its addresses
  std::vector<std::string> addresses;  // of its connections to the cluster, as a blocklist names them
  /// Where it takes links of other gateways, "127.0.0.1:3290", and what they have to know; empty: nowhere.
  std::string link = {}, link_secret = {};
  bool operator==(const member_record&) const = default;
};

std::string text_of(const member_record& member);
/// Total: errc::corrupt for anything that text_of() does not make.
result<member_record> parse_member(std::string_view text);

/// Where one gateway sits at a unit: which life, and the number of its stay (agreement::join).
struct seat_record {
  std::uint64_t life = 0, incarnation = 0;
  bool operator==(const seat_record&) const = default;
};
std::string text_of(const seat_record& seat);
result<seat_record> parse_seat(std::string_view text);

/// What a gateway says when it obeys an epoch, and when it asks others to.
struct obedience {
  gateway_id id = 0;
  std::uint64_t incarnation = 0, epoch = 0;
  bool operator==(const obedience&) const = default;
};
std::string text_of(const obedience& said);
result<obedience> parse_obedience(std::string_view text);

}  // namespace sluice::shared
