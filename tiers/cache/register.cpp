#include "tiers/cache/register.hpp"

#include <utility>

#include "config/schema/quantity.hpp"
#include "tiers/cache/cache_store.hpp"
#include "tiers/store/probe.hpp"

namespace sluice::cache {

namespace {

/// Whole blocks, as many as the ranges touch.
result<pin_set> read_pins(const config::settings& from, std::uint64_t ram_bytes) {
  std::vector<pin_set::range> ranges;
  for (const std::string& text : from.list("pin")) {
    const auto range = config::parse_range(text);
    if (!range) return fail(errc::invalid_argument, "pin: \"" + text + "\" is no " + config::range_spelling);
    const std::uint64_t end = range->offset_bytes + range->length_bytes;
    ranges.push_back({range->offset_bytes / block_bytes, (end + block_bytes - 1) / block_bytes});
  }
  pin_set made(std::move(ranges));
  if (made.blocks() > ram_bytes / 2 / block_bytes)
    return fail(errc::invalid_argument, "pin: " + config::format_size(made.blocks() * block_bytes) +
                                            " are pinned; at most half of ram can be, " +
                                            config::format_size(ram_bytes / 2));
  return made;
}

}  // namespace

result<options> read_options(const config::settings& from) {
  options wanted;
  wanted.ram_bytes = from.number("ram", wanted.ram_bytes);
  wanted.bypass_bytes = from.number("bypass", wanted.bypass_bytes);
  wanted.prefetch_bytes = from.number("prefetch", wanted.prefetch_bytes);
  const std::string* name = from.text("mode");
  const mode* chosen = name ? find_mode(*name) : modes().front();
  if (!chosen) return fail(errc::invalid_argument, "mode: \"" + *name + "\" is none of " + mode_names());
  wanted.mode = chosen;
  if (const std::string* path = from.text("flash.path")) wanted.flash.path = *path;
  wanted.flash.size_bytes = from.number("flash.size", 0);
  wanted.destage_delay_ns = from.number("destage_delay", wanted.destage_delay_ns);
  wanted.flash.dirty_bytes = from.number("flash.dirty", 0);
  wanted.flash.journals = chosen->journals || wanted.flash.dirty_bytes != 0;
  auto pins = read_pins(from, wanted.ram_bytes);
  if (!pins) return tl::unexpected(pins.error());
  wanted.pins = std::move(*pins);
  wanted.volatile_dirty_bytes = from.number("volatile_dirty", 0) / block_bytes * block_bytes;
  if (wanted.volatile_dirty_bytes != 0 && !wanted.flash.path.empty())
    return fail(errc::invalid_argument,
                "volatile_dirty: there is flash, where flash.dirty keeps what is written through a loss of power");
  if (!wanted.flash.path.empty()) return wanted;
  if (wanted.flash.size_bytes != 0) return fail(errc::invalid_argument, "flash.size: there is no flash.path");
  if (wanted.flash.dirty_bytes != 0) return fail(errc::invalid_argument, "flash.dirty: there is no flash.path");
  if (chosen->journals && wanted.volatile_dirty_bytes == 0)
    return fail(errc::invalid_argument,
                "mode: write-back needs flash.path, where what is written is durable, or volatile_dirty: memory, which "
                "is lost when the gateway is, but for what initiators have flushed");
  return wanted;
}

void register_store(store::registry& to) {
  using config::kind;
  to.add(
      {"cache",
       {{"over", kind::store_name, true, "the store below, which nobody else may write to"},
        {.name = "ram",
         .type = kind::size,
         .required = true,
         .help = "memory for hot blocks; the index takes 3 % more, nothing is taken before it is used",
         .minimum = 1 * mib,
         .maximum = 1 * tib,
         .live = true},
        {.name = "flash.path",
         .type = kind::path,
         .help = "a file or block device for blocks that are too many for RAM; used with direct I/O",
         .otherwise = "no flash",
         .live = true},
        {.name = "flash.size",
         .type = kind::size,
         .help = "how much of it is used; a file is made when it is absent",
         .minimum = 64 * mib,
         .maximum = 1 * tib,
         .otherwise = "all of it",
         .live = true},
        {.name = "flash.dirty",
         .type = kind::size,
         .help = "how much of the flash holds, in write-back, what is not below yet; in another mode, room for a later "
                 "change to write-back",
         .minimum = 16 * mib,
         .maximum = 1 * tib,
         .otherwise = "in write-back an eighth of the flash, at least 16MiB; else none",
         .live = true},
        {.name = "volatile_dirty",
         .type = kind::size,
         .help = "without flash: how much memory holds, in write-back, what is not below yet; lost when the gateway "
                 "dies, but for what initiators have flushed",
         .minimum = 16 * mib,
         .maximum = 1 * tib,
         .live = true},
        {.name = "destage_delay",
         .type = kind::duration,
         .help = "write-back: how long what was written waits for more when nobody flushes",
         .otherwise = "100ms",
         .live = true},
        {.name = "mode",
         .type = kind::choice,
         .help = "write-through keeps what is written, write-around does not, both write below first; write-back "
                 "writes to flash first",
         .choices = mode_names(),
         .otherwise = modes().front()->name,
         .live = true},
        {.name = "bypass",
         .type = kind::size,
         .help = "what is read or written in one stream beyond this is not kept; 0B keeps all",
         .otherwise = "1MiB",
         .live = true},
        {.name = "prefetch",
         .type = kind::size,
         .help = "how far ahead of a sequential reader is read; 0B: not at all",
         .maximum = 16 * mib,
         .otherwise = "512KiB",
         .live = true},
        {.name = "pin",
         .type = kind::ranges,
         .help = "parts of the store that stay in RAM, in all at most half of it",
         .maximum = 256,
         .live = true}},
       [](const config::settings& s, reactor::loop& loop, const auto& below) -> result<std::shared_ptr<store::store>> {
         const std::string* over = s.text("over");
         auto under = over ? below(*over) : nullptr;
         if (!under) return fail(errc::not_found, "over: there is no store \"" + (over ? *over : "") + "\"");
         auto wanted = read_options(s);
         if (!wanted) return tl::unexpected(wanted.error());
         wanted->medium = *over;
         return cache_store::open(std::move(under), *wanted, &loop);
       },
       [](const config::settings& s) { return read_options(s).map([](const options&) {}); },
       [](const config::settings& s) -> result<void> {
         const std::string* flash = s.text("flash.path");
         if (!flash) return {};
         auto found =
             store::probe_file({.path = *flash, .direct = true, .made_when_absent = s.number("flash.size", 0) != 0});
         if (!found) return fail(found.error().code, "flash.path: " + found.error().message);
         return {};
       },
       false,
       [](const config::settings& s) -> result<void> {
         const auto wanted = read_options(s);
         if (!wanted || !wanted->has_journal()) return {};
         return fail(errc::unsupported,
                     "mode: gateways share what lies below, and what is written to this one's flash is lost to the "
                     "others when it is: write-through or write-around, without flash.dirty");
       }});
}

}  // namespace sluice::cache
