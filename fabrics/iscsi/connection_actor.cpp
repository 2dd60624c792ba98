#include "fabrics/iscsi/connection_actor.hpp"

#include <caf/all.hpp>

#include "actors/runtime/pinned.hpp"

namespace sluice::iscsi {

namespace {

/// Notes to a connection: the task events as they are, then these.
enum message_kind : std::uint32_t { manage_message = 0x100, ended_message };

class connection_actor final : public runtime::pinned<caf::event_based_actor>, port::task_endpoint {
 public:
  /// Takes the connection over; `ended` is called when it has ended.
  connection_actor(caf::actor_config& config, connection* of, std::function<void()> ended)
      : pinned(config), connection_(of) {
    // The end comes from the loop, outside this actor's turn, where quit() would go unheard: it sends itself a note.
    connection_->move_to(*this, [this, ended = std::move(ended)] {
      ended();
      send_message(nullptr, ended_message);
    });
  }
  const char* name() const override { return "iscsi-connection"; }
  caf::behavior make_behavior() override {
    alive_ = ctrl();
    return {[](caf::unit_t) {}};  // it gets nothing but notes
  }
  void on_exit() override {
    connection_.reset();
    alive_ = nullptr;
  }

 private:
  void post(port::task& subject, port::task_event event) noexcept override {
    send_message(&subject, static_cast<std::uint32_t>(event));
  }
  void post(port::task_management& request) noexcept override { send_message(&request, manage_message); }

  void on_message(void* subject, std::uint32_t kind) override {
    switch (kind) {
      case manage_message:
        connection_->on_manage(*static_cast<port::task_management*>(subject));
        return;
      case ended_message:
        quit();
        return;
      default:
        connection_->on_task(*static_cast<port::task*>(subject), static_cast<port::task_event>(kind));
    }
  }

  std::unique_ptr<connection> connection_;
  caf::strong_actor_ptr alive_;  // nobody else keeps it
};

}  // namespace

core_connections::session_owner connection_actors(runtime::core& on) {
  return [&on](std::unique_ptr<connection> of, std::function<void()> ended) {
    runtime::spawn_on<connection_actor>(on, of.release(), std::move(ended));
  };
}

}  // namespace sluice::iscsi
