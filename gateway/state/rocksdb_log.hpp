#pragma once
#include <rocksdb/env.h>

namespace sluice::state {

/// What RocksDB has to say, from warnings on, goes into the gateway's log. With a file of its own for it, RocksDB ends
/// the process when the file system is full (7.8.3).
class rocksdb_log final : public rocksdb::Logger {
 public:
  rocksdb_log() : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override;
};

}  // namespace sluice::state
