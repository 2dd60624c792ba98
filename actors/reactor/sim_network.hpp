#pragma once
#include <deque>
#include <set>
#include <vector>

#include "actors/reactor/sim_events.hpp"
#include "actors/reactor/simulated.hpp"

namespace sluice::reactor {

/// TCP as a simulated world has it: ordered streams cut anywhere, that take their time, fill up, stall and break. Local
/// streams are the same without stalls, partitions and resets out of the blue, and pass events.
class sim_network {
 public:
  explicit sim_network(sim_world& world) : world_(world) {}

  result<handle> listen(const sim_loop& on, endpoint where, int backlog);
  result<endpoint> local(handle h) const;
  result<endpoint> peer(handle h) const;
  void accept(std::uint64_t request, handle listener);
  void connect(const sim_loop& on, std::uint64_t request, const endpoint& to);
  void receive(const sim_loop& on, std::uint64_t request, handle h, bytes into);
  std::int64_t receive_now(const sim_loop& on, handle h, bytes into);
  std::int64_t send(const sim_loop& on, handle h, const iovec* parts, unsigned count, sim_events::several passed = {});
  void wait_readable(const sim_loop& on, std::uint64_t request, handle h);
  void wait_writable(std::uint64_t request, handle h);
  void shutdown(handle h);
  void close(handle h);

  result<handle> listen_local(const sim_loop& on, const std::string& path, int backlog);
  result<handle> connect_local(const sim_loop& on, const std::string& path);
  result<peer_credentials> credentials(handle h);
  std::int64_t receive_now(const sim_loop& on, handle h, bytes into, sim_events::several& passed);

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
    sim_events::several passed{};  // with the first octet
  };
  struct reading {
    std::uint64_t request = 0;
    bytes into;
    bool only_waits = false;
  };
  /// What was passed, with the octets from `begin` to `end`, counted as end::received.
  struct passed_events {
    std::uint64_t begin, end;
    sim_events::several what;
  };
  /// One end of a connection.
  struct end {
    std::uint64_t loop = 0;  // who used it last
    unsigned loop_index = 0;
    handle other = no_handle;
    endpoint local, remote;
    bool is_local = false;
    std::deque<std::uint8_t> inbound;
    std::uint64_t received = 0;  // octets, ever: the first of inbound is this one
    std::deque<passed_events> passed;
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
  std::pair<handle, handle> make_ends(const end& near, const end& far);
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
  std::int64_t take_some(end& of, bytes into);
  std::uint64_t take_inbound(end& of, bytes into, sim_events::several* passed);
  void credit(handle sender, std::uint64_t octets);
  void break_end(handle h);
  void drop(handle h, bool with_reset);
  end* find(handle h);
  static void used_by(end& of, const sim_loop& on);

  sim_world& world_;
  std::map<handle, end> ends_;
  std::map<handle, listener> listeners_;
  std::set<std::pair<unsigned, unsigned>> cuts_;
  std::set<std::string> paths_;  // of local sockets, whether anybody listens or not
  std::uint16_t next_port_ = 49152;
};

}  // namespace sluice::reactor
