#include "fabrics/iscsi/connection.hpp"

namespace sluice::iscsi {

std::vector<config::key> connection_keys() {
  using config::kind;
  return {
      {.name = "header_digest", .type = kind::flag, .help = "accept CRC32C header digests (default true)"},
      {.name = "data_digest", .type = kind::flag, .help = "accept CRC32C data digests (default true)"},
      {.name = "immediate_data", .type = kind::flag, .help = "take data with the command (default true)"},
      {.name = "initial_r2t", .type = kind::flag, .help = "refuse unsolicited Data-Out PDUs (default false)"},
      {.name = "max_recv_data_segment_length",
       .type = kind::size,
       .help = "MaxRecvDataSegmentLength (default 256KiB)",
       .minimum = 512,
       .maximum = 512 * kib},
      {.name = "max_burst_length",
       .type = kind::size,
       .help = "MaxBurstLength (default 1MiB)",
       .minimum = 512,
       .maximum = 16 * mib - 512},
      {.name = "first_burst_length",
       .type = kind::size,
       .help = "FirstBurstLength (default 256KiB)",
       .minimum = 512,
       .maximum = 1 * mib},
      {.name = "max_outstanding_r2t",
       .type = kind::number,
       .help = "MaxOutstandingR2T (default 8)",
       .minimum = 1,
       .maximum = 64},
      {.name = "nop_interval",
       .type = kind::duration,
       .help = "silence before the initiator is asked (default 30 s, 0 s: never)",
       .maximum = 3600 * ns_per_s},
      {.name = "nop_timeout",
       .type = kind::duration,
       .help = "silence after that ends the connection (default 30 s)",
       .minimum = ns_per_s,
       .maximum = 3600 * ns_per_s},
  };
}

void read_settings(const config::settings& from, connection_options& into) {
  offer& o = into.ours;
  o.header_digest = from.flag("header_digest", o.header_digest);
  o.data_digest = from.flag("data_digest", o.data_digest);
  o.immediate_data = from.flag("immediate_data", o.immediate_data);
  o.initial_r2t = from.flag("initial_r2t", o.initial_r2t);
  const auto number = [&](const char* name, std::uint32_t& value) {
    value = static_cast<std::uint32_t>(from.number(name, value));
  };
  number("max_recv_data_segment_length", o.max_recv_data_segment_length);
  number("max_burst_length", o.max_burst_length);
  number("first_burst_length", o.first_burst_length);
  number("max_outstanding_r2t", o.max_outstanding_r2t);
  into.nop_interval_ns = from.number("nop_interval", into.nop_interval_ns);
  into.nop_timeout_ns = from.number("nop_timeout", into.nop_timeout_ns);
}

}  // namespace sluice::iscsi
