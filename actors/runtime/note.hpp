#pragma once
#include <caf/all.hpp>
#include <cstdint>

namespace sluice::runtime {

/// The payload of a data-path message: a pointer to an object whose ownership the message passes on, and what is said
/// about it. The receiver's class knows the type behind `subject`.
struct note {
  void* subject;
  std::uint32_t kind;
};

}  // namespace sluice::runtime

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::runtime::note)

namespace sluice::runtime {

/// A mailbox element that comes from, and returns to, a free list of its thread: no allocation once warm. Still an
/// ordinary CAF message for an actor that has a `[](note&)` handler.
class note_element final : public caf::mailbox_element,
                           public caf::detail::tuple_vals_impl<caf::type_erased_tuple, note> {
 public:
  note_element() : caf::detail::tuple_vals_impl<caf::type_erased_tuple, note>(note{nullptr, 0}) {}

  static caf::mailbox_element_ptr make(note content);

  const note& payload() const { return std::get<0>(data()); }

  caf::type_erased_tuple& content() override { return *this; }
  const caf::type_erased_tuple& content() const override { return *this; }
  caf::message move_content_to_message() override { return caf::make_message(payload()); }
  caf::message copy_content_to_message() const override { return caf::make_message(payload()); }
  /// CAF is done with the element.
  void request_deletion(bool decremented) const noexcept override;

 private:
  friend struct note_pool;
  note_element* next_free_ = nullptr;
};

}  // namespace sluice::runtime
