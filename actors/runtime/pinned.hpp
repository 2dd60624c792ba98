#pragma once
#include <atomic>
#include <caf/all.hpp>
#include <caf/detail/sync_request_bouncer.hpp>

#include "actors/base/check.hpp"
#include "actors/runtime/core.hpp"
#include "actors/runtime/light_message.hpp"
#include "actors/runtime/pinned_ref.hpp"
#include "actors/runtime/schedulable.hpp"

// Everything below leans on hooks that CAF changed in 0.18.
static_assert(CAF_VERSION == 1706, "the runtime is written for CAF 0.17.6");

namespace sluice::runtime {

/// An actor that lives on one core's event loop and nowhere else. Base is caf::event_based_actor or a
/// typed_event_based_actor. Spawn with spawn_on<T>(core, …). Messages from the same loop cost no atomic operation;
/// notes (send_message) bypass CAF's matching and arrive at on_message(). Not for pinned actors: CAF streams, await,
/// delayed sends, and request time-outs on the data path.
template <class Base>
class pinned : public Base, public schedulable, public reactor::runnable {
 public:
  explicit pinned(caf::actor_config& config) : Base(config), wake_(*this) {}

  runtime::core& own_core() noexcept { return *own_core_; }
  /// Called by spawn_on, before anything else.
  void bind(runtime::core& own_core) noexcept { own_core_ = &own_core; }

  caf::resumable::subtype_t subtype() const override { return caf::resumable::io_actor; }

  void launch(caf::execution_unit*, bool lazy, bool hide) override {
    if (!hide) this->register_at_system();
    if (lazy && this->mailbox().try_block()) return;
    caf::intrusive_ptr_add_ref(this->ctrl());
    schedule();
  }

  using Base::enqueue;  // the overload with four arguments

  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit*) override {
    if (!own_core_->loop().runs_here()) {
      enqueue_from_afar(std::move(element));
      return;
    }
    if (this->mailbox_.closed()) {
      bounce(element->sender, element->mid);
      return;
    }
    open_ = nullptr;
    this->mailbox_.queue().push_back(element.release());
    if (queued_) return;
    caf::intrusive_ptr_add_ref(this->ctrl());
    own_core_->loop().defer(*this);
  }

  /// Data path, own core only: hands `subject` to this actor. Delivered in order with every other message of this core.
  void send_message(void* subject, std::uint32_t kind) noexcept {
    SLUICE_CHECK(own_core_->loop().runs_here());
    const bool stays = !this->mailbox_.closed();  // it lets go of all elements when it closes
    if (stays && open_ && open_->add({subject, kind})) return;
    caf::mailbox_element_ptr element = message_element::make({subject, kind});
    auto* const made = static_cast<message_element*>(element.get());
    enqueue(std::move(element), nullptr);
    open_ = stays ? made : nullptr;
  }

  void schedule() noexcept override {
    if (own_core_->loop().runs_here())
      schedule_on_core();
    else if (!waking_.exchange(true, std::memory_order_acq_rel))
      own_core_->loop().post(wake_);
    else
      caf::intrusive_ptr_release(this->ctrl());
  }

  caf::resumable::resume_result resume(caf::execution_unit* context, size_t max) override {
    if (!this->activate(context)) return caf::resumable::done;
    size_t handled = 0;
    typename Base::mailbox_visitor visitor{this, handled, max};
    while (handled < max) {
      if (!this->mailbox_.blocked()) this->mailbox_.fetch_more();  // taking from a blocked inbox is illegal
      if (!this->mailbox_.queue().new_round(64, visitor).consumed_items) {
        if (this->finalize()) return caf::resumable::done;
        if (this->mailbox_.queue().empty() && (this->mailbox_.blocked() || this->mailbox_.try_block()))
          return caf::resumable::awaiting_message;
        continue;
      }
      if (this->finalize()) return caf::resumable::done;
    }
    return caf::resumable::resume_later;
  }

 protected:
  ~pinned() override = default;

  /// A note arrived.
  virtual void on_message(void* subject, std::uint32_t kind) { (void)subject, (void)kind; }

  caf::invoke_message_result consume(caf::mailbox_element& element) override {
    if (typeid(element) == typeid(message_element)) {
      auto& light_messages = static_cast<message_element&>(element);
      if (open_ == &light_messages) open_ = nullptr;
      // What was said to an actor that has ended meanwhile is lost, as in elements of their own.
      for (unsigned i = 0; i < light_messages.count() && (i == 0 || this->alive()); ++i)
        on_message(light_messages.at(i).subject, light_messages.at(i).kind);
      return caf::invoke_message_result::consumed;
    }
    return Base::consume(element);
  }

 private:
  /// What the loop runs for wake-ups from other threads: one can be queued while the actor itself is, so it needs a
  /// node of its own.
  class wake_up final : public reactor::runnable {
   public:
    explicit wake_up(pinned& owner) : owner_(owner) {}
    void run() noexcept override {
      owner_.waking_.store(false, std::memory_order_release);
      owner_.schedule_on_core();
    }

   private:
    pinned& owner_;
  };

  void run() noexcept override {
    if (resume(&own_core_->unit(), 256) == caf::resumable::resume_later)
      own_core_->loop().defer(*this);
    else
      caf::intrusive_ptr_release(this->ctrl());
  }

  void schedule_on_core() noexcept {
    if (queued_)
      caf::intrusive_ptr_release(this->ctrl());
    else
      own_core_->loop().defer(*this);
  }

  void enqueue_from_afar(caf::mailbox_element_ptr element) {
    const caf::message_id id = element->mid;
    const caf::strong_actor_ptr whoever_asked = id.is_request() ? element->sender : nullptr;
    switch (this->mailbox_.push_back(std::move(element))) {
      case caf::intrusive::inbox_result::unblocked_reader:
        caf::intrusive_ptr_add_ref(this->ctrl());
        schedule();
        break;
      case caf::intrusive::inbox_result::queue_closed:
        bounce(whoever_asked, id);
        break;
      case caf::intrusive::inbox_result::success:
        break;
    }
  }

  void bounce(const caf::strong_actor_ptr& whoever_asked, const caf::message_id& id) {
    if (id.is_request()) caf::detail::sync_request_bouncer{this->fail_state()}(whoever_asked, id);
  }

  runtime::core* own_core_ = nullptr;
  message_element* open_ =
      nullptr;  // the newest element in the mailbox, when it is of light messages and waits: more go into it
  wake_up wake_;
  std::atomic<bool> waking_{false};
};

/// Any actor, of which no more is known than that it takes messages.
inline caf::actor as_actor(const caf::strong_actor_ptr& handle) {
  return caf::actor_cast<caf::actor>(handle);
}

/// Spawns an actor on a core, from any thread. Its constructor runs in the caller; what needs the loop belongs in
/// make_behavior(), which runs on its own core.
template <class Actor, class... Arguments>
pinned_ref<Actor> spawn_on(core& own_core, Arguments&&... arguments) {
  caf::actor_config config{&own_core.unit()};
  caf::actor_system& system = own_core.system();
  auto handle = caf::make_actor<Actor, caf::strong_actor_ptr>(system.next_actor_id(), system.node(), &system, config,
                                                              std::forward<Arguments>(arguments)...);
  auto* self = static_cast<Actor*>(caf::actor_cast<caf::abstract_actor*>(handle));
  self->bind(own_core);
  self->launch(&own_core.unit(), false, false);
  return {std::move(handle), self};
}

}  // namespace sluice::runtime
