#include "tiers/store/descriptor.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "tiers/store/ownership_text.hpp"

namespace sluice::store {
namespace {

constexpr const char* ownership_attribute = "sluice";
constexpr const char* binding_attribute = "sluice.flash";
constexpr const char* size_attribute = "sluice.size";

}  // namespace

status status_of_errno(int error_number) noexcept {
  switch (error_number) {
    case 0:
      return status::good;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return status::no_space;
    case EROFS:
    case EPERM:
    case EACCES:
      return status::write_protected;
    case ENODEV:
    case ENXIO:
    case ENOENT:
    case ESTALE:
    case ESHUTDOWN:
      return status::gone;
    case ETIMEDOUT:
      return status::timeout;
    case ECANCELED:
      return status::aborted;
    default:
      return status::medium_error;
  }
}

void descriptor::set_size(std::uint64_t size_bytes) {
  if (size_bytes > reach_.load()) reach_.store(size_bytes, std::memory_order_release);
  size_.store(size_bytes, std::memory_order_release);
  condition->set_size(size_bytes);
}

result<void> descriptor::resize(std::uint64_t size_bytes) {
  const std::uint64_t before = size();
  // A file that is shorter than it is said to be was cut by somebody else.
  if (size_bytes < before) set_size(size_bytes);
  if (auto done = control_loop_.resize_file(handle, size_bytes); !done) {
    set_size(before);
    return done;
  }
  set_size(size_bytes);
  condition->was_resized();
  note_size();
  return {};
}

std::uint64_t descriptor::noted_size() {
  const auto text = control_loop_.attribute_of(handle, size_attribute);
  return text ? binding_of(*text) : 0;
}

/// What cannot be noted is not told of when it is cut short while nobody serves it.
void descriptor::note_size() {
  if (noted_size() != size())
    static_cast<void>(control_loop_.set_attribute(handle, size_attribute, text_of_binding(size())));
}

result<std::uint64_t> descriptor::give_up_lost() {
  if (condition->cut() != medium_condition::whole) {
    // Whatever was written behind the end since then stays: what was missing is a hole.
    const std::uint64_t lost = condition->forget_losses();
    if (auto done = resize(size()); !done) return tl::unexpected(done.error());
    return lost;
  }
  return condition->forget_losses();
}

result<ownership> descriptor::read_ownership() {
  const auto text = control_loop_.attribute_of(handle, ownership_attribute);
  if (!text) return tl::unexpected(text.error());
  return ownership_of(*text, "the attribute user.sluice of the file");
}

result<void> descriptor::write_ownership(const ownership& wanted) {
  return control_loop_.set_attribute(handle, ownership_attribute, text_of(wanted));
}

result<std::uint64_t> descriptor::read_binding() {
  const auto text = control_loop_.attribute_of(handle, binding_attribute);
  if (!text) return tl::unexpected(text.error());
  const std::size_t flash_ends = std::min(text->find(' '), text->size());
  const std::string_view whose = std::string_view(*text).substr(std::min(flash_ends + 1, text->size()));
  if (identity_ != 0 && !whose.empty() && binding_of(whose) != identity_) return 0;
  return binding_of(std::string_view(*text).substr(0, flash_ends));
}

result<void> descriptor::write_binding(std::uint64_t flash) {
  std::string text = text_of_binding(flash);
  if (identity_ != 0) text += " " + text_of_binding(identity_);
  return control_loop_.set_attribute(handle, binding_attribute, text);
}

bool descriptor::look_again() {
  const auto now = control_loop_.info(handle);
  if (!now || now->size_bytes == size()) return false;
  set_size(now->size_bytes);
  return true;
}

}  // namespace sluice::store
