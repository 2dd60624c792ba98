#pragma once
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "ceph/shared/membership.hpp"
#include "ceph/shared/object_watch.hpp"
#include "gateway/state/authority.hpp"

namespace sluice::shared {

/// One gateway's place at one record. The object's table: "epoch", "content", and "seat/ID" for each gateway that is or
/// was a member (seat_record). See rados_authority.
class rados_seat final : public state::seat, private membership::listener, private reactor::timer {
 public:
  static constexpr const char* epoch_key = "epoch";

  rados_seat(std::shared_ptr<membership> of, std::string name, reactor::loop& on);
  ~rados_seat() override;
  rados_seat(const rados_seat&) = delete;
  rados_seat& operator=(const rados_seat&) = delete;

  void read(std::function<void(result<state::record>)> done) override;
  void propose(state::proposal what, std::function<void(const state::verdict&)> decided) override;
  void watch(gateway_id gateway, std::uint64_t incarnation, state::watcher* tells) override;
  void in_force(std::uint64_t epoch) override;
  void confirm(std::uint64_t epoch, std::function<void()> done) override;
  void barrier(std::function<void()> done) override;
  bool yields_to(const std::vector<gateway_id>& others) const override { return membership_->yields_to(others); }

 private:
  struct found {
    state::record now;
    std::map<gateway_id, seat_record> seats;
  };
  static found parse(int outcome, const omap& table);

  // membership::listener, on its thread
  void on_stay(std::shared_ptr<const membership::stay> now) override;
  void on_ended() override;

  template <class Work>
  auto on_loop(Work work);
  void take_place(std::shared_ptr<const membership::stay> now);
  void lose_place();
  void begin_watch();
  void on_said(std::uint64_t number, const std::string& text);
  void refresh();
  void take_in(const found& seen);
  void look_again();
  void look_who_ended(std::function<void(rados_seat&)> then);
  void tell_gone();
  void round();
  void round_read(std::uint64_t of, const found& seen);
  void round_told(std::uint64_t of, const std::vector<std::string>& answers);
  void end_round(std::uint64_t of);
  bool obey(std::uint64_t epoch) const;
  void settle(std::uint64_t up_to);
  void on_timer() noexcept override;

  const std::shared_ptr<membership> membership_;
  const std::string name_;
  reactor::loop& on_;
  std::shared_ptr<rados_seat*> self_ = std::make_shared<rados_seat*>(this);
  /// The way to the loop for answers of librados, which may come when the seat has gone, and the loop with it.
  struct way {
    std::mutex guard;
    reactor::loop* loop;  // null: the seat has gone
  };
  const std::shared_ptr<way> way_ = std::make_shared<way>();

  // Of one life of the gateway; none: it has lost its life, and has no new one yet.
  std::shared_ptr<const membership::stay> stay_;
  std::optional<shared_object> object_;
  std::shared_ptr<object_watch> watch_;
  std::uint64_t turn_ = 0;  // answers to what was asked in earlier ones are of no interest
  bool watch_is_lost_ = false;

  state::watcher* tells_ = nullptr;  // null: no member
  gateway_id gateway_ = 0;
  std::uint64_t incarnation_ = 0;
  std::uint64_t known_ = 0, in_force_ = 0;  // epochs
  struct owed {
    std::uint64_t number, epoch;
  };
  std::deque<owed> owed_;  // answers, until it obeys

  std::list<std::function<void(result<state::record>)>> reads_;  // that wait for an answer
  std::function<void(const state::verdict&)> decided_;           // of what is proposed

  // What is asked of others.
  std::map<gateway_id, seat_record> seats_;
  std::map<gateway_id, obedience> obey_;
  std::set<std::uint64_t> ended_;             // lives
  std::map<gateway_id, std::uint64_t> gone_;  // stays of which the watcher was told that they are over
  std::uint64_t committed_ = 0;               // the newest epoch of ours
  bool in_round_ = false, again_ = false;
  struct waiting {
    std::uint64_t epoch;
    std::function<void()> done;
  };
  std::list<waiting> waiting_;
};

}  // namespace sluice::shared
