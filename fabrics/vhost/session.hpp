#pragma once
#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fabrics/vhost/channel.hpp"
#include "fabrics/vhost/port_state.hpp"

namespace sluice::vhost {

/// A front end, QEMU for one, at a port: one I_T nexus with a channel on every core of the gateway, and the
/// queues of its device, which are spread over the cores. Its messages, the control queue and the event queue belong to
/// the port's core; everything here runs there, unless it says otherwise.
class session final : public std::enable_shared_from_this<session> {
 public:
  static constexpr unsigned control_queue = 0, event_queue = 1, first_request_queue = 2;

  session(port_state& at, reactor::handle connection);
  ~session();
  void begin();
  void end(port::loss_reason why);  // any thread

  // -- from a channel, on its core --
  void on_opened(unsigned channel, result<std::uint64_t> nexus_id);
  void on_event(const port::unit_event& what);
  void on_gone();
  /// The control queue has a request; on the port's core.
  void on_control(queue& from, chain& what);
  /// Tells the guest what it was not told for want of room; on the port's core.
  void send_events();

 private:
  enum class reply : std::uint8_t { done, failed, pending, told };  // told: it had a reply of its own
  struct slot {
    ring_setup setup;
    bool started = false;
  };

  void at(std::size_t core, std::function<void()> work);
  std::size_t core_of(unsigned queue_index) const;
  channel& own_channel() { return *channels_[port_.first_core]; }

  // The nexus (session.cpp).
  void nexus_opened(result<std::uint64_t> nexus_id);
  void joined(result<std::uint64_t> how);
  void begin_end(port::loss_reason why);
  void all_gone();

  // Messages (session_messages.cpp).
  void wait_for_message();
  void on_readable(std::int64_t result) noexcept;
  void receive();
  void handle_message();
  void answer(request what, bool wants_reply, reply how);
  void send(const std::vector<std::uint8_t>& octets, reactor::handle passed = reactor::no_handle);
  void violation(const std::string& why);
  reply dispatch();
  reply on_ring_message();
  reply set_features();
  reply set_memory_table();
  reply change_memory(bool add);
  reply put_memory(std::vector<guest_memory::region> regions);
  reply set_log();
  reply get_inflight();
  reply set_inflight();
  reply stop_ring(unsigned index);
  reply stop_all_rings();
  reply update(std::vector<unsigned> indices);
  void fill(unsigned index);
  std::vector<unsigned> started() const;
  shared_handle take_handle();
  result<guest_memory::region> map_region(const region_description& what, const shared_handle& from);
  reply refuse(const std::string& why);

  // The control and the event queue (session_queues.cpp).
  void put(queue& by, std::uint16_t head, const std::vector<iovec>& to, const_bytes octets);
  void manage(const control_request& asked, std::function<void(response_code)> answered);
  void find_tag(std::size_t core, port::lun lun, std::uint64_t tag, std::function<void(std::uint64_t)> found);
  void settle_others(std::function<void()> settled);
  void look_for_luns();
  void tell(const event& what);

  port_state& port_;
  const std::shared_ptr<port_state> port_kept_;
  reactor::loop& loop_;
  reactor::handle connection_;
  std::string peer_;
  port::login wish_;
  std::vector<std::unique_ptr<channel>> channels_;  // by core
  std::size_t joining_ = 0, left_ = 0;              // channels that are being opened; that are not gone
  std::optional<port::loss_reason> ending_;
  std::optional<error> problem_;
  std::shared_ptr<session> self_;  // until nothing of it is left

  // The message that is coming.
  std::array<std::uint8_t, message_header::bytes> head_{};
  std::vector<std::uint8_t> payload_;
  std::size_t head_come_ = 0, payload_come_ = 0;
  message_header message_;
  std::vector<shared_handle> passed_;
  bool busy_ = false;  // with a message that takes several steps

  // What the front end has said.
  std::uint64_t features_ = 0, protocol_features_ = 0;
  std::shared_ptr<const guest_memory> memory_;
  std::shared_ptr<const dirty_log> log_;
  std::shared_ptr<const mapping> inflight_;
  inflight_place inflight_place_;
  std::vector<slot> slots_;  // by queue

  std::deque<event> events_;  // that wait for the guest to make room
  bool missed_ = false;
  std::optional<std::set<port::lun>> luns_;  // that the guest was told of, or saw at the start
  bool looking_ = false, look_again_ = false;

  reactor::member_operation<session, &session::on_readable> readable_{*this};
};

}  // namespace sluice::vhost
