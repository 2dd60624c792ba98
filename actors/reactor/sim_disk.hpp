#pragma once
#include <array>
#include <set>
#include <vector>

#include "actors/reactor/simulated.hpp"

namespace sluice::reactor {

/// Files as a simulated world has them: sparse, with a volatile cache over a durable medium of 512-octet sectors.
class sim_disk {
 public:
  struct gather {
    const iovec* parts;
    unsigned count;
    std::uint64_t size() const;
  };

  explicit sim_disk(sim_world& world) : world_(world) {}

  result<handle> open(const sim_loop& on, const std::string& path, open_flags flags);
  result<handle> open_memory(const sim_loop& on, std::uint64_t size_bytes);
  void close(handle h) { handles_.erase(h); }
  result<file_info> info(handle h);
  result<void> resize(handle h, std::uint64_t size_bytes);
  result<std::uint64_t> read_at_once(handle h, bytes to, std::uint64_t offset);
  result<void> write_at_once(handle h, const_bytes from, std::uint64_t offset);
  result<void> sync_at_once(handle h);
  result<std::string> attribute_of(handle h, const std::string& name);
  result<void> set_attribute(handle h, const std::string& name, const std::string& text);
  void read(std::uint64_t request, handle h, gather to, std::uint64_t offset);
  void write(std::uint64_t request, handle h, gather from, std::uint64_t offset, bool durable);
  void sync(std::uint64_t request, handle h);
  void zero(std::uint64_t request, handle h, std::uint64_t offset, std::uint64_t length);
  void find_data(std::uint64_t request, handle h, std::uint64_t offset, std::uint64_t* begin, std::uint64_t* end);
  /// The request is over before its time: its write does not happen.
  void cancelled(std::uint64_t request) { writes_.erase(request); }

  sim_file_faults& faults(const std::string& path) { return faults_[path]; }
  void remove(const std::string& path) { files_.erase(path); }
  void make_device(const std::string& path, std::uint64_t size_bytes);
  void medium_error(const std::string& path, std::uint64_t offset, std::uint64_t length);
  /// Power loss for the files that the loop was the last to open.
  void crash(std::uint64_t loop);
  /// The end of the loop's process in the midst of what it does.
  void kill(std::uint64_t loop);
  /// Power loss or kill() as all others see it; what the loop has open goes on as copies of its own.
  void detach(std::uint64_t loop, bool loses_power);
  /// Closes what the loop has open, without loss.
  void release(std::uint64_t loop);

 private:
  static constexpr std::uint64_t sector_size = 512;
  static constexpr std::uint64_t page_size = 4096;
  static constexpr std::size_t version_limit = 16;  // beyond it the cache writes back the oldest
  using sector = std::array<std::uint8_t, sector_size>;
  using page = std::array<std::uint8_t, page_size>;
  struct version {
    std::uint64_t number;  // in order of completion
    sector content;
  };
  struct file {
    std::uint64_t size = 0;
    std::uint64_t last_version = 0;
    std::uint64_t loop = 0;                                       // the last to open it: whose power loss it suffers
    std::map<std::uint64_t, page> current;                        // what reads see; absent pages are holes
    std::map<std::uint64_t, sector> durable;                      // what the medium holds; absent sectors are zeroes
    std::map<std::uint64_t, std::vector<version>> volatile_ones;  // sectors written since they were durable
    std::set<std::uint64_t> bad;                                  // sectors that cannot be read
    std::map<std::string, std::string> attributes;
    bool is_device = false;
    const sim_file_faults* faults = nullptr;
  };
  struct opened {
    std::shared_ptr<file> of;
    open_flags flags;
    std::uint64_t loop;
  };
  struct writing {
    std::shared_ptr<file> to;
    gather from;
    std::uint64_t offset;
    std::uint64_t loop;
    bool durable;
  };

  static sector load(const file& from, std::uint64_t number);
  static void put(file& to, std::uint64_t offset, const std::uint8_t* from, std::uint64_t size);
  static void settle(file& of, std::uint64_t number, std::size_t versions);
  static void sync_until(file& of, std::uint64_t until);
  void forget_some(file& of, std::uint64_t until);
  std::shared_ptr<file> make(const std::string& path);
  static void resize_file(file& of, std::uint64_t size_bytes);
  static void wrote(file& to, std::uint64_t offset, std::uint64_t size, bool durable);
  void write_some(const writing& what, bool whole);
  std::int64_t write_now(const writing& what);
  std::int64_t write_front(const writing& what);
  std::uint64_t misdirect(const file& from, std::uint64_t offset, std::uint64_t size);
  std::int64_t read_now(file& from, const gather& to, std::uint64_t offset);
  void crash_file(file& of);
  const opened* find(handle h) const;
  static bool misaligned(const opened& at, const gather& parts, std::uint64_t offset);
  void later(std::uint64_t request, std::function<std::int64_t()> what);
  /// Likewise; fails when the file is gone by then.
  void later(std::uint64_t request, std::shared_ptr<file> of, std::function<std::int64_t()> what);

  sim_world& world_;
  std::map<std::string, std::shared_ptr<file>> files_;
  std::map<std::string, sim_file_faults> faults_;  // by path
  std::map<handle, opened> handles_;
  std::map<std::uint64_t, writing> writes_;  // in flight, by request
};

}  // namespace sluice::reactor
