#include "ceph/shared/object_watch.hpp"

#include <atomic>
#include <mutex>
#include <utility>

namespace sluice::shared {

struct object_watch::link {
  link(shared_object what, callbacks whom) : of(std::move(what)), to(std::move(whom)) {}

  const shared_object of;
  const callbacks to;
  std::mutex guard;
  bool dropped = false;
  std::atomic<std::uint64_t> cookie = 0;
  std::uint64_t self = 0;  // of the connection: what it says itself needs no answer of the gateway

  static void said(void* arg, std::uint64_t number, std::uint64_t cookie, std::uint64_t who, void* data,
                   std::size_t length) {
    auto& at = *static_cast<link*>(arg);
    const std::lock_guard lock(at.guard);
    at.cookie = cookie;  // may come before the call that began the watch returns
    if (!at.dropped && who != at.self) return at.to.said(number, {static_cast<const char*>(data), length});
    rados_notify_ack(at.of.pool()->handle(), at.of.name().c_str(), number, cookie, "", 0);
  }
  static void lost(void* arg, std::uint64_t, int) {
    auto& at = *static_cast<link*>(arg);
    const std::lock_guard lock(at.guard);
    if (!at.dropped) at.to.lost();
  }
};

namespace {

/// The cluster forgets who does not answer for so long. Whom it has forgotten begins again: nothing hangs on it.
constexpr std::uint32_t timeout_s = 10;

}  // namespace

std::shared_ptr<object_watch> object_watch::begin(shared_object of, callbacks to) {
  std::shared_ptr<object_watch> made(new object_watch(of));
  made->link_ = std::make_shared<link>(of, std::move(to));
  of.pool()->on().offload().run([at = made->link_] {
    at->self = rados_get_instance_id(at->of.pool()->on().handle());
    std::uint64_t cookie = 0;
    const int watching = rados_watch3(at->of.pool()->handle(), at->of.name().c_str(), &cookie, &link::said, &link::lost,
                                      timeout_s, at.get());
    if (watching == 0) at->cookie = cookie;
    const std::lock_guard lock(at->guard);
    if (!at->dropped) watching == 0 ? at->to.holds() : at->to.lost();
  });
  return made;
}

object_watch::~object_watch() {
  {
    const std::lock_guard lock(link_->guard);
    link_->dropped = true;
  }
  of_.pool()->on().offload().run([at = link_] {
    if (at->cookie == 0) return;
    rados_unwatch2(at->of.pool()->handle(), at->cookie);
    rados_watch_flush(at->of.pool()->on().handle());  // no callback runs any more, and `at` may go
  });
}

void object_watch::answer(std::uint64_t number, const std::string& text) const {
  rados_notify_ack(of_.pool()->handle(), of_.name().c_str(), number, link_->cookie, text.data(),
                   static_cast<int>(text.size()));
}

namespace {

struct telling {
  shared_object of;
  std::string text;
  std::function<void(std::vector<std::string>)> done;
  char* reply = nullptr;
  std::size_t reply_length = 0;
  rados_completion_t completion = nullptr;

  void finish() {
    std::vector<std::string> answers;
    notify_ack_t* acks = nullptr;
    notify_timeout_t* late = nullptr;
    std::size_t ack_count = 0, late_count = 0;
    if (reply && rados_decode_notify_response(reply, reply_length, &acks, &ack_count, &late, &late_count) == 0) {
      for (std::size_t i = 0; i < ack_count; ++i)
        if (acks[i].payload) answers.emplace_back(acks[i].payload, acks[i].payload_len);
      rados_free_notify_response(acks, ack_count, late);
    }
    if (reply) rados_buffer_free(reply);
    if (completion) rados_aio_release(completion);
    const auto then = std::move(done);
    delete this;
    then(std::move(answers));
  }
};

}  // namespace

void tell_watchers(const shared_object& of, const std::string& text, std::chrono::milliseconds limit,
                   std::function<void(std::vector<std::string>)> answers) {
  auto* const t = new telling{of, text, std::move(answers)};
  const auto answered = [](rados_completion_t, void* self) { static_cast<telling*>(self)->finish(); };
  if (rados_aio_create_completion2(t, answered, &t->completion) < 0) return t->finish();
  const int asked = rados_aio_notify(t->of.pool()->handle(), t->of.name().c_str(), t->completion, t->text.data(),
                                     static_cast<int>(t->text.size()), static_cast<std::uint64_t>(limit.count()),
                                     &t->reply, &t->reply_length);
  if (asked < 0) t->finish();
}

}  // namespace sluice::shared
