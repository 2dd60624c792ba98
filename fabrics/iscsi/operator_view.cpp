#include "fabrics/iscsi/operator_view.hpp"

namespace sluice::iscsi {
namespace {

const char* to_string(connection_facts::stage at) {
  switch (at) {
    case connection_facts::stage::silent:
      return "silent";
    case connection_facts::stage::login:
      return "login";
    case connection_facts::stage::authentication:
      return "authentication";
    case connection_facts::stage::discovery:
      return "discovery";
    case connection_facts::stage::session:
      return "session";
  }
  return "unknown";
}

}  // namespace

port::strangers::overview operator_view::look(std::size_t most) const {
  const connection_book::overview seen = shared_->book->look(most);
  overview shown;
  for (const connection_book::stranger& each : seen.oldest)
    shown.oldest.push_back(
        {each.number, each.facts->peer, to_string(each.facts->at), each.facts->since_ns, each.facts->bytes});
  for (const auto& [address, count] : seen.by_address) shown.count += count;
  shown.by_address = seen.by_address;
  shown.refused = shared_->refused.all();
  shown.counted = shared_->counted.all();
  return shown;
}

}  // namespace sluice::iscsi
