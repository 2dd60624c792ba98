#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "gateway/access/owner_link.hpp"
#include "gateway/relay/frame_stream.hpp"
#include "gateway/relay/peer.hpp"

namespace sluice::relay {

/// One core's link to one other gateway, over which commands go to their unit's owner. It comes with the first command,
/// and again when it broke: the peer ends what came by the former link before it greets, so that all of it is known to
/// be over then.
class outgoing_link final : frame_stream::user {
 public:
  outgoing_link(reactor::loop& loop, const neighbours& all, gateway_id to);
  ~outgoing_link();  // after close()
  outgoing_link(const outgoing_link&) = delete;
  outgoing_link& operator=(const outgoing_link&) = delete;

  // As access::owner_link.
  void submit(access::relayed_command& c) noexcept;
  void go_on(access::relayed_command& c) noexcept;
  void end(access::relayed_command& c) noexcept;
  void is_over(access::relayed_command& c) noexcept;
  void forget(std::string_view unit, std::uint64_t nexus_id) noexcept;
  /// To another gateway than this link's.
  void has_moved(std::string_view unit) noexcept;

  /// No command is left; `done` runs when nothing is in flight.
  void close(std::function<void()> done);

 private:
  using command = access::relayed_command;
  enum class state : std::uint8_t { idle, connecting, greeting, up, waiting, closed };
  struct attachment {
    std::string unit;
    std::uint64_t nexus;
    auto operator<=>(const attachment&) const = default;
  };

  void on_secured() noexcept override;
  result<bytes> on_frame(const header& h, const_bytes body) noexcept override;
  void on_payload(const header& h) noexcept override;
  void on_room() noexcept override;
  void on_broken(const error& why) noexcept override;

  void wake() noexcept;
  void connect() noexcept;
  void on_connected(std::int64_t result) noexcept;
  void on_tick() noexcept;
  void on_moved() noexcept;
  void is_down(const std::string& why) noexcept;
  void greeted();
  void send_queued() noexcept;
  void send_first(command& c);
  void send_step(command& c);
  result<bytes> take_answer(const header& h, const_bytes body);
  void answer(command& c, access::relayed how) noexcept;
  void deliver(command& c) noexcept;
  void answer_unsent() noexcept;
  void tell() noexcept;
  command* find(std::uint32_t number) const;

  reactor::loop& loop_;
  const neighbours& all_;
  const gateway_id to_;
  state at_ = state::idle;
  std::unique_ptr<frame_stream> stream_;
  std::optional<peer> target_;
  std::function<void()> closed_;
  bool said_so_ = false, has_greeted_ = false;
  // By the loop's clock: since when it is not up; when the peer was heard last; when the connection was begun.
  std::uint64_t down_since_ns_ = 0, heard_ns_ = 0, began_ns_ = 0;

  std::unordered_map<std::uint32_t, command*> commands_;  // all that have no final answer, by number
  std::deque<command*> queue_;                            // steps that have not been sent
  std::deque<command*> answered_;                         // to be told
  std::map<attachment, std::uint32_t> attachments_;       // that are open at the peer
  std::vector<std::uint32_t> moved_;                      // commands whose unit has another owner by now
  std::uint32_t next_number_ = 1, next_attachment_ = 1;
  command* receiving_ = nullptr;  // whose answer comes
  access::relayed receiving_as_ = access::relayed::ended;
  octets text_;

  reactor::member_operation<outgoing_link, &outgoing_link::on_connected> connected_{*this};
  reactor::member_timer<outgoing_link, &outgoing_link::on_tick> tick_{*this};
  reactor::member_timer<outgoing_link, &outgoing_link::on_moved> moved_timer_{*this};
  reactor::member_runnable<outgoing_link, &outgoing_link::tell> tell_{*this};
};

}  // namespace sluice::relay
