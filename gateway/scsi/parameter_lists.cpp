#include "gateway/scsi/parameter_lists.hpp"

#include <algorithm>

#include "actors/wire/big_endian.hpp"
#include "gateway/scsi/bad_list.hpp"

namespace sluice::scsi {
namespace {

constexpr std::size_t unmap_header_bytes = 8;
constexpr std::size_t unmap_descriptor_bytes = 16;
constexpr std::size_t pr_list_bytes = 24;
constexpr std::size_t pr_ids_byte = 28;
constexpr std::size_t group_header_bytes = 4;
constexpr std::size_t group_descriptor_bytes = 4;

bool registers(pr_out_action action) {
  return action == pr_out_action::register_key || action == pr_out_action::register_and_ignore_existing_key;
}

/// The TransportIDs after a 24-octet list and their length in octets 24-27.
or_outcome<std::vector<transport_id>> parse_initiators(const_bytes list) {
  if (list.size() < pr_ids_byte) return bad_length();
  if (wire::load32(list, pr_list_bytes) != list.size() - pr_ids_byte) return bad_length();
  std::vector<transport_id> ids;
  for (std::size_t at = pr_ids_byte; at < list.size();) {
    std::size_t used = 0;
    auto id = decode_transport_id(list.subspan(at), used);
    if (!id) return bad_field(std::min<std::size_t>(at, UINT16_MAX));
    ids.push_back(std::move(*id));
    at += used;
  }
  return ids;
}

}  // namespace

or_outcome<std::vector<block_range>> parse_unmap(const_bytes list, const unmap_limits& limits) {
  std::vector<block_range> ranges;
  if (list.empty()) return ranges;
  if (list.size() < unmap_header_bytes) return bad_length();
  const std::size_t said = wire::load16(list, 2);
  const std::size_t count = std::min(said, list.size() - unmap_header_bytes) / unmap_descriptor_bytes;
  if (count > limits.max_descriptors) return bad_field(2, 7);
  std::uint64_t total = 0;
  ranges.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = unmap_header_bytes + i * unmap_descriptor_bytes;
    const block_range r{.lba = wire::load64(list, at), .blocks = wire::load32(list, at + 8)};
    if (r.blocks == 0) continue;
    if (r.lba >= limits.capacity_blocks || r.blocks > limits.capacity_blocks - r.lba)
      return tl::unexpected(outcomes::lba_out_of_range(std::max(r.lba, limits.capacity_blocks)));
    total += r.blocks;
    if (total > limits.max_blocks) return bad_field(at + 8, 7);
    ranges.push_back(r);
  }
  return ranges;
}

or_outcome<pr_out_list> parse_pr_out(pr_out_action action, const_bytes list) {
  if (list.size() < pr_list_bytes) return bad_length();
  pr_out_list p{.reservation_key = wire::load64(list, 0),
                .service_action_key = wire::load64(list, 8),
                .spec_i_pt = (list[20] & 0x08) != 0,
                .all_tg_pt = registers(action) && (list[20] & 0x04) != 0,
                .aptpl = registers(action) && (list[20] & 0x01) != 0,
                .initiators = {}};
  if (!p.spec_i_pt) {
    if (list.size() != pr_list_bytes) return bad_length();
    return p;
  }
  if (action != pr_out_action::register_key) return bad_field(20, 3);
  auto initiators = parse_initiators(list);
  if (!initiators) return tl::unexpected(initiators.error());
  p.initiators = std::move(*initiators);
  return p;
}

or_outcome<pr_move_list> parse_pr_move(const_bytes list) {
  if (list.size() < pr_list_bytes) return bad_length();
  pr_move_list p{.reservation_key = wire::load64(list, 0),
                 .service_action_key = wire::load64(list, 8),
                 .unregister = (list[17] & 0x02) != 0,
                 .aptpl = (list[17] & 0x01) != 0,
                 .relative_target_port = wire::load16(list, 18),
                 .destination = {}};
  if (wire::load32(list, 20) != list.size() - pr_list_bytes) return bad_length();
  if (p.service_action_key == 0) return bad_field(8, 7);
  std::size_t used = 0;
  auto id = decode_transport_id(list.subspan(pr_list_bytes), used);
  if (!id || used != list.size() - pr_list_bytes) return bad_field(pr_list_bytes);
  p.destination = std::move(*id);
  return p;
}

or_outcome<std::vector<wanted_group>> parse_wanted_groups(const_bytes list) {
  std::vector<wanted_group> wanted;
  if (list.empty()) return wanted;
  if (list.size() % group_descriptor_bytes != 0) return bad_length();
  for (std::size_t at = group_header_bytes; at < list.size(); at += group_descriptor_bytes) {
    const auto state = static_cast<asymmetric_access>(list[at] & 0x0f);
    if (state > asymmetric_access::unavailable) return bad_field(at, 3);
    wanted.push_back({at, wire::load16(list, at + 2), state});
  }
  return wanted;
}

}  // namespace sluice::scsi
