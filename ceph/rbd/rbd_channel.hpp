#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "actors/base/inbox.hpp"
#include "actors/reactor/loop.hpp"
#include "ceph/rbd/medium.hpp"
#include "tiers/store/scatter.hpp"

namespace sluice::rbd {

class rbd_channel;

/// One request on its way through librbd: in one piece, or in several one after the other. Reused.
class rbd_job {
 public:
  explicit rbd_job(rbd_channel& owner) : owner_(owner) {}
  rbd_job(const rbd_job&) = delete;
  rbd_job& operator=(const rbd_job&) = delete;

  rbd_job* next = nullptr;  // of whatever list it is in

 private:
  friend class rbd_channel;

  /// What a piece is. A compare_and_write that librbd does not do as a whole is a read and a write.
  enum class phase : std::uint8_t { whole, read_to_compare, write_compared };

  void prepare(store::request& r, const image_facts& facts) noexcept;
  /// Hands the next piece to librbd. False: `result` says why not.
  bool issue(const std::shared_ptr<image>& through) noexcept;
  int issue_compare(rbd_image_t handle, rbd_completion_t completion) noexcept;
  bool take_bounce(std::uint64_t octets) noexcept;
  /// librbd has answered, on any of its threads. False: nobody is there any more for the answer.
  bool came_back() noexcept { return keeper_.exchange(keeper::channel) != keeper::nobody; }
  void issue_map(const std::shared_ptr<image>& through) noexcept;
  static void completed(rbd_completion_t completion, void* self) noexcept;
  static int walk(const image& through, store::request& r) noexcept;

  /// Who has the piece that librbd was given last: librbd until it answers, nobody once it was abandoned.
  enum class keeper : std::uint8_t { channel, librbd, nobody };

  rbd_channel& owner_;
  std::atomic<keeper> keeper_ = keeper::channel;
  store::request* request_ = nullptr;
  phase phase_ = phase::whole;
  std::uint64_t done_ = 0;                    // octets of the range that earlier pieces are through with
  std::uint64_t piece_ = 0;                   // octets of this piece
  std::uint64_t covers_ = 0;                  // of the image's writes, when it began
  std::uint64_t operations_ = 0, bytes_ = 0;  // what it has of the budget
  std::uint64_t started_ns_ = 0;
  std::uint64_t mismatch_ = 0;
  std::int64_t result_ = 0;
  bool fits_one_object_ = false;
  memory::slice bounce_;  // compare_and_write: what is compared, in one piece
};

/// First in, first out, through their `next`.
class job_queue {
 public:
  bool empty() const { return head_ == nullptr; }
  void push(rbd_job& job) {
    job.next = nullptr;
    (head_ ? tail_->next : head_) = &job;
    tail_ = &job;
  }
  void push_front(rbd_job& job) {
    job.next = head_;
    head_ = &job;
    if (!job.next) tail_ = &job;
  }
  rbd_job& pop() {
    rbd_job& first = *head_;
    head_ = first.next;
    return first;
  }

 private:
  rbd_job* head_ = nullptr;
  rbd_job* tail_ = nullptr;
};

/// One core's interface to an image. What librbd's threads complete is gathered in a list without locks, and the core
/// is woken once for all that gathers until it looks.
class rbd_channel final : public store::channel {
 public:
  rbd_channel(std::shared_ptr<medium> of, reactor::loop& loop);
  ~rbd_channel() override;

  void submit(store::request& r) noexcept override;
  store::availability available() const noexcept override { return medium_->available(); }

 private:
  friend class rbd_job;

  /// Hands a piece to librbd; false when it has to wait for its turn.
  bool start(rbd_job& job) noexcept;
  void start_or_wait(rbd_job& job) noexcept;
  void go_on() noexcept;
  void renew() noexcept;
  void lose_image() noexcept;
  void fail_waiting() noexcept;
  void abandon_in_flight() noexcept;
  void take_image() noexcept;
  void gather(rbd_job& job) noexcept;  // any thread
  void collect() noexcept;
  void run_due() noexcept;
  void landed(rbd_job& job) noexcept;
  void write_ended(const rbd_job& job) noexcept;
  bool has_more(rbd_job& job) noexcept;
  store::status outcome_of(const rbd_job& job) noexcept;
  bool compared(rbd_job& job) noexcept;
  void finish(rbd_job& job, store::status outcome) noexcept;
  void publish() noexcept;
  rbd_job& take_job();

  std::shared_ptr<medium> medium_;
  reactor::loop& loop_;
  const image_facts facts_;
  std::shared_ptr<image> image_;  // null: being opened anew
  bool renewing_ = false;         // there is another image; it is taken when nothing is in flight on the old one
  std::uint64_t in_flight_ = 0;
  std::shared_ptr<channel_figures> figures_ = std::make_shared<channel_figures>();
  std::vector<std::unique_ptr<rbd_job>> jobs_;
  job_queue free_;
  job_queue waiting_;
  std::uint64_t waiting_count_ = 0;
  job_queue due_;  // to be answered without librbd, in a later turn
  reactor::member_runnable<rbd_channel, &rbd_channel::run_due> run_due_{*this};
  inbox<rbd_job> gathered_;
  reactor::member_runnable<rbd_channel, &rbd_channel::collect> collect_{*this};
  // What posted work finds of the channel, should the channel be gone by then.
  std::shared_ptr<rbd_channel*> self_ = std::make_shared<rbd_channel*>(this);
};

}  // namespace sluice::rbd
