#pragma once
#include <rocksdb/options.h>

#include "actors/base/result.hpp"

namespace sluice::state {

/// How the state database is opened, by a gateway and by whoever repairs it.
rocksdb::Options database_options();
rocksdb::WriteOptions synced();
/// `what` was being done to the folder's database.
tl::unexpected<error> failure(const rocksdb::Status& status, const std::string& what);

}  // namespace sluice::state
