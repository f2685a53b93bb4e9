// The rules of a spec, each in one place.
#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "common/scoreboard.h"
#include "supervisor/model/address.h"
#include "supervisor/model/checker.h"
#include "supervisor/model/file_mode.h"
#include "supervisor/model/worker_class.h"

namespace appd::model {
namespace {

constexpr std::size_t kMaxAppUri = 1000;
constexpr std::size_t kMaxBinds = 32;
constexpr std::size_t kMaxWarmupPaths = 32;
constexpr std::size_t kMaxRootPath = 1024;
constexpr std::size_t kMaxEnv = 1000;
// execve(2): one string may take 128 KiB; all of them and the spec must fit in a 1 MiB request.
constexpr std::size_t kMaxEnvVariable = std::size_t{64} * 1024;
constexpr std::size_t kMaxEnvTotal = std::size_t{256} * 1024;

bool is_name_start(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '_' || std::isalpha(byte) != 0;
}
bool is_name_rest(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

// [A-Za-z_][A-Za-z0-9_]*; with `unicode` any byte beyond ASCII counts as a letter, as in Python.
bool is_identifier(std::string_view text, bool unicode) {
  const auto start = [&](char c) {
    return is_name_start(c) || (unicode && static_cast<unsigned char>(c) >= 0x80);
  };
  if (text.empty() || !start(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return is_name_rest(c) || start(c); });
}

bool is_dotted(std::string_view text) {
  while (true) {
    const std::size_t dot = text.find('.');
    if (!is_identifier(text.substr(0, dot), true)) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// "site.app", "create_app()", "site.make('prod', debug=True)": what the arguments are, the app's
// own interpreter says.
bool is_callable(std::string_view text) {
  const std::size_t bracket = text.find('(');
  const bool whole = bracket == std::string_view::npos || text.back() == ')';
  return whole && is_dotted(text.substr(0, bracket)) && !has_control_character(text);
}

void check_app(Checker& check, const std::string& app) {
  constexpr const char* kAdvice =
      "write \"module:callable\", for example \"wsgi:app\", \"pkg.wsgi:site.app\" or "
      "\"shop:create_app('prod')\"";
  const std::size_t colon = app.find(':');
  const std::string_view view = app;
  if (app.empty()) {
    check.refuse("app", std::string("the app's callable must be given: ") + kAdvice +
                            "; or give a command to run in its place");
  } else if (app.size() > kMaxAppUri) {
    check.refuse("app", "must be at most " + std::to_string(kMaxAppUri) + " bytes long, but has " +
                            std::to_string(app.size()) + ": " + kAdvice);
  } else if (!is_dotted(view.substr(0, colon)) ||
             (colon != std::string::npos && !is_callable(view.substr(colon + 1)))) {
    check.refuse("app",
                 "must name a module and a callable in it, both dotted identifiers, or the call of "
                 "a factory, but got " +
                     in_quotes(app) + ": " + kAdvice);
  }
}

void check_bind(Checker& check, const std::vector<std::string>& bind) {
  if (bind.empty()) {
    check.refuse("bind",
                 "an app needs at least one address: give \"127.0.0.1:8000\" or "
                 "\"unix:/run/app.sock\"");
  }
  if (bind.size() > kMaxBinds) {
    check.refuse("bind", "at most " + std::to_string(kMaxBinds) + " addresses, but got " +
                             std::to_string(bind.size()) + ": remove some");
    return;
  }
  std::vector<Address> seen;
  for (std::size_t i = 0; i < bind.size(); ++i) {
    const std::string field = "bind[" + std::to_string(i) + "]";
    auto address = parse_address(bind[i]);
    if (!address) {
      check.refuse(field, address.error().message);
    } else if (std::find(seen.begin(), seen.end(), *address) != seen.end()) {
      check.refuse(field, "each address may be given once, but got " + in_quotes(bind[i]) +
                              " again: remove it");
    } else {
      seen.push_back(*std::move(address));
    }
  }
}

void check_env(Checker& check, const std::map<std::string, std::string>& env) {
  if (env.size() > kMaxEnv) {
    check.refuse("env", "at most " + std::to_string(kMaxEnv) + " variables, but got " +
                            std::to_string(env.size()) + ": remove some");
    return;
  }
  std::size_t total = 0;
  for (const auto& [name, value] : env) {
    const std::size_t size = name.size() + value.size() + 2;
    total += size;
    if (!is_identifier(name, false)) {
      check.refuse("env",
                   "a variable's name must be letters, digits and _ and not begin with a "
                   "digit, but got " +
                       in_quotes(name) + ": rename it");
    } else if (value.find('\0') != std::string::npos) {
      check.refuse("env." + name, "a value must not contain a NUL byte: remove it");
    } else if (value == kRedacted) {
      check.refuse("env." + name, "\"" + value +
                                      "\" stands for a value that is not shown, and there is none "
                                      "to keep: give a value, or leave the variable out");
    } else if (size > kMaxEnvVariable) {
      check.refuse("env." + name, "name and value must take at most " +
                                      std::to_string(kMaxEnvVariable) + " bytes, but take " +
                                      std::to_string(size) + ": put the value into a file");
    }
  }
  if (total > kMaxEnvTotal) {
    check.refuse("env", "all variables together must take at most " + std::to_string(kMaxEnvTotal) +
                            " bytes, but take " + std::to_string(total) +
                            ": put large values into files");
  }
}

void check_warmup(Checker& check, const std::vector<std::string>& paths) {
  if (paths.size() > kMaxWarmupPaths) {
    check.refuse("warmup_paths", "at most " + std::to_string(kMaxWarmupPaths) + " paths, but got " +
                                     std::to_string(paths.size()) + ": remove some");
    return;
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    check.request_path("warmup_paths[" + std::to_string(i) + "]", paths[i], "/login?next=/");
  }
}

void check_class(Checker& check, const AppSpec& spec) {
  constexpr auto kLoops = std::to_array<std::string_view>({"auto", "asyncio", "uvloop"});
  constexpr auto kLifespans = std::to_array<std::string_view>({"auto", "on", "off"});
  check.range("threads", spec.threads, 1, 256, "the number of threads a worker");
  check.word("worker_class", spec.worker_class, worker_classes());
  const auto classes = worker_classes();
  const bool known = std::find(classes.begin(), classes.end(), spec.worker_class) != classes.end();
  if (known && spec.threads > 1 && !takes_threads(spec.worker_class)) {
    check.refuse("threads", "is for the classes sync and gthread, but got " +
                                std::to_string(spec.threads) + " with the class " +
                                spec.worker_class +
                                ": set threads to 1 and bound requests by worker_connections");
  }
  check.range("worker_connections", spec.worker_connections, 1, 1'000'000,
              "the number of requests in hand at once");
  check.word("loop", spec.loop, kLoops);
  check.word("lifespan", spec.lifespan, kLifespans);
}

// "660", "0660"
void check_socket_mode(Checker& check, const std::string& mode) {
  if (parse_file_mode(mode)) return;
  check.refuse("unix_socket_mode", "must be three octal digits, but got " + in_quotes(mode) +
                                       ": write \"0660\" for user and group only");
}

void check_root_path(Checker& check, const std::string& path) {
  constexpr const char* kAdvice = "write \"/shop\", or nothing";
  if (path.empty()) return;
  if (path.front() != '/' || path.back() == '/' || has_control_character(path)) {
    check.refuse("root_path",
                 "must begin with \"/\", not end with it, and contain no control characters, but "
                 "got " +
                     in_quotes(path) + ": " + kAdvice);
  } else if (path.size() > kMaxRootPath) {
    check.refuse("root_path", "must be at most " + std::to_string(kMaxRootPath) +
                                  " bytes long, but has " + std::to_string(path.size()) + ": " +
                                  kAdvice);
  }
}

void check_durations(Checker& check, const AppSpec& spec) {
  constexpr Milliseconds kNone{0};
  constexpr Milliseconds kLeast{1};
  constexpr const char* kChoose = "choose a duration in that range";
  check.duration("timeout", spec.timeout, kNone, "choose a duration in that range, 0 for no limit");
  check.duration("request_timeout", spec.request_timeout, kNone,
                 "choose a duration in that range, 0 for no limit");
  check.duration("graceful_timeout", spec.graceful_timeout, kNone, kChoose);
  check.duration("keepalive", spec.keepalive, kNone,
                 "choose a duration in that range, 0 to close after each answer");
  check.duration("boot_timeout", spec.boot_timeout, Milliseconds{1000}, kChoose);
  check.duration("client_header_timeout", spec.client_header_timeout, kLeast, kChoose);
  check.duration("client_body_timeout", spec.client_body_timeout, kLeast, kChoose);
  check.duration("send_timeout", spec.send_timeout, kLeast, kChoose);
}

}  // namespace

// A rule that compares two fields names the other one in what it says.
bool is_about(const Violation& violation, std::string_view field) {
  if (violation.field == field) return true;
  const std::string_view name = field.substr(field.find('.') + 1);
  const std::string_view words = violation.description;
  for (auto at = words.find(name); at != std::string_view::npos; at = words.find(name, at + 1)) {
    const bool begins = at == 0 || !is_name_rest(words[at - 1]);
    const std::size_t end = at + name.size();
    if (begins && (end == words.size() || !is_name_rest(words[end]))) return true;
  }
  return false;
}

std::vector<Violation> validate(const AppSpec& spec) {
  std::vector<Violation> violations;
  Checker check(violations);
  check.absolute_path("directory", spec.directory, "the app's directory",
                      "give the directory that holds the app's code");
  if (spec.command.empty()) {
    check_app(check, spec.app);
    check_bind(check, spec.bind);
  }
  check.range("workers", spec.workers, 1, kMaxWorkers, "the number of worker processes",
              "choose a number in that range; to run none, stop the app");
  check_class(check, spec);
  check.absolute_path("python", spec.python, "the app's interpreter",
                      "give the interpreter's path, for example \"/usr/bin/python3\" or that of a "
                      "venv");
  check_env(check, spec.env);
  check_durations(check, spec);
  check.range("limit_request_line", spec.limit_request_line, 64, 65536,
              "the longest request line in bytes");
  check.range("limit_request_fields", spec.limit_request_fields, 1, 1000,
              "the largest number of header fields");
  check.range("limit_request_field_size", spec.limit_request_field_size, 64, 65536,
              "the longest header field in bytes");
  check.range("limit_request_body", spec.limit_request_body, 0, INT64_MAX,
              "the largest request body in bytes", "choose a size, 0 for no limit");
  check_warmup(check, spec.warmup_paths);
  check.range("backlog", spec.backlog, 1, 65535, "the length of the accept queue");
  check_socket_mode(check, spec.unix_socket_mode);
  check_root_path(check, spec.root_path);
  check_front(check, spec);
  check_commands(check, spec);
  check_rollout(check, spec);
  check_logs(check, spec);
  check_recycling(check, spec);
  check_identity(check, spec);
  return violations;
}

}  // namespace appd::model
