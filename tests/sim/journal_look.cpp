#include "tests/sim/journal_look.hpp"

#include <vector>

#include "tiers/journal/log_reader.hpp"
#include "tiers/store/ownership_text.hpp"

namespace sluice::sim {

namespace {

constexpr unsigned loop_of_its_own = 98;

/// Does `what` with the file, if it can be opened.
template <class What>
void with_file(reactor::sim_world& world, const std::string& path, What what) {
  const auto loop = world.make_loop(loop_of_its_own);
  const auto file = loop->open_file(path, {});
  if (!file) return;
  what(*loop, *file);
  loop->close(*file);
}

}  // namespace

journal_look look_at_journal(reactor::sim_world& world, const std::string& flash, const std::string& medium) {
  std::optional<journal::superblock> super;
  std::optional<store::ownership> ownership;
  with_file(world, flash, [&](reactor::loop& loop, reactor::handle file) {
    journal::log_reader reader(loop, file);
    if (const auto read = reader.read_superblock()) super = *read;
  });
  with_file(world, medium, [&](reactor::loop& loop, reactor::handle file) {
    const auto text = loop.attribute_of(file, "sluice");
    const auto read = text ? store::ownership_of(*text, medium) : tl::unexpected(text.error());
    if (read) ownership = *read;
  });
  // The medium counts each start under a journal, on flash first: it is ahead only when it alone could be told.
  if (!super || !ownership || ownership->epoch <= super->epoch) return {};
  return {true, !ownership->holder.empty()};
}

void wipe_journal(reactor::sim_world& world, const std::string& flash) {
  with_file(world, flash, [](reactor::loop& loop, reactor::handle file) {
    const std::vector<std::uint8_t> nothing(journal::superblock_copies * journal::block_bytes);
    static_cast<void>(loop.write_now(file, nothing, 0));
  });
}

}  // namespace sluice::sim
