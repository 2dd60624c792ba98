#include <utility>

#include "ceph/rbd/medium.hpp"
#include "tiers/store/ownership_text.hpp"

// What the control path asks of an image: calls that block on the cluster, each for a limited time.
namespace sluice::rbd {

template <class Work>
auto medium::ask(Work work) -> decltype(work(std::declval<image&>())) {
  const std::shared_ptr<image> through = current();
  if (!through) return fail(errc::busy, "the image " + wanted_.path() + " is being opened anew");
  if (silent_.load()) return fail(errc::timeout, "the Ceph cluster does not answer for " + wanted_.path());
  auto done = through->on().offload().call_within(
      open_limit, [through, work = std::move(work)] { return work(*through); }, [](const auto&) {});
  if (done) return std::move(*done);
  return fail(errc::timeout, "the Ceph cluster did not answer for " + wanted_.path() + " in time");
}

result<void> medium::resize(std::uint64_t size_bytes) {
  if (!wanted_.snapshot.empty()) return fail(errc::permission, "a snapshot keeps its size");
  if (wanted_.read_only) return fail(errc::permission, "the image is served read only");
  const auto done = ask([size_bytes](image& i) { return i.resize(size_bytes); });
  if (!done) return done;
  if (size_bytes_.exchange(size_bytes) != size_bytes) listeners_.tell();
  return {};
}

result<std::string> medium::note(const char* name) {
  if (!wanted_.snapshot.empty()) return fail(errc::unsupported, "a snapshot keeps no notes");
  return ask([name](const image& i) { return i.note(name); });
}

result<void> medium::set_attribute(const char* name, std::string text) {
  if (!wanted_.snapshot.empty()) return fail(errc::unsupported, "a snapshot keeps no notes");
  if (wanted_.read_only) return fail(errc::permission, "the image is served read only");
  return ask([name, text = std::move(text)](image& i) { return i.set_attribute(name, text); });
}

result<store::ownership> medium::read_ownership() {
  const auto text = note(image::ownership_attribute);
  if (!text) return tl::unexpected(text.error());
  return store::ownership_of(*text, "the note with the image " + wanted_.path());
}

result<void> medium::write_ownership(const store::ownership& wanted) {
  return set_attribute(image::ownership_attribute, store::text_of(wanted));
}

result<std::uint64_t> medium::read_binding() {
  return note(image::binding_attribute).map(store::binding_of);
}

result<void> medium::write_binding(std::uint64_t flash) {
  return set_attribute(image::binding_attribute, store::text_of_binding(flash));
}

}  // namespace sluice::rbd
