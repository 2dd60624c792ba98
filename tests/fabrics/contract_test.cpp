#include "fabrics/port/contract.hpp"

#include "tests/fabrics/test_iscsi.hpp"
#include "tests/fabrics/test_iser.hpp"
#include "tests/fabrics/test_loopback.hpp"
#include "tests/fabrics/test_srp.hpp"

namespace sluice::port::contract {
namespace {

subject iscsi_with(const char* name, sim::wishes wishes) {
  return {name, [wishes] { return std::make_unique<fabrics::iscsi_site>(wishes); }};
}

/// Digests, small segments and bursts, nothing unsolicited.
sim::wishes narrow() {
  sim::wishes w;
  w.header_digest = w.data_digest = true;
  w.immediate_data = false;
  w.max_recv_data_segment_length = 1024;
  w.max_burst_length = w.first_burst_length = 8192;
  w.max_outstanding_r2t = 4;
  return w;
}

/// As much as can be comes without being asked for.
sim::wishes eager() {
  sim::wishes w;
  w.initial_r2t = false;
  w.max_recv_data_segment_length = 262144;
  return w;
}

subject srp_with(const char* name, fabrics::srp_wishes wishes) {
  return {name, [wishes] { return std::make_unique<fabrics::srp_site>(wishes); }};
}

subject iser_with(const char* name, fabrics::iser_wishes wishes) {
  return {name, [wishes] { return std::make_unique<fabrics::iser_site>(wishes); }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(
    fabrics, fabric_contract,
    testing::Values(subject{"loopback", [] { return std::make_unique<fabrics::loopback_site>(); }},
                    iser_with("iser", {}), iser_with("iser_immediate", {.immediate_data = true}),
                    iser_with("iser_eager", {.initial_r2t = false, .immediate_data = true}),
                    iser_with("iser_unasked",
                              {.initial_r2t = false, .first_burst = 12288, .whole_buffer = true, .invalidates = false}),
                    iscsi_with("iscsi", {}), iscsi_with("iscsi_narrow", narrow()), iscsi_with("iscsi_eager", eager()),
                    srp_with("srp", {}), srp_with("srp_pieces", {.piece = 3000}),
                    srp_with("srp_tables", {.piece = 5000, .listed = 2}),
                    srp_with("srp_immediate", {.immediate = true})),
    name_of);

}  // namespace sluice::port::contract
