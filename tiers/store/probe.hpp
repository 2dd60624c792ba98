#pragma once
#include <string>

#include "tiers/store/store.hpp"

/// Looks at files and devices as open() would find them, and changes nothing: for store::factory::probe. Blocks.
namespace sluice::store {

struct file_wish {
  std::string path;
  bool writable = true;
  bool direct = false;
  bool made_when_absent = false;
  bool alone = false;  // nobody else may hold it
};

/// errc::not_found, errc::permission, errc::busy, or what else keeps it from being opened as a file.
result<void> probe_file(const file_wish& wanted);
/// The mark in the attributes of a file; empty where the file is absent or has none.
result<ownership> probe_file_ownership(const std::string& path);
/// The same as probe_file() for a block device.
result<void> probe_device(const std::string& path, bool writable);

}  // namespace sluice::store
