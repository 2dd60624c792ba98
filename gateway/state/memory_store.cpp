#include <map>
#include <mutex>

#include "gateway/state/state_store.hpp"

namespace sluice::state {
namespace {

class memory_store final : public state_store {
 public:
  result<std::optional<std::string>> load(std::string_view key) override {
    const std::lock_guard hold(mutex_);
    const auto it = values_.find(key);
    if (it == values_.end()) return std::nullopt;
    return it->second;
  }
  result<void> save(std::string key, std::string value) override {
    const std::lock_guard hold(mutex_);
    values_[std::move(key)] = std::move(value);
    return {};
  }
  void put(std::string key, std::string value, reactor::loop& home, durable done) override {
    {
      const std::lock_guard hold(mutex_);
      values_[std::move(key)] = std::move(value);
    }
    home.post([done = std::move(done)] { done({}); });
  }
  void erase(std::string key, reactor::loop& home, durable done) override {
    {
      const std::lock_guard hold(mutex_);
      values_.erase(key);
    }
    home.post([done = std::move(done)] { done({}); });
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace

std::unique_ptr<state_store> make_memory_store() {
  return std::make_unique<memory_store>();
}

}  // namespace sluice::state
