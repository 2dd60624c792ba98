#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/runtime/core.hpp"
#include "fabrics/port/fabric.hpp"

/// A fabric without a wire, for tests of a whole gateway: sessions are nexuses that the test opens and uses itself.
namespace sluice::daemon {

class wire {
 public:
  class session;

  /// `fabric = "wire"`. Several ports may have one address; nobody can have number 0.
  port::fabric fabric();
  /// Logs in; null when it is not admitted. On the core of that number.
  std::shared_ptr<session> log_in(const std::string& port, std::uint16_t group, const std::string& initiator,
                                  std::size_t core = 0);
  /// Addresses that ports have.
  const std::multiset<std::string>& taken() const { return taken_; }

 private:
  class wired_port;
  class at_work;
  std::vector<port::core_endpoint> endpoints_;
  std::multimap<port::port_id, std::weak_ptr<session>> sessions_;
  std::multiset<std::string> taken_;

  static result<void> could_have(const std::vector<std::string>& addresses) {
    for (const std::string& each : addresses)
      if (each.ends_with(":0")) return fail(errc::busy, each + " cannot be had");
    return {};
  }
  result<void> take(const std::vector<std::string>& addresses);
  void let_go(const std::vector<std::string>& addresses);
};

/// One command at a time.
class wire::session final : public port::task_endpoint, public std::enable_shared_from_this<wire::session> {
 public:
  session(port::core_endpoint endpoint, port::port_id port, std::string initiator)
      : endpoint_(endpoint), port_(std::move(port)), initiator_(std::move(initiator)) {}
  bool open() {
    port::login who;
    who.port = port_;
    who.initiator = {scsi::protocol::iscsi, initiator_, "0x000000000001"};
    endpoint_.core->call_async([&](const std::function<void()>& finished) {
      endpoint_.gateway->open(who, {[this](port::loss_reason reason) { close(reason, [] {}); }, nullptr},
                              [this, finished](result<std::unique_ptr<port::nexus>> opened) {
                                if (opened) nexus_ = std::move(*opened);
                                finished();
                              });
    });
    return nexus_ != nullptr;
  }
  bool is_live() {
    bool live = false;
    endpoint_.core->call([&] { live = nexus_ && !closing_; });
    return live;
  }
  /// Logs out, unless it was logged out. Before the session goes.
  void end() {
    endpoint_.core->call_async(
        [this](const std::function<void()>& finished) { close(port::loss_reason::logout, finished); });
  }

  struct answer {
    scsi::status status = scsi::status::good;
    scsi::additional_sense asc = 0;
    std::vector<std::uint8_t> data;
  };
  answer execute(std::uint16_t lun, std::vector<std::uint8_t> cdb, std::vector<std::uint8_t> out, std::size_t in) {
    answer got;
    endpoint_.core->call_async([&](const std::function<void()>& finished) {
      if (!nexus_ || closing_) return finished();
      task_.reset();
      task_.nexus = nexus_->identity();
      task_.fabric = this;
      task_.lun = port::lun_address(lun);
      task_.tag = ++tag_;
      task_.cdb_bytes = static_cast<std::uint8_t>(cdb.size());
      std::copy(cdb.begin(), cdb.end(), task_.cdb.begin());
      task_.expected_data_out = out.size();
      task_.expected_data_in = in;
      if (!out.empty()) {
        memory::slice piece = endpoint_.core->loop().buffers().take(static_cast<std::uint32_t>(out.size()));
        std::memcpy(piece.data(), out.data(), out.size());
        task_.data_out.push_back(std::move(piece));
        task_.data_out_end = out.size();
      }
      done_ = [this, &got, finished] {
        got.status = task_.outcome.status;
        got.asc = task_.outcome.sense.code;
        for (const memory::slice& piece : task_.data_in)
          got.data.insert(got.data.end(), piece.data(), piece.data() + piece.size());
        task_.reset();
        finished();
      };
      nexus_->submit(task_);
    });
    return got;
  }
  /// Until nothing more is to be told.
  std::vector<scsi::additional_sense> attentions(std::uint16_t lun) {
    std::vector<scsi::additional_sense> told;
    for (int i = 0; i < 16; ++i) {
      const answer ready = execute(lun, std::vector<std::uint8_t>(6), {}, 0);
      if (ready.status == scsi::status::good || ready.asc == scsi::asc::logical_unit_not_supported) break;
      told.push_back(ready.asc);
    }
    return told;
  }
  bool write(std::uint16_t lun, std::uint8_t block, std::uint8_t pattern) {
    return execute(lun, {0x2a, 0, 0, 0, 0, block, 0, 0, 1, 0}, std::vector<std::uint8_t>(512, pattern), 0).status ==
           scsi::status::good;
  }
  bool holds(std::uint16_t lun, std::uint8_t block, std::uint8_t pattern) {
    return execute(lun, {0x28, 0, 0, 0, 0, block, 0, 0, 1, 0}, {}, 512).data == std::vector<std::uint8_t>(512, pattern);
  }

  void close(port::loss_reason reason, std::function<void()> closed) {
    if (gone_ || !nexus_) return closed();
    waiting_.push_back(std::move(closed));
    if (std::exchange(closing_, true)) return;
    nexus_->close(reason, [this] {
      gone_ = true;
      // Its LUN map keeps the units.
      endpoint_.core->loop().post(std::function<void()>([self = shared_from_this()] {
        self->nexus_.reset();
        for (const auto& each : std::exchange(self->waiting_, {})) each();
      }));
    });
  }

  // port::task_endpoint
  void post(port::task& t, port::task_event event) noexcept override {
    if (event == port::task_event::put_data) return t.unit->post(t, port::task_event::data_sent);
    if (event == port::task_event::complete) std::exchange(done_, nullptr)();
  }
  void post(port::task_management&) noexcept override {}

  const port::core_endpoint& endpoint() const { return endpoint_; }

 private:
  const port::core_endpoint endpoint_;
  const port::port_id port_;
  const std::string initiator_;
  std::unique_ptr<port::nexus> nexus_;
  port::task task_;
  std::uint64_t tag_ = 0;
  std::function<void()> done_;
  std::vector<std::function<void()>> waiting_;
  bool closing_ = false, gone_ = false;
};

class wire::wired_port final : public port::target_port {
 public:
  wired_port(wire& of, const config::port_config& how)
      : of_(of),
        about_{{how.fabric, how.name, how.group}, scsi::protocol::iscsi, how.name, how.name},
        addresses_(how.settings.list("listen")) {}
  const port::port_descriptor& descriptor() const override { return about_; }
  std::vector<std::string> addresses() const override { return addresses_; }

  /// Addresses come and go; sessions stay where there are any addresses left that the port had.
  result<std::unique_ptr<port::port_change>> prepare(const config::port_config& to) override {
    std::vector<std::string> fresh;
    for (const std::string& each : to.settings.list("listen"))
      if (std::find(addresses_.begin(), addresses_.end(), each) == addresses_.end()) fresh.push_back(each);
    if (auto done = of_.take(fresh); !done) return tl::unexpected(done.error());
    return std::make_unique<other_addresses>(*this, to.settings.list("listen"), fresh);
  }
  std::size_t disturbs(const config::port_config&) const override { return 0; }
  void stop(std::function<void()> stopped) override {
    const auto [begin, end] = of_.sessions_.equal_range(about_.id);
    for (auto it = begin; it != end; ++it)
      if (const auto one = it->second.lock()) one->end();
    of_.sessions_.erase(begin, end);
    of_.let_go(addresses_);
    stopped();
  }

 private:
  class other_addresses final : public port::port_change {
   public:
    other_addresses(wired_port& of, std::vector<std::string> all, std::vector<std::string> fresh)
        : of_(of), all_(std::move(all)), fresh_(std::move(fresh)) {}
    ~other_addresses() override {
      if (!done_) of_.of_.let_go(fresh_);
    }
    void commit() override {
      done_ = true;
      for (const std::string& each : of_.addresses_)
        if (std::find(all_.begin(), all_.end(), each) == all_.end()) of_.of_.let_go({each});
      of_.addresses_ = all_;
    }

   private:
    wired_port& of_;
    const std::vector<std::string> all_, fresh_;
    bool done_ = false;
  };

  wire& of_;
  const port::port_descriptor about_;
  std::vector<std::string> addresses_;
};

class wire::at_work final : public port::running_fabric {
 public:
  explicit at_work(wire& of) : of_(of) {}
  result<std::unique_ptr<port::target_port>> open(const config::port_config& wanted) override {
    if (auto done = of_.take(wanted.settings.list("listen")); !done) return tl::unexpected(done.error());
    return std::make_unique<wired_port>(of_, wanted);
  }

 private:
  wire& of_;
};

inline result<void> wire::take(const std::vector<std::string>& addresses) {
  if (auto free = could_have(addresses); !free) return free;
  taken_.insert(addresses.begin(), addresses.end());
  return {};
}

inline void wire::let_go(const std::vector<std::string>& addresses) {
  for (const std::string& each : addresses) taken_.erase(taken_.find(each));
}

inline port::fabric wire::fabric() {
  port::fabric made;
  made.rules.name = "wire";
  made.start = [this](const port::limits&, const std::vector<port::core_endpoint>& cores) {
    endpoints_ = cores;
    return std::make_unique<at_work>(*this);
  };
  made.probe = [](const config::port_config& wanted, const std::vector<std::string>&) {
    return could_have(wanted.settings.list("listen"));
  };
  return made;
}

inline std::shared_ptr<wire::session> wire::log_in(const std::string& port, std::uint16_t group,
                                                   const std::string& initiator, std::size_t core) {
  const port::port_id id{"wire", port, group};
  auto made = std::make_shared<session>(endpoints_.at(core), id, initiator);
  if (!made->open()) return nullptr;
  sessions_.emplace(id, made);
  return made;
}

}  // namespace sluice::daemon
