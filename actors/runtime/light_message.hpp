#pragma once
#include <array>
#include <caf/all.hpp>
#include <cstdint>

namespace sluice::runtime {

/// The payload of a data-path message: a pointer to an object whose ownership the message passes on, and what is said
/// about it. The receiver's class knows the type behind `subject`.
struct light_message {
  void* subject;
  std::uint32_t kind;
};

}  // namespace sluice::runtime

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::runtime::light_message)

namespace sluice::runtime {

/// A mailbox element of one note or several, which follow each other: what a mailbox costs is shared by all of them. It
/// comes from, and returns to, a free list of its thread: no allocation once warm.
class message_element final : public caf::mailbox_element,
                              public caf::detail::tuple_vals_impl<caf::type_erased_tuple, light_message> {
 public:
  /// More would save little, and an actor's turn is counted in elements.
  static constexpr unsigned capacity = 8;

  message_element() : caf::detail::tuple_vals_impl<caf::type_erased_tuple, light_message>(light_message{nullptr, 0}) {}

  static caf::mailbox_element_ptr make(light_message content);

  /// Behind the notes that are there. False: it is full.
  bool add(light_message content) noexcept {
    if (count_ == capacity) return false;
    rest_[count_++ - 1] = content;
    return true;
  }
  unsigned count() const noexcept { return count_; }
  /// In the order in which they were said.
  const light_message& at(unsigned which) const noexcept { return which == 0 ? std::get<0>(data()) : rest_[which - 1]; }

  caf::type_erased_tuple& content() override { return *this; }
  const caf::type_erased_tuple& content() const override { return *this; }
  caf::message move_content_to_message() override { return caf::make_message(at(0)); }
  caf::message copy_content_to_message() const override { return caf::make_message(at(0)); }
  /// CAF is done with the element.
  void request_deletion(bool decremented) const noexcept override;

 private:
  friend struct message_pool;
  message_element* next_free_ = nullptr;
  unsigned count_ = 1;
  std::array<light_message, capacity - 1> rest_;
};

}  // namespace sluice::runtime
