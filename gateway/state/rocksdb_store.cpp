#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <iterator>
#include <mutex>
#include <thread>
#include <vector>

#include "actors/observe/log.hpp"
#include "gateway/state/rocksdb_options.hpp"
#include "gateway/state/state_directory.hpp"
#include "gateway/state/state_store.hpp"

namespace sluice::state {
namespace {

using database = std::unique_ptr<rocksdb::DB>;

struct issued_change {
  std::vector<update> updates;
  reactor::loop* on;
  durable done;
};

/// How often a database that could not be written is tried again when nobody asks for a change.
constexpr std::chrono::seconds retry_period{1};

std::string way_out(const std::string& folder) {
  return ": names of units and reservations may be lost; bring back a copy of the folder, or say sluice state repair " +
         folder + ", which keeps all that can be read and tells what it lost";
}

/// The database as it lies there; nothing is written. errc::corrupt when acknowledged changes are missing.
result<database> open_to_read(const state_directory& folder) {
  rocksdb::DB* made = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(database_options(), folder.path(), &made);
  database opened(made);
  if (status.IsCorruption())
    return fail(errc::corrupt,
                "the state in " + folder.path() + " is damaged (" + status.ToString() + ")" + way_out(folder.path()));
  if (!status.ok()) return failure(status, "read the state in " + folder.path());
  const auto last = folder.last_change();
  if (!last) {
    SLUICE_LOG(warning, "state", "whether the state is whole cannot be told", {"why", last.error().message});
    return opened;
  }
  const std::uint64_t found = opened->GetLatestSequenceNumber();
  if (last->value_or(0) <= found) return opened;
  return fail(errc::corrupt, "the state in " + folder.path() + " is damaged (of " + std::to_string(**last) +
                                 " changes only " + std::to_string(found) + " can be read)" + way_out(folder.path()));
}

rocksdb::Status open_to_write(const state_directory& folder, database& opened) {
  rocksdb::DB* made = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(database_options(), folder.path(), &made);
  if (status.ok()) opened.reset(made);
  return status;
}

class rocksdb_store final : public state_store {
 public:
  /// `ailment`: why `db` is open for reading only; OK: it is not.
  rocksdb_store(state_directory folder, database db, const rocksdb::Status& ailment)
      : folder_(std::move(folder)),
        db_(std::move(db)),
        reads_only_(!ailment.ok()),
        acknowledged_(db_->GetLatestSequenceNumber()) {
    if (reads_only_) fall_ill(ailment);
    writer_ = std::thread([this] { write_changes(); });
  }
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
    const std::lock_guard hold(at_database_);
    if (!db_) return fail(errc::io, health());
    std::string value;
    const rocksdb::Status status = db_->Get({}, rocksdb::Slice(key.data(), key.size()), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return failure(status, "read state " + std::string(key));
    return value;
  }

  result<void> save(std::string key, std::string value) override {
    wait_until_written();
    return write({{std::move(key), std::move(value)}});
  }

  void change(std::vector<update> updates, reactor::loop& on, durable done) override {
    {
      const std::lock_guard hold(mutex_);
      issued_.push_back({std::move(updates), &on, std::move(done)});
    }
    wake_.notify_one();
  }

  std::string health() override {
    const std::lock_guard hold(mutex_);
    return health_;
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
      const auto called = [this] { return stopping_ || !issued_.empty(); };
      while (!wake_.wait_for(hold, retry_period, called))
        if (health_ != "good") look_again(hold);
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
    std::vector<update> all;
    for (issued_change& c : changes) std::move(c.updates.begin(), c.updates.end(), std::back_inserter(all));
    const result<void> outcome = write(all);
    for (issued_change& c : changes) c.on->post([done = std::move(c.done), outcome] { done(outcome); });
  }

  /// Durable when it returns. After a failure the database is brought back first: space may have come.
  result<void> write(const std::vector<update>& updates) {
    const std::lock_guard hold(at_database_);
    rocksdb::Status status = is_ill() ? bring_back() : rocksdb::Status::OK();
    if (status.ok()) {
      status = write_batch(batch_of(updates));
      if (!status.ok()) undo_ = values_now(updates);
    }
    if (!status.ok()) return fall_ill(status);
    get_well();
    return {};
  }

  static rocksdb::WriteBatch batch_of(const std::vector<update>& updates) {
    rocksdb::WriteBatch batch;
    for (const update& each : updates) {
      if (each.value)
        batch.Put(each.key, *each.value);
      else
        batch.Delete(each.key);
    }
    if (updates.empty()) batch.PutLogData(std::string(4 * kib, ' '));  // in the log alone: whether it takes a block
    return batch;
  }

  rocksdb::Status write_batch(rocksdb::WriteBatch batch) {
    const rocksdb::Status status = db_->Write(synced(), &batch);
    if (!status.ok()) return status;
    acknowledged_ = db_->GetLatestSequenceNumber();
    if (auto noted = folder_.note_change(acknowledged_); !noted)
      SLUICE_LOG(warning, "state", "a loss of changes would not be told", {"why", noted.error().message});
    return status;
  }

  std::vector<update> values_now(std::vector<update> updates) {
    for (update& each : updates) {
      std::string value;
      const bool found = db_->Get({}, each.key, &value).ok();
      each.value = found ? std::optional(std::move(value)) : std::nullopt;
    }
    return updates;
  }

  void look_again(std::unique_lock<std::mutex>& hold) {
    hold.unlock();
    (void)write(std::vector<update>());
    hold.lock();
  }

  /// Opens it anew, for reading only where it must be. A change that failed in its sync may lie in the log all the
  /// same: it did not happen.
  rocksdb::Status bring_back() {
    if (!reads_only_) db_.reset();
    database opened;
    rocksdb::Status status = open_to_write(folder_, opened);
    reads_only_ = !status.ok();
    if (status.ok()) {
      db_ = std::move(opened);
      if (db_->GetLatestSequenceNumber() > acknowledged_ && !undo_.empty()) status = write_batch(batch_of(undo_));
    } else if (!db_) {
      if (auto readable = open_to_read(folder_)) db_ = std::move(*readable);
    }
    return status;
  }

  bool is_ill() { return health() != "good"; }

  tl::unexpected<error> fall_ill(const rocksdb::Status& status) {
    const auto why = failure(status, "the state directory " + folder_.path() + " cannot be written");
    const bool first = !is_ill();
    {
      const std::lock_guard hold(mutex_);
      health_ = why.value().message + "; registrations that are to last and saved mode pages are refused meanwhile";
    }
    if (first) SLUICE_LOG(error, "state", "what must last is refused from now on", {"why", why.value().message});
    return why;
  }

  void get_well() {
    if (!is_ill()) return;
    const std::lock_guard hold(mutex_);
    health_ = "good";
    SLUICE_LOG(info, "state", "the state directory can be written again", {"directory", folder_.path()});
  }

  state_directory folder_;
  std::mutex at_database_;  // held while it is used; taken before mutex_
  database db_;
  bool reads_only_ = false;
  std::uint64_t acknowledged_ = 0;  // the number of the last change
  std::vector<update> undo_;        // of the last change that failed
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<issued_change> issued_;
  bool writing_ = false;
  bool stopping_ = false;
  std::string health_ = "good";
  std::thread writer_;  // last: it uses all of the above
};

}  // namespace

namespace {

/// Whoever starts a gateway by hand may not write where its service keeps the state.
tl::unexpected<error> say_key(error why) {
  why.message = "gateway.state_dir: " + why.message +
                "; set state_dir to a folder that you may write, or run sluice as its service does";
  return tl::unexpected(std::move(why));
}

}  // namespace

result<std::unique_ptr<state_store>> open_rocksdb_store(const std::string& directory) {
  auto folder = state_directory::take(directory);
  if (!folder && folder.error().code == errc::busy) return tl::unexpected(folder.error());
  if (!folder) return say_key(folder.error());
  database readable;
  if (std::filesystem::exists(directory + "/CURRENT")) {
    auto opened = open_to_read(*folder);
    if (!opened) return tl::unexpected(opened.error());
    readable = std::move(*opened);
  }
  database writable;
  const rocksdb::Status status = open_to_write(*folder, writable);
  if (!status.ok() && !readable)
    return say_key(failure(status, "the state directory " + directory + " cannot be written").value());
  return std::make_unique<rocksdb_store>(std::move(*folder), std::move(status.ok() ? writable : readable), status);
}

}  // namespace sluice::state
