#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ceph/cluster/connection.hpp"

namespace sluice::shared {

using omap = std::map<std::string, std::string>;

/// A change of an object, done whole or not at all.
struct object_change {
  bool makes_it = false;  // the object must not be there: -EEXIST
  omap expects;           // what these keys must hold: -ECANCELED
  omap sets;
  std::vector<std::string> removes;
};

/// Which keys of an object: those that begin with `prefix`, behind `after`. Empty: any.
struct key_range {
  std::string prefix = {}, after = {};
};

/// An object of a pool that is a small table: its omap. A value: copies mean the same object. Any thread.
class shared_object {
 public:
  /// How long the calls that block wait for the cluster.
  static constexpr std::chrono::seconds patience{10};

  shared_object(std::shared_ptr<cluster::pool> in, std::string name) : pool_(std::move(in)), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  const std::shared_ptr<cluster::pool>& pool() const { return pool_; }

  /// `done` gets 0 or a negative error number, and what the table has of `which`. On a thread of librados, or at once
  /// when it could not be asked; never when the cluster does not answer.
  void read(std::function<void(int, omap)> done, const key_range& which = {}) const;
  void change(const object_change& wanted, std::function<void(int)> done) const;

  /// The same for threads that may wait: -ETIMEDOUT after `limit`, and then a change may still be made.
  std::pair<int, omap> read_now(std::chrono::nanoseconds limit = patience, const key_range& which = {}) const;
  int change_now(const object_change& wanted, std::chrono::nanoseconds limit = patience) const;

 private:
  std::shared_ptr<cluster::pool> pool_;
  std::string name_;
};

}  // namespace sluice::shared
