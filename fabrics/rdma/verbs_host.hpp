#pragma once
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "fabrics/rdma/device.hpp"
#include "fabrics/rdma/verbs_partings.hpp"

namespace sluice::rdma {

class verbs_connection;
class verbs_host;

/// A device as one core has it: a protection domain, the core's buffers registered in it region by region as they come
/// into use, and a completion channel.
class verbs_device {
 public:
  static result<std::unique_ptr<verbs_device>> open(verbs_host& of, ibv_context* context);
  ~verbs_device();

  const ibv_device_attr& attributes() const { return attributes_; }
  ibv_pd* domain() const { return domain_; }
  ibv_comp_channel* channel() const { return channel_; }
  /// The key of a piece of the loop's buffers; 0 when it cannot be registered.
  std::uint32_t key_of(const iovec& part);
  /// Ends the poll; true when none was under way.
  bool stop();

 private:
  explicit verbs_device(verbs_host& of) : host_(of) {}
  void wait();
  void ready(std::int64_t found) noexcept;

  verbs_host& host_;
  ibv_device_attr attributes_{};
  ibv_pd* domain_ = nullptr;
  ibv_comp_channel* channel_ = nullptr;
  std::vector<ibv_mr*> regions_;  // by number
  reactor::member_operation<verbs_device, &verbs_device::ready> ready_{*this};
};

/// Who an identifier of the connection manager belongs to: its context.
class cm_owner {
 public:
  virtual void on_event(const rdma_cm_event& event) = 0;

 protected:
  ~cm_owner() = default;
};

class verbs_listener final : public listener, public cm_owner {
 public:
  verbs_listener(rdma_cm_id* id, std::string where, asked told)
      : id_(id), where_(std::move(where)), told_(std::move(told)) {
    id_->context = static_cast<cm_owner*>(this);
  }
  ~verbs_listener() override { rdma_destroy_id(id_); }
  std::string local() const override { return where_; }
  void on_event(const rdma_cm_event&) override {}  // its device has gone: nobody comes any more

 private:
  friend class verbs_host;
  rdma_cm_id* const id_;
  const std::string where_;
  const asked told_;
};

/// The connection manager's events of one core, and the completions of its connections: while there is work their
/// queues are looked at every turn; when there was none for a moment they are armed, and the loop sleeps.
class verbs_host final : public host {
 public:
  static result<std::unique_ptr<host>> open(reactor::loop& on);
  ~verbs_host() override;
  result<std::unique_ptr<listener>> listen(const reactor::endpoint& where, listener::asked told) override;
  void close(std::function<void()> ended) override;

  reactor::loop& loop() { return loop_; }
  rdma_event_channel* events() { return events_; }
  result<verbs_device*> device_of(ibv_context* context);
  /// Completions have come: the connection is looked at until there are no more.
  void is_busy(verbs_connection& which);
  void is_gone(verbs_connection& which);
  verbs_partings& partings() { return partings_; }
  /// Room for what is being posted, so that it is not allocated each time.
  struct posting {
    std::vector<ibv_send_wr> entries;
    std::vector<ibv_sge> parts;
  };
  posting& scratch() { return scratch_; }
  bool stopping() const { return stopping_ > 0; }
  /// Something that close() waits for has ended.
  void stopped();

 private:
  explicit verbs_host(reactor::loop& on) : loop_(on) {}
  void wait();
  void ready(std::int64_t found) noexcept;
  void take_events();
  void handle(const rdma_cm_event& event, std::vector<std::uint8_t> private_data);
  void look() noexcept;

  reactor::loop& loop_;
  rdma_event_channel* events_ = nullptr;
  verbs_partings partings_{loop_};
  std::map<ibv_context*, std::unique_ptr<verbs_device>> devices_;
  std::vector<verbs_connection*> busy_;
  posting scratch_;
  std::uint64_t last_work_ns_ = 0;
  std::function<void()> closed_;
  unsigned stopping_ = 0;
  reactor::member_operation<verbs_host, &verbs_host::ready> ready_{*this};
  reactor::member_runnable<verbs_host, &verbs_host::look> look_{*this};
};

class verbs_connection final : public connection, public cm_owner {
 public:
  verbs_connection(verbs_host& on, rdma_cm_id* id, verbs_device& device, std::vector<std::uint8_t> asked,
                   const rdma_conn_param& wishes);
  ~verbs_connection() override;

  std::string peer() const override;
  std::string local() const override;
  const_bytes private_data() const override { return asked_; }
  queue_depths limits() const override;
  unsigned max_parts(request::kind what) const override;
  bool can_invalidate() const override {
    return (device_->attributes().device_cap_flags & IBV_DEVICE_MEM_MGT_EXTENSIONS) != 0;
  }
  result<void> move_to(host& other) override;
  result<void> open(const queue_depths& depths, handler& told) override;
  void receive(work& w, const iovec& into) noexcept override;
  result<void> accept(const_bytes private_data) override;
  void reject(const_bytes private_data) noexcept override;
  void send(work& w, std::span<const request> chain) noexcept override;
  std::uint32_t send_room() const noexcept override { return depths_.sends - send_entries_; }
  void close() noexcept override;

  /// From the host.
  void on_event(const rdma_cm_event& event) override;
  unsigned look();  // how many completions there were
  void arm();
  void count_event() { ++unacknowledged_; }
  bool busy = false;

 private:
  struct posted {
    work* of = nullptr;
    std::uint32_t entries = 0;
    outcome how = outcome::done;
  };
  void completed(const ibv_wc& how);
  void lose(const std::string& why);
  void fail_posts(const char* what, int error_number);
  void tell() noexcept;
  void take_down() noexcept;
  void too_late() noexcept;
  void flush_rest();

  verbs_host* host_;
  rdma_cm_id* const id_;
  verbs_device* device_;
  const std::vector<std::uint8_t> asked_;
  rdma_conn_param wishes_;
  queue_depths depths_;
  handler* handler_ = nullptr;
  ibv_cq* completions_ = nullptr;
  std::deque<posted> sends_, receives_;  // in the order of their queues
  std::deque<work*> unposted_;           // that a broken queue pair did not take: they end flushed
  std::uint32_t send_entries_ = 0;
  unsigned unacknowledged_ = 0;
  bool answered_ = false, accepted_ = false, closing_ = false, overdue_ = false, down_ = false, lost_ = false;
  bool broken_ = false;   // by itself: the peer need not know, and may be out of reach
  std::string why_lost_;  // not told yet
  reactor::member_runnable<verbs_connection, &verbs_connection::tell> tell_{*this};
  reactor::member_timer<verbs_connection, &verbs_connection::too_late> too_late_{*this};
};

}  // namespace sluice::rdma
