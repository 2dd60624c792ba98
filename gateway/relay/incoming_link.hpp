#pragma once
#include <deque>
#include <list>
#include <memory>
#include <unordered_map>

#include "gateway/relay/attachments.hpp"
#include "gateway/relay/frame_stream.hpp"

namespace sluice::relay {

/// The records of commands that came from other gateways, of one core. They outlive the links, for a note to a unit may
/// still name one that has ended.
struct served_command;
class served_pool {
 public:
  served_pool();
  ~served_pool();
  served_command& take();
  void give(served_command& done);

 private:
  std::deque<served_command> all_;
  std::vector<served_command*> free_;
};

/// A link of another gateway's core: brings its commands to units that this gateway owns. To the units it is a fabric.
class incoming_link final : frame_stream::user, port::task_endpoint {
 public:
  class host {
   public:
    /// The peer has said who it is: welcome() is to be called when nothing is left of its earlier links.
    virtual void on_greeting(incoming_link& link, gateway_id gateway, unsigned core) noexcept = 0;
    /// Nothing is left of it. Destroys it in a later turn, when it may_go().
    virtual void on_gone(incoming_link& link) noexcept = 0;

   protected:
    ~host() = default;
  };
  struct surroundings {
    reactor::loop& loop;
    relay::attachments& attachments;
    served_pool& pool;
    incoming_link::host& host;
  };

  incoming_link(surroundings around, std::uint64_t number, reactor::handle connection, const secret& shared);
  ~incoming_link();  // may_go()

  void welcome();
  void close(const std::string& why) { stream_.close(errc::closed, why); }
  /// on_gone() was called, and nothing of it is queued at the loop.
  bool may_go() const { return gone_ && !run_.queued_; }
  std::uint64_t number() const { return number_; }  // among all links of the gateway

 private:
  void on_secured() noexcept override {}
  result<bytes> on_frame(const header& h, const_bytes body) noexcept override;
  void on_payload(const header& h) noexcept override;
  void on_room() noexcept override;
  void on_broken(const error& why) noexcept override;
  void post(port::task& subject, port::task_event event) noexcept override;
  void post(port::task_management&) noexcept override {}

  result<void> greet(const_bytes body);
  result<void> attach(std::uint32_t number, const_bytes body);
  void detach_one(std::uint32_t number);
  result<bytes> begin(const header& h, const_bytes body);
  result<bytes> take_data(const header& h);
  void take_room(std::uint32_t number, std::uint32_t room);
  void end(std::uint32_t number);
  void run_events() noexcept;
  void handle(served_command& c, port::task_event event) noexcept;
  void want_data(served_command& c) noexcept;
  void send_data(served_command& c) noexcept;
  void complete(served_command& c) noexcept;
  void fail_transfer(served_command& c, port::transfer_end how) noexcept;
  void refuse(std::uint32_t number);
  void feed() noexcept;
  void settle() noexcept;
  void on_patience_over() noexcept { close("it has not said who it is"); }
  served_command* find(std::uint32_t number) const;

  /// Memory may have come free.
  class hunger final : public memory::waiter {
   public:
    explicit hunger(incoming_link& owner) : owner_(owner) {}
    void on_memory() noexcept override { owner_.loop_.defer(owner_.run_); }

   private:
    incoming_link& owner_;
  };

  reactor::loop& loop_;
  relay::attachments& all_attachments_;
  served_pool& pool_;
  incoming_link::host& host_;
  const std::uint64_t number_;
  bool greeted_ = false, welcome_ = false, broken_ = false, gone_ = false;
  gateway_id gateway_ = 0;
  memory::share share_;
  std::unordered_map<std::uint32_t, attachments::attachment*> attachments_;
  std::unordered_map<std::uint32_t, served_command*> commands_;
  std::vector<std::pair<served_command*, port::task_event>> events_;
  std::deque<served_command*> blocked_;  // have something to say when there is room
  std::deque<served_command*> hungry_;   // want data, and have no memory for them
  served_command* receiving_ = nullptr;  // whose payload comes
  memory::slice place_;                  // where it goes
  hunger hunger_{*this};
  reactor::member_runnable<incoming_link, &incoming_link::run_events> run_{*this};
  reactor::member_timer<incoming_link, &incoming_link::on_patience_over> patience_{*this};
  frame_stream stream_;
};

}  // namespace sluice::relay
