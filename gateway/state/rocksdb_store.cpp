#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "gateway/state/state_store.hpp"

namespace sluice::state {
namespace {

struct issued_change {
  std::vector<update> updates;
  reactor::loop* home;
  durable done;
};

tl::unexpected<error> failure(const rocksdb::Status& status, const std::string& what) {
  const errc code = status.IsCorruption() ? errc::corrupt : status.IsNoSpace() ? errc::no_space : errc::io;
  return fail(code, what + ": " + status.ToString());
}

rocksdb::WriteOptions synced() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
}

class rocksdb_store final : public state_store {
 public:
  explicit rocksdb_store(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)), writer_([this] { write_changes(); }) {}
  ~rocksdb_store() override {
    {
      const std::lock_guard hold(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    writer_.join();
  }

  result<std::optional<std::string>> load(std::string_view key) override {
    wait_until_written();
    std::string value;
    const rocksdb::Status status = db_->Get({}, rocksdb::Slice(key.data(), key.size()), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return failure(status, "read state " + std::string(key));
    return value;
  }

  result<void> save(std::string key, std::string value) override {
    wait_until_written();
    const rocksdb::Status status = db_->Put(synced(), key, value);
    if (!status.ok()) return failure(status, "write state " + key);
    return {};
  }

  void change(std::vector<update> updates, reactor::loop& home, durable done) override {
    {
      const std::lock_guard hold(mutex_);
      issued_.push_back({std::move(updates), &home, std::move(done)});
    }
    wake_.notify_one();
  }

 private:
  void wait_until_written() {
    std::unique_lock hold(mutex_);
    idle_.wait(hold, [this] { return issued_.empty() && !writing_; });
  }

  /// The writer's thread: whatever was issued meanwhile goes into one batch and one sync.
  void write_changes() {
    std::unique_lock hold(mutex_);
    for (;;) {
      wake_.wait(hold, [this] { return stopping_ || !issued_.empty(); });
      if (issued_.empty()) return;
      std::vector<issued_change> batch = std::move(issued_);
      issued_.clear();
      writing_ = true;
      hold.unlock();
      write(batch);
      hold.lock();
      writing_ = false;
      if (issued_.empty()) idle_.notify_all();
    }
  }

  void write(std::vector<issued_change>& changes) {
    rocksdb::WriteBatch batch;
    for (const issued_change& c : changes)
      for (const update& each : c.updates) {
        if (each.value)
          batch.Put(each.key, *each.value);
        else
          batch.Delete(each.key);
      }
    const rocksdb::Status status = db_->Write(synced(), &batch);
    for (issued_change& c : changes) {
      result<void> outcome;
      if (!status.ok()) outcome = failure(status, "write state " + c.updates.front().key);
      c.home->post([done = std::move(c.done), outcome = std::move(outcome)] { done(outcome); });
    }
  }

  std::unique_ptr<rocksdb::DB> db_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<issued_change> issued_;
  bool writing_ = false;
  bool stopping_ = false;
  std::thread writer_;  // last: it uses all of the above
};

}  // namespace

result<std::unique_ptr<state_store>> open_rocksdb_store(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno(errno, "make " + directory);
  rocksdb::Options options;
  options.create_if_missing = true;
  options.max_open_files = 64;
  options.write_buffer_size = 1 * mib;
  options.keep_log_file_num = 2;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, directory, &db);
  if (!status.ok()) return failure(status, "open state in " + directory);
  return std::make_unique<rocksdb_store>(std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace sluice::state
