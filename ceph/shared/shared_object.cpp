#include "ceph/shared/shared_object.hpp"

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace sluice::shared {
namespace {

/// Far more than members and seats can be.
constexpr std::uint64_t keys_limit = 4096;

struct releases_write {
  void operator()(void* op) const { rados_release_write_op(op); }
};
struct releases_read {
  void operator()(void* op) const { rados_release_read_op(op); }
};

/// One question under way. librados owns it from the moment it was asked.
struct asked {
  std::shared_ptr<cluster::pool> pool;  // must outlive the question
  std::string name;
  std::function<void(int, omap)> done;
  std::unique_ptr<void, releases_read> reading;
  std::unique_ptr<void, releases_write> writing;
  rados_omap_iter_t found = nullptr;
  unsigned char more = 0;
  int told = 0;
  rados_completion_t completion = nullptr;

  omap table() {
    omap all;
    if (!found) return all;
    for (;;) {
      char *key = nullptr, *value = nullptr;
      std::size_t key_length = 0, value_length = 0;
      if (rados_omap_get_next2(found, &key, &value, &key_length, &value_length) < 0 || !key) break;
      all.emplace(std::string(key, key_length), std::string(value ? value : "", value_length));
    }
    rados_omap_get_end(std::exchange(found, nullptr));
    return all;
  }
  void finish(int outcome) {
    omap all = table();
    if (outcome >= 0 && told < 0) outcome = told;
    if (outcome >= 0 && more) outcome = -EFBIG;
    const auto then = std::move(done);
    if (completion) rados_aio_release(completion);
    delete this;
    then(outcome < 0 ? outcome : 0, std::move(all));
  }
  static void answered(rados_completion_t completion, void* self) {
    static_cast<asked*>(self)->finish(rados_aio_get_return_value(completion));
  }
};

template <class Start>
void ask(std::unique_ptr<asked> question, Start start) {
  asked* const under_way = question.release();
  if (const int made = rados_aio_create_completion2(under_way, &asked::answered, &under_way->completion); made < 0)
    return under_way->finish(made);
  if (const int started = start(*under_way); started < 0) under_way->finish(started);
}

/// Waits for one answer, which may come after nobody waits any more.
template <class Answer>
class answer_in_time {
 public:
  std::function<void(Answer)> taker() {
    return [meeting = meeting_](Answer answer) {
      const std::lock_guard lock(meeting->guard);
      meeting->answer = std::move(answer);
      meeting->met.notify_one();
    };
  }
  Answer wait(std::chrono::nanoseconds limit, Answer otherwise) {
    std::unique_lock lock(meeting_->guard);
    if (!meeting_->met.wait_for(lock, limit, [this] { return meeting_->answer.has_value(); })) return otherwise;
    return std::move(*meeting_->answer);
  }

 private:
  struct meeting {
    std::mutex guard;
    std::condition_variable met;
    std::optional<Answer> answer;
  };
  std::shared_ptr<meeting> meeting_ = std::make_shared<meeting>();
};

}  // namespace

void shared_object::read(std::function<void(int, omap)> done, const key_range& which) const {
  auto question = std::make_unique<asked>();
  question->pool = pool_;
  question->name = name_;
  question->done = std::move(done);
  question->reading.reset(rados_create_read_op());
  rados_read_op_omap_get_vals2(question->reading.get(), which.after.c_str(), which.prefix.c_str(), keys_limit,
                               &question->found, &question->more, &question->told);
  ask(std::move(question), [](asked& q) {
    return rados_aio_read_op_operate(q.reading.get(), q.pool->handle(), q.completion, q.name.c_str(), 0);
  });
}

void shared_object::change(const object_change& wanted, std::function<void(int)> done) const {
  auto question = std::make_unique<asked>();
  question->pool = pool_;
  question->name = name_;
  question->done = [done = std::move(done)](int outcome, const omap&) { done(outcome); };
  question->writing.reset(rados_create_write_op());
  rados_write_op_t const op = question->writing.get();
  if (wanted.makes_it) rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, nullptr);
  for (const auto& [key, value] : wanted.expects)
    rados_write_op_omap_cmp2(op, key.c_str(), LIBRADOS_CMPXATTR_OP_EQ, value.data(), key.size(), value.size(), nullptr);
  std::vector<const char*> keys, values;
  std::vector<std::size_t> key_lengths, value_lengths;
  for (const auto& [key, value] : wanted.sets) {
    keys.push_back(key.data());
    values.push_back(value.data());
    key_lengths.push_back(key.size());
    value_lengths.push_back(value.size());
  }
  if (!keys.empty())
    rados_write_op_omap_set2(op, keys.data(), values.data(), key_lengths.data(), value_lengths.data(), keys.size());
  keys.clear();
  key_lengths.clear();
  for (const std::string& key : wanted.removes) {
    keys.push_back(key.data());
    key_lengths.push_back(key.size());
  }
  if (!keys.empty()) rados_write_op_omap_rm_keys2(op, keys.data(), key_lengths.data(), keys.size());
  ask(std::move(question), [](asked& q) {
    return rados_aio_write_op_operate(q.writing.get(), q.pool->handle(), q.completion, q.name.c_str(), nullptr, 0);
  });
}

std::pair<int, omap> shared_object::read_now(std::chrono::nanoseconds limit, const key_range& which) const {
  answer_in_time<std::pair<int, omap>> answer;
  read([take = answer.taker()](int outcome, omap all) { take({outcome, std::move(all)}); }, which);
  return answer.wait(limit, {-ETIMEDOUT, {}});
}

int shared_object::change_now(const object_change& wanted, std::chrono::nanoseconds limit) const {
  answer_in_time<int> answer;
  change(wanted, answer.taker());
  return answer.wait(limit, -ETIMEDOUT);
}

}  // namespace sluice::shared
