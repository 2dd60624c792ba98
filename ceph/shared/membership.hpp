#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ceph/cluster/connections.hpp"
#include "ceph/shared/member_record.hpp"
#include "ceph/shared/shared_object.hpp"
#include "gateway/state/lease.hpp"

namespace sluice::shared {

/// Which cluster of gateways, and who in it.
struct membership_options {
  cluster::address ceph;
  std::string pool;
  std::string name;     // of the cluster: the prefix of its objects
  std::string gateway;  // this one's name: no two of a cluster have the same
  // How long a renewal is good for, and how much longer others wait. They count from when they saw it, by their own
  // clocks, so clocks need not agree; `grace` is for clocks that run at different speed.
  std::chrono::milliseconds lease{3000}, grace{1000}, renewal{500};
  std::string link = {};  // where it takes links of other gateways; empty: nowhere
  /// With it: what who comes by such a link has to know, another one for each life; without a space.
  std::function<std::string()> draw_link_secret = {};
};

/// The lives that may still answer initiators, or write; at one moment.
using lives = std::set<std::uint64_t>;

/// This gateway's life in the cluster, and an eye on the others'. One object holds a record of each gateway, which that
/// gateway renews; one that is not renewed for long is marked as gone by whoever sees it first, and from then on it can
/// never renew itself. Each gateway that sees the mark fences the other's connections before it counts it as ended.
///
/// Between the last renewal that succeeded and the mark nobody has taken anything over. So a gateway whose lease ran
/// out stops answering, and goes on when a late renewal succeeds, as if nothing had been. Only one that was marked has
/// lost its life, and joins as a new one, over new connections.
class membership : public std::enable_shared_from_this<membership> {
 public:
  /// One life, as long as it lasts.
  struct stay {
    gateway_id id;
    std::uint64_t life;
    std::shared_ptr<cluster::pool> pool;
  };

  /// Is told on the membership's thread; must not block.
  class listener {
   public:
    /// The life is lost; or a new one has begun.
    virtual void on_stay(std::shared_ptr<const stay> now) = 0;
    /// A life has ended, and is fenced.
    virtual void on_ended() = 0;

   protected:
    ~listener() = default;
  };

  /// Blocks: until the cluster answers, and while a former life of this name may still be counted on. errc::busy when
  /// that goes on to live. From then on `all` makes no connection that others could not fence.
  static result<std::shared_ptr<membership>> join(std::shared_ptr<cluster::connections> all, membership_options wanted);
  /// Leaves. Blocks for a moment.
  ~membership();
  membership(const membership&) = delete;
  membership& operator=(const membership&) = delete;

  const membership_options& options() const { return options_; }
  /// The same for all lives of this name.
  gateway_id id() const { return id_; }
  /// Null while there is none.
  std::shared_ptr<const stay> now() const;
  state::lease& term() { return *term_; }
  void add(listener& who);
  /// After it returns `who` is told nothing any more. Not from within a listener.
  void remove(listener& who);
  /// Those that may still act, as of after this call; `tell` runs on the membership's thread, if the cluster answers.
  void ask(std::function<void(const lives&)> tell);
  /// `done` runs, on any thread, when all connections of this gateway know of everything that the cluster has fenced by
  /// now: what fenced gateways had under way has been done by then, or never will be.
  void barrier(std::function<void()> done);

  struct member {
    std::string gateway;
    member_record record;
    bool drained = false;
  };
  /// As of the last look. Any thread.
  std::vector<member> members() const;
  /// As state::cluster_authority's. Block for some seconds at most; any thread but the membership's.
  result<void> drain(const std::string& gateway, bool drained);
  result<void> forget(const std::string& gateway);
  /// As state::seat's, by the last look. Any thread.
  bool yields_to(const std::vector<gateway_id>& others) const;

 private:
  struct watched {
    std::string text;  // of its record, when it last changed
    std::uint64_t since_ns;
  };

  membership(std::shared_ptr<cluster::connections> all, membership_options wanted);
  result<void> announce(const cluster::connection& also);
  result<void> begin();
  result<void> begin_over(const std::shared_ptr<cluster::connection>& connected);
  result<gateway_id> number_of(const shared_object& table);
  result<void> end_former(const shared_object& table, const cluster::connection& by, const std::string& former);
  int write_record(const shared_object& table, member_record next);
  void work();
  bool turn();
  void renew();
  std::string try_to_renew();
  bool look();
  static bool fence(const std::vector<std::string>& addresses, const cluster::connection& by);
  void mark_those_that_are_silent(const omap& table);
  void fence_those_that_are_gone(const omap& table);
  void fence_soon(const std::string& gateway, const member_record& gone);
  void lose(const std::string& why);
  void tell_stay();
  void look_soon();
  /// The cluster's object, and what it holds now. Blocks.
  result<std::pair<shared_object, omap>> read_table() const;
  std::string key() const;

  const std::shared_ptr<cluster::connections> connections_;
  const membership_options options_;
  const std::shared_ptr<state::lease> term_ = std::make_shared<state::lease>();
  gateway_id id_ = 0;

  // The thread's own, once there is one.
  std::shared_ptr<cluster::connection> connection_;
  std::map<std::string, watched> watched_;  // the others, by key
  lives alive_;

  std::mutex renewing_;  // one change of this gateway's record at a time
  member_record record_;
  std::string written_;  // as it lies in the object

  mutable std::mutex guard_;  // of what follows
  std::condition_variable stirred_;
  std::shared_ptr<const stay> stay_;
  std::vector<std::function<void(const lives&)>> questions_;
  std::vector<member> members_;
  std::set<std::uint64_t> fencing_, fenced_;  // lives that were marked
  bool ends_ = false;

  std::mutex listening_;  // held while listeners are told
  std::vector<listener*> listeners_;
  std::thread thread_;
  cluster::helper fencer_;  // monitors may take their time, and renewals must not wait for them
};

}  // namespace sluice::shared
