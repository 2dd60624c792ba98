#include "tiers/ram/register.hpp"

#include "tiers/ram/ram_store.hpp"

namespace sluice::ram {

void register_store(store::registry& to) {
  using config::kind;
  to.add({"ram",
          {{"size", kind::size, true, "how much it holds; memory is taken when it is written"},
           {"huge_pages",
            kind::flag,
            false,
            "take memory 2 MiB at a time: faster once touched, slower to touch",
            {},
            0,
            UINT64_MAX,
            "false"}},
          [](const config::settings& s, reactor::loop&, const auto&) -> result<std::shared_ptr<store::store>> {
            return ram_store::make(s.number("size", 0), s.flag("huge_pages", false));
          }});
}

}  // namespace sluice::ram
