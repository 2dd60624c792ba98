#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/reactor/message_sockets.hpp"

/// A world in one thread: virtual time, a network and disks in memory, faults, all drawn from one seed. The same seed
/// and the same calls give the same history, which digest() sums up.
namespace sluice::reactor {

class sim_loop;
class sim_network;
class sim_disk;
class sim_events;
class sim_datagrams;

/// What the world is like; may be changed at any time. Latencies are drawn evenly from their range.
struct sim_options {
  struct range {
    std::uint64_t least, most;
  };
  range network_latency_ns{20 * ns_per_us, 200 * ns_per_us};
  range disk_latency_ns{50 * ns_per_us, 2 * ns_per_ms};
  range turn_latency_ns{200, 5 * ns_per_us};    // from the reason for a turn of a loop to the turn
  std::uint64_t send_buffer_bytes = 256 * kib;  // octets of a connection and direction that nobody received yet
  // Probabilities, 0 to 1.
  double short_send = 0.1;     // send_now() takes only a part
  double short_receive = 0.2;  // a receive gets less than there is
  double split = 0.3;          // what is sent arrives in several pieces
  double reset = 0;            // a send resets its connection
  double read_error = 0;       // a read fails with -EIO
  double write_error = 0;      // a write fails with -EIO, some of its sectors written
  double early_read = 0;       // a read gets what was there a while before it is answered
  double frame_loss = 0;       // an Ethernet frame reaches one receiver less
};

/// What is wrong with one file. Probabilities of each request, 0 to 1.
struct sim_file_faults {
  bool gone = false;            // all that is asked of it fails with -ENODEV, what is under way may be done in part
  bool fails_writes = false;    // all writes fail with -EIO, some of their sectors written
  double short_read = 0;        // gets fewer octets than asked for
  double short_write = 0;       // writes fewer octets than asked for, and says so
  double misdirected_read = 0;  // gets what lies in other blocks of 4 KiB
  /// A sync fails with -EIO, and a part of what it was to make durable never will be, though reads go on to see it. The
  /// next one knows nothing of that, as on Linux.
  double failed_sync = 0;
};

class sim_world {
 public:
  explicit sim_world(std::uint64_t seed, sim_options options = {});
  /// Its loops must be gone.
  ~sim_world();
  sim_world(const sim_world&) = delete;
  sim_world& operator=(const sim_world&) = delete;

  /// A loop of this world. Each one is a machine of its own in crash() and partition(); the disks are shared by path.
  std::unique_ptr<loop> make_loop(unsigned index, std::uint64_t buffer_bytes = 64 * mib);

  sim_options& options() { return options_; }
  std::uint64_t now_ns() const { return now_; }
  /// A hash of everything that happened so far.
  std::uint64_t digest() const { return digest_; }

  /// Lets the next event happen; false when nothing is left to happen.
  bool step();
  /// Steps until `done`, at most to the (absolute) virtual time `deadline_ns`, to which time then advances. Returns
  /// whether `done` came true.
  bool run_until(const std::function<bool()>& done, std::uint64_t deadline_ns);
  void run_for(std::uint64_t duration_ns);

  // -- faults on command -----------------------------------------------------------------------------------
  /// Both ends of the connection see -ECONNRESET, after what the network takes.
  void reset_connection(handle end);
  /// Nothing arrives at either end for this long; then everything does, in order.
  void stall(handle end, std::uint64_t duration_ns);
  /// Cuts (or heals) the network between two loops; nothing is lost, as TCP sees it, unless connecting times out.
  void partition(unsigned loop_a, unsigned loop_b, bool cut);
  /// Reads of the range fail with -EIO, until each sector has been written anew.
  void medium_error(const std::string& path, std::uint64_t offset, std::uint64_t length);
  /// What is wrong with the file, whether it is there or not; may be changed at any time.
  sim_file_faults& faults(const std::string& path);
  /// Whether all writes to the file fail; as faults().
  void fail_writes(const std::string& path, bool fail) { faults(path).fails_writes = fail; }
  /// Who has the file open keeps it.
  void remove_file(const std::string& path);
  /// The file is a block device of this size from now on, made when it is absent: what was cut off reads as zeroes.
  void make_device(const std::string& path, std::uint64_t size_bytes);
  /// Power loss of the machine of this loop, or of all. Its handles, queued work, timers and operations are forgotten
  /// without completing; of the files it was the last to open only what was durable is certain, and each 512-octet
  /// sector written since holds any one of its contents since. Its owner then drops what lived on the loop and starts
  /// anew. Not from within a turn.
  void crash(unsigned loop_index);
  void crash();
  /// The process on this loop ends at once, as crash(), but its machine goes on: what it had written stays in the page
  /// cache, what was under way may have happened in part.
  void kill(unsigned loop_index);
  /// What ends for a loop that is unplugged: its machine, as in crash(), or its process, as in kill().
  enum class ending : std::uint8_t { machine, process };
  /// The end of the loop as all others see it, while the program on it lives on, cut off, to be torn down in order: its
  /// sockets are gone, what it has under way fails with -EIO, and the files that it has open become healthy copies of
  /// its own, which nobody else sees. Not from within a turn.
  void unplug(unsigned loop_index, ending how = ending::machine);

  // -- interfaces and the kernel's notices ---------------------------------------------------------------------
  /// An Ethernet interface, up, on a segment that carries each frame to all other interfaces on it, in order.
  void add_link(const std::string& name, const mac_address& address, const std::string& segment,
                std::uint32_t mtu = 1500);
  void set_link(const std::string& name, bool up);
  void remove_link(const std::string& name);
  /// Gives a netlink message to every socket of this family that has joined the group.
  void netlink_notice(netlink_family family, unsigned group, const_bytes octets);
  /// Who answers netlink requests, each with any number of messages; nobody unless set.
  using netlink_answerer = std::function<std::vector<std::vector<std::uint8_t>>(netlink_family, const_bytes request)>;
  void answer_netlink(netlink_answerer with);

  // -- for the parts of the world ----------------------------------------------------------------------------
  std::uint64_t random();
  std::uint64_t below(std::uint64_t bound);  // 0 … bound-1
  bool chance(double probability);
  std::uint64_t draw(sim_options::range from);
  void note(std::uint64_t detail);  // mixes into digest()
  void at(std::uint64_t when_ns, std::function<void()> what);
  void after(std::uint64_t delay_ns, std::function<void()> what) { at(now_ + delay_ns, std::move(what)); }
  handle new_handle() { return next_handle_++; }

  /// Requests go by numbers, so that what refers to a cancelled one finds it gone.
  std::uint64_t begin_request(sim_loop& on, operation& op);
  bool pending(std::uint64_t request) const { return requests_.contains(request); }
  void finish_request(std::uint64_t request, std::int64_t result);
  void finish_request_after(std::uint64_t delay_ns, std::uint64_t request, std::int64_t result);
  void cancel_request(sim_loop& on, operation& op);
  unsigned loop_of(std::uint64_t request) const;

  sim_network& network() { return *network_; }
  sim_disk& disk() { return *disk_; }
  sim_events& events() { return *sim_events_; }
  sim_datagrams& datagrams() { return *datagrams_; }

 private:
  friend class sim_loop;
  struct started {
    std::uint64_t loop;
    operation* op;
  };
  void crash_loop(std::uint64_t number);
  /// Its sockets and events are gone.
  void vanish(std::uint64_t loop);
  void end_loop(std::uint64_t number);
  void retire(std::uint64_t number);
  void forget_requests(std::uint64_t loop);

  sim_options options_;
  std::uint64_t random_state_;
  std::uint64_t now_ = ns_per_s;
  std::uint64_t digest_ = 0;
  std::uint64_t next_event_ = 0;
  std::uint64_t next_request_ = 1;
  std::uint64_t next_loop_ = 1;
  handle next_handle_ = 1000;  // never reused: an old handle never means something new
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::function<void()>> events_;  // by time, then order
  std::map<std::uint64_t, started> requests_;
  std::map<std::uint64_t, sim_loop*> loops_;
  const sim_loop* running_ = nullptr;
  std::unique_ptr<sim_network> network_;
  std::unique_ptr<sim_disk> disk_;
  std::unique_ptr<sim_events> sim_events_;
  std::unique_ptr<sim_datagrams> datagrams_;
};

}  // namespace sluice::reactor
