#include "gateway/control/protocol.hpp"

namespace sluice::control {

namespace {

using nlohmann::json;

std::string dump(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

const char* code_name(errc code) {
  switch (code) {
    case errc::invalid_argument:
      return "invalid_argument";
    case errc::not_found:
      return "not_found";
    case errc::already_exists:
      return "already_exists";
    case errc::busy:
      return "busy";
    case errc::permission:
      return "permission";
    case errc::no_space:
      return "no_space";
    case errc::io:
      return "io";
    case errc::timeout:
      return "timeout";
    case errc::unsupported:
      return "unsupported";
    case errc::corrupt:
      return "corrupt";
    case errc::closed:
      return "closed";
  }
  return "io";
}

}  // namespace

result<request> parse_request(std::string_view line) {
  if (line.size() > longest_request) return fail(errc::invalid_argument, "the request is too long");
  bool too_deep = false;
  const auto watch_depth = [&too_deep](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > deepest_request;
    return !too_deep;
  };
  const json document = json::parse(line, watch_depth, false);
  if (too_deep) return fail(errc::invalid_argument, "the request is nested too deeply");
  if (!document.is_object()) return fail(errc::invalid_argument, "the request is no JSON object");
  request out;
  for (const auto& [name, value] : document.items()) {
    if (name == "command" && value.is_string())
      out.command = value.get<std::string>();
    else if (name == "arguments" && value.is_object())
      out.arguments = value;
    else
      return fail(errc::invalid_argument, "a request has a \"command\", a text, and may have \"arguments\", an object");
  }
  if (out.command.empty()) return fail(errc::invalid_argument, "the request has no command");
  return out;
}

result<nlohmann::json> answer(const handler& handle, std::string_view line) {
  const result<request> asked = parse_request(line);
  if (!asked) return tl::unexpected<error>(asked.error());
  try {
    return handle(asked->command, asked->arguments);
  } catch (const json::exception&) {  // what a handler gets from arguments that are not of the kind that it reads
    return fail(errc::invalid_argument, "an argument of \"" + asked->command + "\" is missing or of a wrong kind");
  }
}

std::string format_answer(result<nlohmann::json> answer) {
  if (answer) {
    json whole = {{"ok", true}};
    whole["result"] = std::move(*answer);  // may be large
    return dump(whole);
  }
  return dump({{"ok", false}, {"error", answer.error().message}, {"code", code_name(answer.error().code)}});
}

}  // namespace sluice::control
