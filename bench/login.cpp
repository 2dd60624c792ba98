#include "bench/login.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <map>

#include "bench/pdu.hpp"

namespace sluice::bench {
namespace {

using keys = std::map<std::string, std::string>;
constexpr int answer_timeout_s = 15;
constexpr std::uint32_t max_login_text = 65536;

struct pdu {
  bhs header{};
  std::vector<std::uint8_t> data;
};

result<> send_all(int fd, const_bytes octets) {
  while (!octets.empty()) {
    auto sent = ::send(fd, octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent <= 0) return fail_errno(errno, "send");
    octets = octets.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

result<> receive_all(int fd, bytes to) {
  while (!to.empty()) {
    auto got = ::recv(fd, to.data(), to.size(), 0);
    if (got == 0) return fail(errc::closed, "the target closed the connection");
    if (got < 0) return fail_errno(errno, "receive");
    to = to.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

result<> send_pdu(int fd, pdu p) {
  wire::store24(p.header, 5, p.data.size());
  std::vector<std::uint8_t> all(p.header.begin(), p.header.end());
  all.insert(all.end(), p.data.begin(), p.data.end());
  all.resize((all.size() + 3) & ~std::size_t{3});
  return send_all(fd, all);
}

result<pdu> receive_pdu(int fd) {
  pdu p;
  if (auto got = receive_all(fd, p.header); !got) return tl::unexpected(got.error());
  auto length = data_segment_length(p.header);
  p.data.resize(length + padding(length));
  if (auto got = receive_all(fd, p.data); !got) return tl::unexpected(got.error());
  p.data.resize(length);
  return p;
}

result<int> dial(const target_address& target) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  if (getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found) != 0)
    return fail(errc::invalid_argument, "'" + target.host + "' is no address");
  int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int failed = ::connect(fd, found->ai_addr, found->ai_addrlen);
  int why = errno;
  freeaddrinfo(found);
  if (failed) {
    ::close(fd);
    return fail_errno(why, "connect to " + target.host + ":" + std::to_string(target.port));
  }
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  timeval patience{answer_timeout_s, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

std::vector<std::uint8_t> to_text(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string text;
  for (const auto& [key, value] : pairs) text.append(key).append("=").append(value).push_back('\0');
  return {text.begin(), text.end()};
}

void read_text(const_bytes octets, keys& into) {
  auto text = as_text(octets);
  while (!text.empty()) {
    auto pair = text.substr(0, text.find('\0'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (auto equals = pair.find('='); equals != pair.npos)
      into[std::string(pair.substr(0, equals))] = pair.substr(equals + 1);
  }
}

struct exchange {
  connection& c;
  unsigned number;
  unsigned stage = 0;  // CSG of the next request
  std::uint16_t tsih = 0;
  keys answers = {};

  /// Sends one login request and takes its answer. `next`: the stage asked for; -1 stays.
  result<> turn(const std::vector<std::pair<std::string, std::string>>& pairs, int next) {
    pdu request;
    auto& h = request.header;
    h[0] = login_request | immediate_bit;
    h[1] = static_cast<std::uint8_t>(stage << 2 | (next < 0 ? 0u : final_bit | static_cast<unsigned>(next)));
    h[8] = 0x80;  // ISID of the random kind [RFC7143 11.12.5]
    wire::store24(h, 9, static_cast<std::uint32_t>(getpid()));
    wire::store16(h, 12, number);
    wire::store16(h, 14, tsih);
    wire::store32(h, 24, c.cmd_sn);
    wire::store32(h, 28, c.exp_stat_sn);
    request.data = to_text(pairs);
    if (auto sent = send_pdu(c.fd, std::move(request)); !sent) return sent;
    return take_answer();
  }

  result<> take_answer() {
    for (std::uint32_t total = 0;;) {
      auto answer = receive_pdu(c.fd);
      if (!answer) return tl::unexpected(answer.error());
      const auto& h = answer->header;
      if (opcode_of(h) != login_response) return fail(errc::corrupt, "no login response");
      if (auto status = wire::load16(h, 36)) return fail(errc::permission, "login refused, status " + hex(status));
      read_text(answer->data, answers);
      c.exp_stat_sn = wire::load32(h, 24) + 1;
      c.max_cmd_sn = wire::load32(h, 32);
      tsih = wire::load16(h, 14);
      total += static_cast<std::uint32_t>(answer->data.size());
      if (total > max_login_text) return fail(errc::corrupt, "endless login text");
      if (h[1] & final_bit) stage = h[1] & 3;
      if (!(h[1] & 0x40)) return {};
    }
  }

  static std::string hex(unsigned value) {
    char text[8];
    std::snprintf(text, sizeof text, "%04xh", value);
    return text;
  }
};

result<std::vector<std::uint8_t>> from_hex(const std::string& text) {
  if (text.size() < 4 || text.size() % 2 || text[0] != '0' || (text[1] | 0x20) != 'x')
    return fail(errc::unsupported, "CHAP value is not hexadecimal");
  std::vector<std::uint8_t> octets;
  for (std::size_t at = 2; at < text.size(); at += 2)
    octets.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(at, 2), nullptr, 16)));
  return octets;
}

/// The response of CHAP with MD5 [RFC1994 4.1].
result<std::string> chap_response(const keys& answers, const std::string& secret) {
  if (!answers.contains("CHAP_I") || !answers.contains("CHAP_C")) return fail(errc::permission, "no CHAP challenge");
  auto challenge = from_hex(answers.at("CHAP_C"));
  if (!challenge) return tl::unexpected(challenge.error());
  std::vector<std::uint8_t> input{static_cast<std::uint8_t>(std::strtoul(answers.at("CHAP_I").c_str(), nullptr, 0))};
  input.insert(input.end(), secret.begin(), secret.end());
  input.insert(input.end(), challenge->begin(), challenge->end());
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_Digest(input.data(), input.size(), digest, &length, EVP_md5(), nullptr) != 1)
    return fail(errc::unsupported, "this OpenSSL has no MD5");
  std::string text = "0x";
  for (unsigned i = 0; i < length; ++i) {
    char octet[3];
    std::snprintf(octet, sizeof octet, "%02x", digest[i]);
    text += octet;
  }
  return text;
}

result<> authenticate(exchange& x, const target_address& target) {
  auto done = x.turn({{"InitiatorName", target.initiator},
                      {"TargetName", target.name},
                      {"SessionType", "Normal"},
                      {"AuthMethod", "CHAP"}},
                     -1);
  if (done) done = x.turn({{"CHAP_A", "5"}}, -1);
  if (!done) return done;
  auto response = chap_response(x.answers, target.chap_secret);
  if (!response) return tl::unexpected(response.error());
  return x.turn({{"CHAP_N", target.chap_user}, {"CHAP_R", *response}}, 1);
}

std::uint32_t number_of(const keys& answers, const char* key, std::uint32_t otherwise) {
  auto found = answers.find(key);
  return found == answers.end() ? otherwise
                                : static_cast<std::uint32_t>(std::strtoul(found->second.c_str(), nullptr, 0));
}

result<> negotiate(exchange& x, const target_address& target) {
  std::vector<std::pair<std::string, std::string>> pairs;
  bool authenticated = !target.chap_user.empty();
  if (!authenticated)
    pairs = {{"InitiatorName", target.initiator}, {"TargetName", target.name}, {"SessionType", "Normal"}};
  x.stage = 1;
  for (auto& pair : std::initializer_list<std::pair<const char*, const char*>>{{"HeaderDigest", "None"},
                                                                               {"DataDigest", "None"},
                                                                               {"InitialR2T", "No"},
                                                                               {"ImmediateData", "Yes"},
                                                                               {"MaxRecvDataSegmentLength", "262144"},
                                                                               {"MaxBurstLength", "1048576"},
                                                                               {"FirstBurstLength", "262144"},
                                                                               {"MaxOutstandingR2T", "1"},
                                                                               {"MaxConnections", "1"},
                                                                               {"ErrorRecoveryLevel", "0"},
                                                                               {"DefaultTime2Wait", "0"},
                                                                               {"DefaultTime2Retain", "0"}})
    pairs.emplace_back(pair.first, pair.second);
  for (int turns = 0; x.stage != 3; ++turns) {
    if (turns == 8) return fail(errc::corrupt, "the target does not leave the login phase");
    if (auto done = x.turn(pairs, 3); !done) return done;
    pairs.clear();
  }
  auto& c = x.c;
  c.immediate_data = x.answers["ImmediateData"] != "No";
  c.initial_r2t = x.answers["InitialR2T"] != "No";
  c.target_max_recv = number_of(x.answers, "MaxRecvDataSegmentLength", 8192);
  c.first_burst = number_of(x.answers, "FirstBurstLength", 65536);
  c.max_burst = number_of(x.answers, "MaxBurstLength", 262144);
  return {};
}

}  // namespace

result<connection> log_in(const target_address& target, unsigned number) {
  connection c;
  auto fd = dial(target);
  if (!fd) return tl::unexpected(fd.error());
  c.fd = *fd;
  exchange x{c, number};
  result<> done;
  if (!target.chap_user.empty()) done = authenticate(x, target);
  if (done) done = negotiate(x, target);
  if (!done) {
    ::close(c.fd);
    return tl::unexpected(done.error());
  }
  return c;
}

void log_out(connection& c) {
  pdu request;
  request.header[0] = logout_request | immediate_bit;
  request.header[1] = final_bit;
  wire::store32(request.header, 24, c.cmd_sn);
  wire::store32(request.header, 28, c.exp_stat_sn);
  if (send_pdu(c.fd, std::move(request))) (void)receive_pdu(c.fd);
  ::close(c.fd);
  c.fd = -1;
}

std::string describe_sense(const_bytes segment) {
  if (segment.size() < 2 + 8u) return "no sense data";
  auto sense = segment.subspan(2);
  bool descriptor = (sense[0] & 0x7f) >= 0x72;
  unsigned key = sense[descriptor ? 1 : 2] & 0xf;
  unsigned asc = descriptor ? sense[2] : sense.size() > 13 ? sense[12] : 0;
  unsigned ascq = descriptor ? sense[3] : sense.size() > 13 ? sense[13] : 0;
  char text[40];
  std::snprintf(text, sizeof text, "sense %xh/%02xh/%02xh", key, asc, ascq);
  return text;
}

result<std::vector<std::uint8_t>> command(connection& c, std::uint64_t lun, const_bytes cdb,
                                          std::uint32_t allocation_length) {
  pdu request;
  request.header = make_scsi_command(c.cmd_sn, lun, false, allocation_length);
  if (allocation_length == 0) request.header[1] = final_bit;
  wire::store32(request.header, 24, c.cmd_sn++);
  wire::store32(request.header, 28, c.exp_stat_sn);
  std::copy(cdb.begin(), cdb.end(), request.header.begin() + 32);
  if (auto sent = send_pdu(c.fd, std::move(request)); !sent) return tl::unexpected(sent.error());
  std::vector<std::uint8_t> gathered;
  for (;;) {
    auto answer = receive_pdu(c.fd);
    if (!answer) return tl::unexpected(answer.error());
    const auto& h = answer->header;
    auto code = opcode_of(h);
    if (code != data_in && code != scsi_response) continue;
    c.max_cmd_sn = wire::load32(h, 32);
    bool last = code == scsi_response || (h[1] & status_bit);
    if (last) c.exp_stat_sn = wire::load32(h, 24) + 1;
    if (code == data_in) gathered.insert(gathered.end(), answer->data.begin(), answer->data.end());
    if (last && h[3] == 2 && code == scsi_response) return fail(errc::io, describe_sense(answer->data));
    if (last && h[3] != 0) return fail(errc::busy, "SCSI status " + std::to_string(h[3]));
    if (last) return gathered;
  }
}

result<capacity> make_ready(connection& c, std::uint64_t lun) {
  const std::uint8_t test_unit_ready[6]{};
  result<std::vector<std::uint8_t>> answer;
  for (int attempt = 0; attempt < 8; ++attempt) {
    answer = command(c, lun, test_unit_ready, 0);
    if (answer || answer.error().code == errc::closed) break;
  }
  if (!answer) return tl::unexpected(answer.error());
  std::uint8_t read_capacity[16]{0x9e, 0x10};
  wire::store32(read_capacity, 10, 32);
  answer = command(c, lun, read_capacity, 32);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->size() < 12) return fail(errc::corrupt, "READ CAPACITY (16) returned too little");
  return capacity{wire::load64(*answer, 0) + 1, wire::load32(*answer, 8)};
}

}  // namespace sluice::bench
