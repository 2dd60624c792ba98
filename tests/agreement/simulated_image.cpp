#include "tests/agreement/simulated_image.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::agreement_sim {
namespace {

using sluice::store::request;
using sluice::store::status;
using sluice::store::verb;

constexpr reactor::sim_options::range soon_ns{50 * ns_per_us, 5 * ns_per_ms};
constexpr std::uint64_t late_in = 30, late_ns = 4 * ns_per_s;  // one request in so many takes up to that long

}  // namespace

class simulated_image::opened::channel final : public sluice::store::channel {
 public:
  explicit channel(std::shared_ptr<opened> of) : of_(std::move(of)) {}
  void submit(request& r) noexcept override { of_->submit(r); }

 private:
  const std::shared_ptr<opened> of_;
};

std::shared_ptr<simulated_image::opened> simulated_image::open(std::function<void(std::function<void()>)> in_process) {
  return std::make_shared<opened>(*this, std::move(in_process));
}

void simulated_image::shut_out(const std::set<std::uint64_t>& connections) {
  if (bug_ != plant::unfenced) fenced_.insert(connections.begin(), connections.end());
}

simulated_image::opened::opened(simulated_image& of, std::function<void(std::function<void()>)> in_process)
    : image_(of), in_process_(std::move(in_process)), connection_(of.next_connection_++) {}

sluice::store::properties simulated_image::opened::describe() const {
  sluice::store::properties p;
  p.size_bytes = blocks * block_bytes;
  p.volatile_cache = false;
  return p;
}

std::unique_ptr<sluice::store::channel> simulated_image::opened::attach(reactor::loop&) {
  return std::make_unique<channel>(shared_from_this());
}

void simulated_image::opened::submit(request& r) {
  const std::uint64_t number = next_++;
  under_way_[number] = &r;
  operation sent{connection_, {}, r.offset_bytes, r.length_bytes};
  if (r.what == verb::write)
    for (unsigned i = 0; i < r.part_count; ++i) {
      const auto* from = static_cast<const std::uint8_t*>(r.parts[i].iov_base);
      sent.data.insert(sent.data.end(), from, from + r.parts[i].iov_len);
    }
  reactor::sim_world& world = image_.world_;
  const bool late = !image_.is_prompt_ && world.below(late_in) == 0;
  const std::uint64_t takes_ns = late ? world.below(late_ns) : world.draw(soon_ns);
  std::uint64_t& last_ns = image_.last_ns_[{connection_, r.offset_bytes / object_bytes}];
  last_ns = std::max(last_ns + 1, world.now_ns() + takes_ns);
  world.at(last_ns,
           [self = std::weak_ptr(shared_from_this()), image = &image_, number, sent = std::move(sent), what = r.what] {
             status outcome = status::good;
             std::vector<std::uint8_t> found;
             if (image->fenced_.contains(sent.connection)) {
               outcome = status::aborted;
             } else if (what == verb::write) {
               std::memcpy(image->content_.data() + sent.offset, sent.data.data(), sent.data.size());
             } else if (what == verb::read) {
               found.assign(image->content_.begin() + static_cast<std::ptrdiff_t>(sent.offset),
                            image->content_.begin() + static_cast<std::ptrdiff_t>(sent.offset + sent.length));
             }
             const auto here = self.lock();
             if (!here) return;
             image->world_.after(image->world_.draw(soon_ns), [self, number, outcome, found = std::move(found)] {
               const auto still = self.lock();
               if (!still) return;
               still->in_process_([self, number, outcome, found] {
                 if (const auto there = self.lock()) there->answer(number, outcome, found);
               });
             });
           });
}

void simulated_image::opened::answer(std::uint64_t number, status outcome, const std::vector<std::uint8_t>& data) {
  const auto found = under_way_.extract(number);
  if (!found) return;
  request& r = *found.mapped();
  std::size_t at = 0;
  for (unsigned i = 0; r.what == verb::read && outcome == status::good && i < r.part_count; ++i) {
    std::memcpy(r.parts[i].iov_base, data.data() + at, r.parts[i].iov_len);
    at += r.parts[i].iov_len;
  }
  r.done(outcome);
}

void simulated_image::opened::reconnect() {
  connection_ = image_.next_connection_++;
}

void simulated_image::opened::end() {
  while (!under_way_.empty()) answer(under_way_.begin()->first, status::aborted, {});
}

}  // namespace sluice::agreement_sim
