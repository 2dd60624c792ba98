#pragma once
#include <deque>
#include <set>
#include <vector>

#include "actors/reactor/simulated.hpp"

namespace sluice::reactor {

/// TCP as a simulated world has it: ordered streams cut anywhere, that take their time, fill up, stall and break.
class sim_network {
 public:
  explicit sim_network(sim_world& world) : world_(world) {}

  result<handle> listen(const sim_loop& on, endpoint where, int backlog);
  result<endpoint> local(handle h) const;
  result<endpoint> peer(handle h) const;
  void accept(std::uint64_t request, handle listener);
  void connect(const sim_loop& on, std::uint64_t request, const endpoint& to);
  void receive(const sim_loop& on, std::uint64_t request, handle h, bytes into);
  std::int64_t send(const sim_loop& on, handle h, const iovec* parts, unsigned count);
  void wait_writable(std::uint64_t request, handle h);
  void shutdown(handle h);
  void close(handle h);

  void reset(handle h);
  void stall(handle h, std::uint64_t duration_ns);
  void partition(unsigned loop_a, unsigned loop_b, bool cut);
  /// Every socket of the loop vanishes.
  void crash(std::uint64_t loop);

 private:
  struct packet {
    enum class kind { data, fin, reset };
    kind what;
    std::vector<std::uint8_t> octets;
  };
  struct reading {
    std::uint64_t request = 0;
    bytes into;
  };
  /// One end of a connection.
  struct end {
    std::uint64_t loop = 0;  // who used it last
    unsigned loop_index = 0;
    handle other = no_handle;
    endpoint local, remote;
    std::deque<std::uint8_t> inbound;
    std::deque<packet> held;       // arrived while the network was cut
    std::uint64_t unreceived = 0;  // octets sent from here that the other end has not received
    std::uint64_t last_arrival_ns = 0;
    std::uint64_t stalled_until_ns = 0;
    bool fin_received = false;
    bool fin_sent = false;
    bool broken = false;
    reading reader;
    std::uint64_t writer = 0;
  };
  struct listener {
    std::uint64_t loop;
    unsigned loop_index;
    endpoint where;
    std::size_t backlog;
    bool ended = false;
    std::deque<handle> ready;
    std::deque<std::uint64_t> accepts;
  };

  void attempt_connect(unsigned from_loop, std::uint64_t loop, std::uint64_t request, const endpoint& to,
                       unsigned attempt);
  void establish(unsigned from_loop, std::uint64_t loop, std::uint64_t request, listener& with, const endpoint& to);
  std::map<handle, listener>::iterator find_listener(const endpoint& where);
  void match_accepts(handle h);
  void transmit(end& from, packet carried);
  void arrive(handle sender, handle to, packet carried);
  void apply(handle at, packet carried);
  void release_held(handle h);
  bool cut(const end& of) const;
  void poke(handle h);
  void try_receive(handle h);
  void credit(handle sender, std::uint64_t octets);
  void break_end(handle h);
  void drop(handle h, bool with_reset);
  end* find(handle h);
  static void used_by(end& of, const sim_loop& on);

  sim_world& world_;
  std::map<handle, end> ends_;
  std::map<handle, listener> listeners_;
  std::set<std::pair<unsigned, unsigned>> cuts_;
  std::uint16_t next_port_ = 49152;
};

}  // namespace sluice::reactor
