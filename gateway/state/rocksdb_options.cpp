#include "gateway/state/rocksdb_options.hpp"

#include <rocksdb/listener.h>

#include "actors/base/bytes.hpp"
#include "gateway/state/rocksdb_log.hpp"

namespace sluice::state {

namespace {

/// A database that could not be written is opened anew (rocksdb_store): RocksDB's own recovery from a full file system
/// looks every five seconds, lets nobody else meanwhile, and may wait for ever (7.8.3).
class never_recovers_by_itself final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* by_itself) override {
    *by_itself = false;
  }
};

}  // namespace

rocksdb::Options database_options() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.max_open_files = 64;
  options.write_buffer_size = 1 * mib;
  options.info_log = std::make_shared<rocksdb_log>();
  options.listeners.push_back(std::make_shared<never_recovers_by_itself>());
  // The end of a log that was never written whole is no damage; all else is. By default, reading just stops there.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  return options;
}

rocksdb::WriteOptions synced() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
}

tl::unexpected<error> failure(const rocksdb::Status& status, const std::string& what) {
  const errc code = status.IsCorruption() ? errc::corrupt : status.IsNoSpace() ? errc::no_space : errc::io;
  return fail(code, what + ": " + status.ToString());
}

}  // namespace sluice::state
