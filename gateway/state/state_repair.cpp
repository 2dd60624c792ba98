#include "gateway/state/state_repair.hpp"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "gateway/state/log_salvage.hpp"
#include "gateway/state/rocksdb_options.hpp"
#include "gateway/state/state_directory.hpp"

namespace sluice::state {

namespace {

/// All logs, the oldest first.
result<salvaged_log> salvage_logs(const std::string& directory) {
  std::error_code problem;
  std::set<std::filesystem::path> logs;
  for (const auto& each : std::filesystem::directory_iterator(directory, problem))
    if (each.path().extension() == ".log") logs.insert(each.path());
  if (problem) return fail(errc::io, "read " + directory + ": " + problem.message());
  salvaged_log all;
  for (const auto& path : logs) {
    std::ifstream from(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(from), {});
    if (!from) return fail(errc::io, "read " + path.string());
    salvaged_log one = salvage_log(text);
    all.damaged_bytes += one.damaged_bytes;
    std::move(one.batches.begin(), one.batches.end(), std::back_inserter(all.batches));
  }
  return all;
}

}  // namespace

result<repaired_state> repair_state(const std::string& directory) {
  if (!std::filesystem::is_directory(directory)) return fail(errc::not_found, "no state directory " + directory);
  auto folder = state_directory::take(directory);
  if (!folder) return tl::unexpected(folder.error());
  // RocksDB's repair gives up what follows damage in a log: what lies there is read before, and written anew.
  auto salvaged = salvage_logs(directory);
  if (!salvaged) return tl::unexpected(salvaged.error());
  const rocksdb::Options options = database_options();
  if (const auto done = rocksdb::RepairDB(directory, options); !done.ok())
    return failure(done, "repair the state in " + directory);
  rocksdb::DB* made = nullptr;
  if (const auto done = rocksdb::DB::Open(options, directory, &made); !done.ok())
    return failure(done, "open the repaired state in " + directory);
  const std::unique_ptr<rocksdb::DB> opened(made);
  repaired_state left;
  left.damaged_bytes = salvaged->damaged_bytes;
  for (std::string& each : salvaged->batches) {
    rocksdb::WriteBatch batch(std::move(each));
    if (const auto done = opened->Write(synced(), &batch); !done.ok())
      return failure(done, "write the repaired state in " + directory);
  }
  const std::unique_ptr<rocksdb::Iterator> all(opened->NewIterator({}));
  for (all->SeekToFirst(); all->Valid(); all->Next()) left.records[all->key().ToString()] = all->value().ToString();
  if (!all->status().ok()) return failure(all->status(), "read the repaired state in " + directory);
  if (auto noted = folder->note_change(opened->GetLatestSequenceNumber()); !noted) return tl::unexpected(noted.error());
  return left;
}

}  // namespace sluice::state
