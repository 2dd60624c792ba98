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
  void change(std::vector<update> updates, reactor::loop& on, durable done) override {
    {
      const std::lock_guard hold(mutex_);
      for (update& each : updates) {
        if (each.value)
          values_[std::move(each.key)] = std::move(*each.value);
        else
          values_.erase(each.key);
      }
    }
    on.post([done = std::move(done)] { done({}); });
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
