#pragma once
#include <cstdint>
#include <vector>

#include "gateway/scsi/cdb.hpp"
#include "gateway/scsi/unit_facts.hpp"

namespace sluice::scsi {

/// Standard INQUIRY data, or a VPD page, cut to the allocation length [SPC-4 6.6, 7.8]; INVALID FIELD IN CDB for a page
/// that does not exist.
or_outcome<std::vector<std::uint8_t>> inquiry_data(const inquiry_cdb& cdb, const unit_facts& unit,
                                                   const port_facts& port);

/// The answer for a LUN that has no logical unit: peripheral qualifier 011b [SPC-4 6.6.2]. The only VPD page is 00h.
or_outcome<std::vector<std::uint8_t>> inquiry_data_without_unit(const inquiry_cdb& cdb);

/// The pieces, uncut.
std::vector<std::uint8_t> standard_inquiry(const unit_facts& unit, const port_facts& port);
std::vector<std::uint8_t> supported_pages_page();
std::vector<std::uint8_t> unit_serial_number_page(const unit_facts& unit);
std::vector<std::uint8_t> device_identification_page(const unit_facts& unit, const port_facts& port);
std::vector<std::uint8_t> extended_inquiry_page(const unit_facts& unit);
std::vector<std::uint8_t> block_limits_page(const unit_facts& unit);
std::vector<std::uint8_t> block_device_characteristics_page(const unit_facts& unit);
std::vector<std::uint8_t> logical_block_provisioning_page(const unit_facts& unit);

}  // namespace sluice::scsi
