#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tiers/store/contract_kit.hpp"

/// Setups of the contract suite that more than one room needs.
namespace sluice::store::contract {

/// A folder that goes with the test.
class temporary_folder {
 public:
  explicit temporary_folder(const std::filesystem::path& under = std::filesystem::temp_directory_path()) {
    std::string pattern = (under / "sluice-test-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot make a folder for a test");
    path_ = pattern;
  }
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// A store on a real loop, opened by a function; in a folder of its own should it need one.
class real_setup final : public setup {
 public:
  using opener = std::function<result<std::shared_ptr<store>>(reactor::loop&, const temporary_folder&, std::uint64_t)>;
  explicit real_setup(opener open_store, reactor::backend kind = reactor::backend::automatic,
                      std::uint64_t buffer_bytes = 64 * mib,
                      const std::filesystem::path& under = std::filesystem::temp_directory_path())
      : open_(std::move(open_store)), folder_(under), world_(kind, buffer_bytes) {}
  world& where() override { return world_; }
  std::shared_ptr<store> open(std::uint64_t size_bytes) override {
    auto opened = open_(world_.loop(), folder_, size_bytes);
    if (opened) return *opened;
    ADD_FAILURE() << opened.error().message;
    return nullptr;
  }

 private:
  opener open_;
  temporary_folder folder_;
  real_world world_;
};

/// A subject over real_setup.
inline subject real_subject(std::string name, real_setup::opener open_store,
                            reactor::backend kind = reactor::backend::automatic, std::uint64_t buffer_bytes = 64 * mib,
                            const std::filesystem::path& under = std::filesystem::temp_directory_path()) {
  return {std::move(name), [open_store, kind, buffer_bytes, under] {
            return std::make_unique<real_setup>(open_store, kind, buffer_bytes, under);
          }};
}

}  // namespace sluice::store::contract
