#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fabrics/port/nexus_endpoint.hpp"
#include "gateway/access/directory.hpp"
#include "gateway/nexus/peers.hpp"

namespace sluice::nexus {

/// How many task management functions of each kind initiators have asked for.
class function_counts {
 public:
  std::uint64_t& of(port::task_function function) { return counts_[static_cast<std::size_t>(function)]; }
  /// Those that were asked for, by name: "abort_task".
  std::map<std::string, std::uint64_t> by_name() const;

 private:
  std::array<std::uint64_t, 10> counts_{};
};

/// A channel of an I_T nexus that is logged in: routes its tasks to logical units by LUN, and answers for the target
/// device itself (REPORT LUNS, LUNs that are not there). Lives on one core, owned by the fabric's session.
class open_nexus final : public port::nexus, access::attention_listener {
 public:
  struct surroundings {
    other_channels* others = nullptr;  // null: the nexus has this channel only
    bool joined = false;               // another channel opened the nexus
    std::function<void(const port::unit_event&)> report = {};
    std::function<void()> gone;  // called once, when the channel has been closed
    /// Told of another peer, and of how it is reached; null: nobody shows them.
    std::function<void(const std::string&, const std::string&)> moved = {};
    function_counts* managed = nullptr;  // what initiators ask for is counted there; null: nobody counts
  };
  open_nexus(reactor::loop& loop, std::shared_ptr<const port::i_t_nexus> identity, access::lun_map luns,
             surroundings around);

  const std::shared_ptr<const port::i_t_nexus>& identity() const noexcept override { return identity_; }
  void submit(port::task& t) noexcept override;
  void manage(port::task_management& request) noexcept override;
  void reset(port::transport_reset what, std::function<void()> done) noexcept override;
  void reached_from(const std::string& peer, const std::string& description) noexcept override;
  void close(port::loss_reason reason, std::function<void()> closed) noexcept override;

  /// Replaces the LUN map while tasks run: units that left lose the nexus, new ones gain it, and the initiator is told
  /// REPORTED LUNS DATA HAS CHANGED through the units that stay [SPC-4 6.33].
  void remap(access::lun_map luns, std::uint64_t directory_version);
  /// What the initiator has asked for by this channel: commands, and octets to be moved.
  std::uint64_t commands() const noexcept { return commands_; }
  std::uint64_t octets() const noexcept { return bytes_; }
  /// The part of a function that another channel of the nexus was asked for which concerns this one.
  void manage_for_peer(const peer_request& what, other_channels::answer answered);

 private:
  using handle = std::shared_ptr<const access::unit_handle>;

  access::unit_endpoint* endpoint_of(const handle& unit) const { return unit->endpoints[loop_.index()]; }
  /// A unit that left the LUN map and is not through with this nexus' tasks: task management concerns it still.
  struct departing_unit {
    handle unit;
    std::vector<std::uint16_t> numbers;  // its LUNs
  };

  void on_attention(const access::unit_endpoint& at, scsi::additional_sense code) noexcept override;
  void report(port::unit_event what);
  void add_to(const handle& unit) { endpoint_of(unit)->add_nexus(identity_, report_ ? this : nullptr); }
  access::unit_endpoint* route(port::lun address) const noexcept;
  void depart(const handle& unit, std::vector<std::uint16_t> numbers);
  void manage_here(port::task_management& request);
  void manage_at(port::task_management& request, std::vector<access::unit_endpoint*> endpoints);
  std::vector<handle> distinct_units() const;
  void index();
  void answer_absent(port::task& t) noexcept;
  void report_luns(port::task& t) noexcept;
  void manage_every_unit(port::task_management& request);

  reactor::loop& loop_;
  std::shared_ptr<const port::i_t_nexus> identity_;
  access::lun_map luns_;
  std::vector<access::unit_endpoint*> by_number_;  // LUN -> endpoint, null where there is none
  std::shared_ptr<std::list<departing_unit>> departing_ = std::make_shared<std::list<departing_unit>>();
  other_channels* const others_;
  const bool joined_;
  std::shared_ptr<std::function<void(const port::unit_event&)>> report_;  // null: the fabric cannot
  std::function<void()> gone_;
  std::function<void(const std::string&, const std::string&)> moved_;
  function_counts* const managed_;
  bool closing_ = false;
  std::uint64_t commands_ = 0, bytes_ = 0;
};

}  // namespace sluice::nexus
