#pragma once
#include <cstdint>
#include <string_view>

#include "actors/base/bytes.hpp"
#include "actors/wire/big_endian.hpp"

/// Records of our own, such as gateways send each other or keep: big-endian integers one after the other, and texts
/// with their length in two octets before them.
namespace sluice::wire {

/// Appends to a std::string, or a vector of octets, which outlives it.
template <class Container>
class byte_writer {
 public:
  explicit byte_writer(Container& into) : into_(into) {}
  template <unsigned Octets>
  void put(std::uint64_t value) {
    const std::size_t at = into_.size();
    into_.resize(at + Octets);
    store<Octets>({reinterpret_cast<std::uint8_t*>(into_.data()) + at, Octets}, 0, value);
  }
  /// At most 65535 octets.
  void put_text(const_bytes text) {
    SLUICE_CHECK(text.size() <= UINT16_MAX);
    put<2>(text.size());
    into_.insert(into_.end(), text.begin(), text.end());
  }
  void put_text(std::string_view text) { put_text(as_bytes(text)); }

 private:
  Container& into_;
};

/// Reads such a record, which outlives it. After the first thing that is not there, or is refused, all is 0 and empty.
class byte_reader {
 public:
  explicit byte_reader(const_bytes from) : rest_(from) {}
  bool good() const { return good_; }
  /// All was there, and nothing else is.
  bool ends_well() const { return good_ && rest_.empty(); }
  std::size_t left() const { return rest_.size(); }
  void refuse() {
    good_ = false;
    rest_ = {};
  }

  const_bytes take_bytes(std::size_t count) {
    if (rest_.size() < count) refuse();
    const const_bytes taken = rest_.first(good_ ? count : 0);
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  template <unsigned Octets>
  std::uint64_t take() {
    const const_bytes taken = take_bytes(Octets);
    return good_ ? load<Octets>(taken, 0) : 0;
  }
  const_bytes take_text() { return take_bytes(take<2>()); }
  /// One octet: less than `limit`, or it is refused.
  template <class Enumeration>
  Enumeration take_one_of(unsigned limit) {
    const std::uint64_t value = take<1>();
    if (value >= limit) refuse();
    return static_cast<Enumeration>(good_ ? value : 0);
  }
  bool take_flag() { return take_one_of<std::uint8_t>(2) != 0; }

 private:
  const_bytes rest_;
  bool good_ = true;
};

}  // namespace sluice::wire
