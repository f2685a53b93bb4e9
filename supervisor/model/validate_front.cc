// The rules of the settings that face clients: whom to trust, what to log, WebSockets.
#include <algorithm>
#include <array>
#include <string>

#include "supervisor/model/address.h"
#include "supervisor/model/checker.h"

namespace appd::model {
namespace {

constexpr std::size_t kMaxTrusted = 4096;
constexpr std::size_t kMaxAccessLogFormat = 1024;
constexpr std::int64_t kMaxWebSocketMessage = std::int64_t{1} << 40;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// "*", or addresses and networks with commas between; nothing at all trusts nobody.
void check_trusted(Checker& check, const char* field, const std::string& list) {
  constexpr const char* kAdvice =
      "write \"10.0.0.1,192.168.0.0/16,fd00::/8\", \"*\" for everybody, or \"\" for nobody";
  if (list.size() > kMaxTrusted) {
    check.refuse(field, "must be at most " + std::to_string(kMaxTrusted) + " bytes long, but has " +
                            std::to_string(list.size()) + ": name networks instead of addresses");
    return;
  }
  std::string_view rest = list;
  if (trimmed(rest).empty() || trimmed(rest) == "*") return;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string_view one = trimmed(rest.substr(0, comma));
    if (!is_network(one)) {
      check.refuse(field, "must hold numeric addresses and networks with commas between, but has " +
                              in_quotes(one) + ": " + kAdvice);
      return;
    }
    if (comma == std::string_view::npos) return;
    rest.remove_prefix(comma + 1);
  }
}

// The atom that begins `text`, "%(h)s" or "%%"; empty if none that is known does.
std::string_view leading_atom(std::string_view text) {
  constexpr std::string_view kLetters = "hlutrmUqHsBbfaTDMLp";
  constexpr std::string_view kTables = "ieo";  // fields of request and response, environ
  if (text.starts_with("%%")) return text.substr(0, 2);
  const std::size_t close = text.find(")s");
  if (!text.starts_with("%(") || close == std::string_view::npos) return {};
  const std::string_view name = text.substr(2, close - 2);
  const bool letter = name.size() == 1 && kLetters.find(name[0]) != std::string_view::npos;
  const bool table = name.size() >= 4 && name.front() == '{' && name.find('}') == name.size() - 2 &&
                     kTables.find(name.back()) != std::string_view::npos;
  return letter || table || name == "trace_id" ? text.substr(0, close + 2) : std::string_view();
}

void check_access_log_format(Checker& check, const std::string& format) {
  constexpr const char* kField = "access_log_format";
  if (format.empty() || format.size() > kMaxAccessLogFormat) {
    check.refuse(kField, "must be 1 to " + std::to_string(kMaxAccessLogFormat) +
                             " bytes long, but has " + std::to_string(format.size()) +
                             ": choose another format, or \"json\"");
    return;
  }
  if (has_control_character(format)) {
    check.refuse(kField, "must not contain control characters, but got " + in_quotes(format) +
                             ": a line of the log is one line");
    return;
  }
  std::string_view rest = format;
  for (std::size_t at = rest.find('%'); at != std::string_view::npos; at = rest.find('%')) {
    rest.remove_prefix(at);
    const std::string_view atom = leading_atom(rest);
    if (atom.empty()) {
      check.refuse(kField,
                   "must be \"json\" or text with gunicorn's atoms, but has " +
                       in_quotes(rest.substr(0, rest.find(' '))) +
                       ": use %(X)s where X is one of h l u t r m U q H s B b f a T D M L "
                       "p, trace_id, {NAME}i, {NAME}o or {NAME}e, and %% for a percent sign");
      return;
    }
    rest.remove_prefix(atom.size());
  }
}

}  // namespace

void check_front(Checker& check, const AppSpec& spec) {
  constexpr auto kProxyProtocols = std::to_array<std::string_view>({"off", "v1", "v2", "auto"});
  constexpr Milliseconds kNone{0};
  check_trusted(check, "forwarded_allow_ips", spec.forwarded_allow_ips);
  check.word("proxy_protocol", spec.proxy_protocol, kProxyProtocols);
  check_trusted(check, "proxy_allow_ips", spec.proxy_allow_ips);
  check_access_log_format(check, spec.access_log_format);
  check.range("ws_max_size", spec.ws_max_size, 1, kMaxWebSocketMessage,
              "the largest WebSocket message in bytes");
  check.duration("ws_ping_interval", spec.ws_ping_interval, kNone,
                 "choose a duration in that range, 0 for no pings");
  check.duration("ws_ping_timeout", spec.ws_ping_timeout, kNone,
                 "choose a duration in that range, 0 to wait without limit");
  check.duration("ws_drain_timeout", spec.ws_drain_timeout, kNone,
                 "choose a duration in that range, 0 to close WebSockets at once");
}

}  // namespace appd::model
