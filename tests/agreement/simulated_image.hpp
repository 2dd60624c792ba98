#pragma once
#include <array>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "actors/reactor/simulated.hpp"
#include "tests/agreement/plant.hpp"
#include "tiers/store/store.hpp"

namespace sluice::agreement_sim {

/// The image that gateways share, as its OSD has it. What was sent over a connection is done when it gets there: soon,
/// or after seconds, and also when its gateway has ended by then; unless the connection was fenced before. As with
/// RADOS, what one connection asks of an object (here of 4 KiB) is done in order.
class simulated_image {
 public:
  static constexpr std::uint64_t blocks = 64, block_bytes = 512, object_bytes = 4096;

  simulated_image(reactor::sim_world& world, plant bug) : world_(world), bug_(bug) {}

  simulated_image(const simulated_image&) = delete;
  simulated_image& operator=(const simulated_image&) = delete;

  class opened;
  /// A gateway's: `in_process` as the authority's.
  std::shared_ptr<opened> open(std::function<void(std::function<void()>)> in_process);
  /// Nothing is late from now on.
  void be_prompt() { is_prompt_ = true; }
  /// Nothing that was sent over those connections is done from now on.
  void shut_out(const std::set<std::uint64_t>& connections);

 private:
  struct operation {
    std::uint64_t connection;
    std::vector<std::uint8_t> data;  // to be written
    std::uint64_t offset, length;
  };

  reactor::sim_world& world_;
  const plant bug_;
  std::array<std::uint8_t, blocks * block_bytes> content_{};
  std::set<std::uint64_t> fenced_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> last_ns_;  // of a connection's requests, by object
  std::uint64_t next_connection_ = 1;
  bool is_prompt_ = false;
};

/// The image as one process of a gateway has it open: all its channels go by one connection.
class simulated_image::opened final : public store::store, public std::enable_shared_from_this<opened> {
 public:
  opened(simulated_image& of, std::function<void(std::function<void()>)> in_process);

  const char* type() const noexcept override { return "image"; }
  sluice::store::properties describe() const override;
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override;
  result<void> resize(std::uint64_t) override { return fail(errc::unsupported, "it has a size of its own"); }

  std::uint64_t connection() const { return connection_; }
  /// The connection may be fenced by now: what comes goes by another one. What is under way is answered as ever.
  void reconnect();
  /// The process ends: nobody hears of anything.
  void end();

 private:
  class channel;
  void submit(sluice::store::request& r);
  void answer(std::uint64_t number, sluice::store::status outcome, const std::vector<std::uint8_t>& data);

  simulated_image& image_;
  const std::function<void(std::function<void()>)> in_process_;
  std::uint64_t connection_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, sluice::store::request*> under_way_;
};

}  // namespace sluice::agreement_sim
