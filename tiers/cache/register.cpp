#include "tiers/cache/register.hpp"

#include "tiers/cache/cache_store.hpp"

namespace sluice::cache {

void register_store(store::registry& to) {
  using config::kind;
  to.add(
      {"cache",
       {{"over", kind::store_name, true, "the store below, which nobody else writes to"},
        {.name = "ram",
         .type = kind::size,
         .required = true,
         .help = "memory for hot blocks; the index takes 4 % more",
         .minimum = 1 * mib,
         .maximum = 1 * tib},
        {.name = "flash.path", .type = kind::path, .help = "a file or device for blocks that are too many for RAM"},
        {.name = "flash.size",
         .type = kind::size,
         .help = "how much of it is used; a file is made when it is absent",
         .minimum = 64 * mib,
         .maximum = 1 * tib},
        {.name = "flash.dirty",
         .type = kind::size,
         .help = "write-back: how much of the flash holds what is not below yet; default: an eighth",
         .minimum = 16 * mib,
         .maximum = 1 * tib},
        {.name = "destage_delay",
         .type = kind::duration,
         .help = "write-back: how long what was written waits for more when nobody flushes",
         .otherwise = "100ms"},
        {.name = "mode",
         .type = kind::choice,
         .help = "write-through keeps what is written, write-around does not, both write below first; write-back "
                 "writes to flash first",
         .choices = mode_names(),
         .otherwise = modes().front()->name},
        {.name = "bypass",
         .type = kind::size,
         .help = "what is read or written in one stream beyond this is not kept; 0B keeps all",
         .otherwise = "1MiB"}},
       [](const config::settings& s, reactor::loop& loop, const auto& below) -> result<std::shared_ptr<store::store>> {
         const std::string* over = s.text("over");
         auto under = over ? below(*over) : nullptr;
         if (!under) return fail(errc::not_found, "over: there is no store \"" + (over ? *over : "") + "\"");
         options wanted;
         wanted.ram_bytes = s.number("ram", wanted.ram_bytes);
         wanted.bypass_bytes = s.number("bypass", wanted.bypass_bytes);
         const std::string* name = s.text("mode");
         const mode* chosen = name ? find_mode(*name) : modes().front();
         if (!chosen) return fail(errc::invalid_argument, "mode: \"" + *name + "\" is none of " + mode_names());
         wanted.mode = chosen;
         if (const std::string* path = s.text("flash.path")) wanted.flash.path = *path;
         wanted.flash.size_bytes = s.number("flash.size", 0);
         wanted.flash.journals = chosen->journals;
         wanted.flash.dirty_bytes = s.number("flash.dirty", 0);
         wanted.medium = *over;
         wanted.destage_delay_ns = s.number("destage_delay", wanted.destage_delay_ns);
         if (wanted.flash.dirty_bytes != 0 && !chosen->journals)
           return fail(errc::invalid_argument, "flash.dirty: is for mode = \"write-back\"");
         if (wanted.flash.path.empty() && wanted.flash.size_bytes != 0)
           return fail(errc::invalid_argument, "flash.size: there is no flash.path");
         return cache_store::open(std::move(under), wanted, &loop);
       }});
}

}  // namespace sluice::cache
