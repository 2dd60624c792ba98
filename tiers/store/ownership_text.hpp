#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "tiers/store/store.hpp"

namespace sluice::store {

/// What a medium keeps of a mark, in a file's attribute or an object's: "EPOCH HOLDER".
std::string text_of(const ownership& shown);

/// The mark that such a text is; an empty text is that of a medium which nobody has marked yet. errc::corrupt when it
/// is none; `place` begins the sentence: "the attribute user.sluice of the file".
result<ownership> ownership_of(std::string_view text, const std::string& place);

/// What a medium keeps of its binding.
std::string text_of_binding(std::uint64_t flash);

/// 0 when it is no such text: then no flash is believed.
std::uint64_t binding_of(std::string_view text);

}  // namespace sluice::store
