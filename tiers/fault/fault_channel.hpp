#pragma once
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "tiers/fault/fault_control.hpp"
#include "tiers/store/store.hpp"

namespace sluice::fault {

class fault_channel;

/// One request on its way through: what the store below sees, and the timer of its delay. Reused.
class fault_job final : public store::request, public reactor::timer {
 public:
  explicit fault_job(fault_channel& owner) : owner_(owner) {}
  void done(store::status outcome) noexcept override;
  void on_timer() noexcept override;

  store::request* outer = nullptr;
  verdict judged;
  fault_job* next_job = nullptr;  // of a list
  fault_job* previous_job = nullptr;
  std::vector<iovec> torn_parts;

 private:
  fault_channel& owner_;
};

/// Jobs in line.
class fault_job_list {
 public:
  bool empty() const { return first_ == nullptr; }
  void push(fault_job& job);
  void remove(fault_job& job);
  fault_job& pop();

 private:
  fault_job* first_ = nullptr;
  fault_job* last_ = nullptr;
};

/// One core's interface to a fault store. Requests that are held or delayed when it goes are answered with
/// status::gone.
class fault_channel final : public store::channel {
 public:
  fault_channel(std::shared_ptr<fault_control> control, const chances& odds, std::unique_ptr<store::channel> below,
                std::uint32_t block, reactor::loop& loop);
  ~fault_channel() override;

  void submit(store::request& r) noexcept override;
  store::availability available() const noexcept override { return below_->available(); }

 private:
  friend class fault_job;

  fault_job& take_job();
  verdict judge(const store::request& r);
  bool chance(std::uint32_t ppm);
  void release_held() noexcept;
  void enqueue(fault_job& job) noexcept;
  void go_on(fault_job& job) noexcept;
  void pass_on(fault_job& job) noexcept;
  void tear(fault_job& job) noexcept;
  void finish(fault_job& job, store::status outcome) noexcept;
  void run_due() noexcept;

  std::shared_ptr<fault_control> control_;
  chances odds_;
  std::unique_ptr<store::channel> below_;
  std::uint32_t block_;
  reactor::loop& loop_;
  std::mt19937_64 random_;
  // What a posted release finds of the channel, should the channel be gone by then.
  std::shared_ptr<fault_channel*> self_;
  std::vector<std::unique_ptr<fault_job>> jobs_;
  fault_job_list free_;
  fault_job_list held_;
  fault_job_list delayed_;
  fault_job_list due_;
  bool running_ = false;
  reactor::member_runnable<fault_channel, &fault_channel::run_due> run_due_{*this};
};

}  // namespace sluice::fault
