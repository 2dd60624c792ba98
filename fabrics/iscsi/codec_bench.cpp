#include <benchmark/benchmark.h>

#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/command.hpp"
#include "fabrics/iscsi/negotiation.hpp"
#include "fabrics/iscsi/requests.hpp"

namespace sluice::iscsi {
namespace {

void decode_a_command(benchmark::State& state) {
  scsi_command c;
  c.read = true;
  c.cdb[0] = 0x28;
  bhs raw = encode(c);
  for (auto _ : state) {
    benchmark::DoNotOptimize(raw.data());
    benchmark::DoNotOptimize(decode<scsi_command>(raw));
  }
}
BENCHMARK(decode_a_command);

void encode_a_data_in(benchmark::State& state) {
  data_in d;
  d.final = d.has_status = true;
  bhs raw;
  for (auto _ : state) {
    ++d.data_sn;
    encode(d, std::span<std::uint8_t, bhs_bytes>(raw), 4096);
    benchmark::DoNotOptimize(raw.data());
  }
}
BENCHMARK(encode_a_data_in);

void add_find_and_remove_a_command(benchmark::State& state) {
  commands table(128);
  for (std::uint32_t tag = 0; tag < 64; ++tag) table.add(tag);
  std::uint32_t tag = 1000;
  for (auto _ : state) {
    table.add(++tag);
    table.remove(*table.find(tag));
  }
}
BENCHMARK(add_find_and_remove_a_command);

void negotiate_a_login(benchmark::State& state) {
  std::string text;
  for (const char* pair : {"HeaderDigest=CRC32C,None", "DataDigest=None", "InitialR2T=No", "ImmediateData=Yes",
                           "MaxRecvDataSegmentLength=262144", "MaxBurstLength=16776192", "FirstBurstLength=262144",
                           "DefaultTime2Wait=2", "DefaultTime2Retain=0", "MaxOutstandingR2T=1", "ErrorRecoveryLevel=0"})
    text.append(pair).append(1, '\0');
  for (auto _ : state) {
    negotiator keys{offer{}};
    std::string answer;
    const auto pairs = parse_text(as_bytes(text));
    for (const text_pair& pair : *pairs) keys.take(phase::login_operational, pair, answer);
    benchmark::DoNotOptimize(answer.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(negotiate_a_login);

}  // namespace
}  // namespace sluice::iscsi
