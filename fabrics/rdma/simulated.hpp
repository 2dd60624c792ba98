#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/reactor/simulated.hpp"
#include "fabrics/rdma/device.hpp"

/// RDMA in a simulated world: hosts for a gateway, and peers that connect to them. Messages take random times; each
/// direction of a connection keeps its order, and nothing is in order between connections.
namespace sluice::rdma {

class simulated_connection;
class simulated_network;

/// The other end of a connection: an initiator's adapter with memory of its own. On no loop: called, and calling, on
/// the world's thread.
class peer {
 public:
  class handler {
   public:
    virtual void on_accepted(const_bytes private_data) = 0;
    virtual void on_rejected(const_bytes private_data) = 0;  // empty: nobody listens there
    virtual void on_message(const_bytes octets) = 0;
    virtual void on_closed() = 0;  // after on_accepted(): disconnected, or broken

   protected:
    ~handler() = default;
  };
  peer(simulated_network& in, std::string address, handler& told);
  ~peer();  // vanishes

  void connect(const std::string& to, const_bytes private_data);
  void send(std::vector<std::uint8_t> octets);
  void disconnect();
  /// Breaks the connection without a word.
  void vanish();
  bool connected() const;

  /// Lets the target use memory under a new key, at the addresses that it has here.
  std::uint32_t expose(bytes memory, bool writable);
  void conceal(std::uint32_t key) { exposed_.erase(key); }
  bool is_exposed(std::uint32_t key) const { return exposed_.contains(key); }
  /// Reads of the memory do not come to their end until it is released: as if their answers were lost, over and over.
  void hold(std::uint32_t key) { held_.insert(key); }
  void release(std::uint32_t key);
  /// Whether a read waits for release().
  bool is_awaited(std::uint32_t key) const;

 private:
  friend class simulated_connection;
  friend struct sim_link;
  struct region {
    bytes memory;
    bool writable = false;
  };
  /// The memory; empty when the key does not allow it.
  bytes find(std::uint32_t key, std::uint64_t address, std::uint64_t octets, bool writes);

  simulated_network& network_;
  const std::string address_;
  handler& handler_;
  std::shared_ptr<struct sim_link> link_;
  std::map<std::uint32_t, region> exposed_;
  std::set<std::uint32_t> held_;
  std::uint32_t next_key_ = 0x1000;
};

class simulated_network {
 public:
  struct options {
    reactor::sim_options::range latency_ns{5 * ns_per_us, 100 * ns_per_us};
    queue_depths limits{512, 512};
    std::uint32_t queue_pairs = 1000;  // how many a host may have
    double loss = 0;                   // of a message: the connection breaks with it
  };
  explicit simulated_network(reactor::sim_world& world) : world_(world) {}
  options& settings() { return options_; }
  host_maker hosts();

  /// How often a message found no receive posted: credits were given that are not backed.
  std::uint64_t unready() const { return unready_; }
  /// Queue pairs that are not taken down.
  std::uint32_t queue_pairs() const { return queue_pairs_; }

 private:
  friend class peer;
  friend class simulated_connection;
  friend class simulated_host;
  friend class simulated_listener;
  friend struct sim_link;

  reactor::sim_world& world_;
  options options_;
  std::map<std::string, class simulated_listener*> listeners_;
  std::uint64_t unready_ = 0;
  std::uint32_t queue_pairs_ = 0;
};

}  // namespace sluice::rdma
