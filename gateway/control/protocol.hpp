#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "actors/base/result.hpp"

/// The administrative endpoint: docs/control.md. A request is a line {"command": …, "arguments": {…}}, its answer a
/// line {"ok": true, "result": …} or {"ok": false, "error": sentence, "code": name of an errc}.
namespace sluice::control {

inline constexpr std::size_t longest_request = 64 * 1024;        // octets, without the newline
inline constexpr std::size_t longest_answer = 64 * 1024 * 1024;  // a client takes no more
inline constexpr int deepest_request = 16;                       // nested arrays and objects

/// Does a command. Called on the threads of the clients, several at a time; may block, and holds up its client then.
using handler = std::function<result<nlohmann::json>(const std::string& command, const nlohmann::json& arguments)>;

struct request {
  std::string command;
  nlohmann::json arguments = nlohmann::json::object();
};

/// Pure. Anything that is no request is invalid_argument, with a sentence.
result<request> parse_request(std::string_view line);
/// Parses a request and has it done. A handler may read `arguments` with at() and get(): what those throw is the
/// client's mistake, and an invalid_argument.
result<nlohmann::json> answer(const handler& handle, std::string_view line);
/// One line, without its newline. Text that is no UTF-8 is made so.
std::string format_answer(result<nlohmann::json> answer);

}  // namespace sluice::control
