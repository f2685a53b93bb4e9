// The rules of a spec, each in one place, and what follows from a spec for those who run it.
#include "supervisor/model/app_spec.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "common/scoreboard.h"
#include "supervisor/model/address.h"
#include "supervisor/model/text.h"

namespace appd::model {
namespace {

constexpr std::size_t kMaxPath = 4095;  // PATH_MAX without its NUL
constexpr std::size_t kMaxAppUri = 1000;
constexpr std::size_t kMaxBinds = 32;
constexpr std::size_t kMaxWarmupPaths = 32;
constexpr std::size_t kMaxWarmupPath = 2048;
constexpr std::size_t kMaxEnv = 1000;
// execve(2): one string may take 128 KiB; all of them and the spec must fit in a 1 MiB request.
constexpr std::size_t kMaxEnvVariable = std::size_t{64} * 1024;
constexpr std::size_t kMaxEnvTotal = std::size_t{256} * 1024;
constexpr Milliseconds kDay{24 * 60 * 60 * 1000};

// Collects what is wrong, so that a caller hears of everything at once.
class Checker {
 public:
  explicit Checker(std::vector<Violation>& violations) : violations_(violations) {}

  void refuse(std::string field, std::string description) {
    violations_.push_back({"spec." + std::move(field), std::move(description)});
  }
  void range(const char* field, std::int64_t value, std::int64_t least, std::int64_t most,
             const char* what, const char* advice = "choose a number in that range") {
    if (value >= least && value <= most) return;
    refuse(field, std::string(what) + " must be " + std::to_string(least) + " to " +
                      std::to_string(most) + ", but got " + std::to_string(value) + ": " + advice);
  }
  void duration(const char* field, Milliseconds value, Milliseconds least, const char* advice) {
    if (value >= least && value <= kDay) return;
    refuse(field, "must be from " + seconds(least) + " to " + seconds(kDay) + ", but got " +
                      seconds(value) + ": " + advice);
  }
  void absolute_path(const char* field, const std::string& value, const char* what,
                     const char* advice) {
    if (value.empty()) {
      refuse(field, std::string(what) + " must be given: " + advice);
    } else if (value.front() != '/') {
      refuse(field, std::string(what) + " must be an absolute path, but got " + in_quotes(value) +
                        ": " + advice);
    } else if (has_control_character(value)) {
      refuse(field, std::string(what) + " must not contain control characters, but got " +
                        in_quotes(value) + ": " + advice);
    } else if (value.size() > kMaxPath) {
      refuse(field, std::string(what) + " must be at most " + std::to_string(kMaxPath) +
                        " bytes long, but has " + std::to_string(value.size()) + ": " + advice);
    }
  }

 private:
  static std::string seconds(Milliseconds value) {
    const std::int64_t ms = value.count();
    if (ms % 1000 == 0) return std::to_string(ms / 1000) + " s";
    return std::to_string(ms) + " ms";
  }
  std::vector<Violation>& violations_;
};

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

void check_app(Checker& check, const std::string& app) {
  constexpr const char* kAdvice =
      "write \"module:callable\", for example \"wsgi:app\" or \"pkg.wsgi:site.app\"";
  const std::size_t colon = app.find(':');
  const std::string_view view = app;
  if (app.empty()) {
    check.refuse("app", std::string("the app's callable must be given: ") + kAdvice);
  } else if (app.size() > kMaxAppUri) {
    check.refuse("app", "must be at most " + std::to_string(kMaxAppUri) + " bytes long, but has " +
                            std::to_string(app.size()) + ": " + kAdvice);
  } else if (colon == std::string::npos || !is_dotted(view.substr(0, colon)) ||
             !is_dotted(view.substr(colon + 1))) {
    check.refuse("app",
                 "must name a module and a callable in it, both dotted identifiers, but got " +
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
    const std::string& path = paths[i];
    const std::string field = "warmup_paths[" + std::to_string(i) + "]";
    const bool blank = path.find(' ') != std::string::npos;
    if (path.empty() || path.front() != '/' || blank || has_control_character(path)) {
      check.refuse(field,
                   "must begin with \"/\" and contain neither blanks nor control characters, "
                   "but got " +
                       in_quotes(path) + ": write a path like \"/login?next=/\"");
    } else if (path.size() > kMaxWarmupPath) {
      check.refuse(field, "must be at most " + std::to_string(kMaxWarmupPath) +
                              " bytes long, but has " + std::to_string(path.size()) +
                              ": choose a shorter path");
    }
  }
}

void check_durations(Checker& check, const AppSpec& spec) {
  constexpr Milliseconds kNone{0};
  constexpr Milliseconds kLeast{1};
  constexpr const char* kChoose = "choose a duration in that range";
  check.duration("timeout", spec.timeout, kNone, "choose a duration in that range, 0 for no limit");
  check.duration("graceful_timeout", spec.graceful_timeout, kNone, kChoose);
  check.duration("keepalive", spec.keepalive, kNone,
                 "choose a duration in that range, 0 to close after each answer");
  check.duration("boot_timeout", spec.boot_timeout, Milliseconds{1000}, kChoose);
  check.duration("client_header_timeout", spec.client_header_timeout, kLeast, kChoose);
  check.duration("client_body_timeout", spec.client_body_timeout, kLeast, kChoose);
  check.duration("send_timeout", spec.send_timeout, kLeast, kChoose);
}

bool changes_in_place(std::string_view worker_class) {
  return worker_class == "sync" || worker_class == "gthread";
}

}  // namespace

std::vector<Violation> validate(const AppSpec& spec) {
  std::vector<Violation> violations;
  Checker check(violations);
  check.absolute_path("directory", spec.directory, "the app's directory",
                      "give the directory that holds the app's code");
  check_app(check, spec.app);
  check_bind(check, spec.bind);
  check.range("workers", spec.workers, 1, kMaxWorkers, "the number of worker processes",
              "choose a number in that range; to run none, set run_mode to STOPPED");
  check.range("threads", spec.threads, 1, 256, "the number of threads a worker");
  if (!changes_in_place(spec.worker_class)) {
    check.refuse("worker_class", "must be \"sync\" or \"gthread\", but got " +
                                     in_quotes(spec.worker_class) + ": choose one of these");
  }
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
  return violations;
}

bool valid_app_id(std::string_view id) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return !id.empty() && id.size() <= 63 && letter(id.front()) && id.back() != '-' &&
         std::all_of(id.begin(), id.end(), inner);
}

std::string effective_worker_class(const AppSpec& spec) {
  return spec.worker_class == "sync" && spec.threads > 1 ? "gthread" : spec.worker_class;
}

message::Settings live_settings(const AppSpec& spec, std::int64_t generation) {
  // validate() bounds every duration by a day, which fits 32 bits of milliseconds.
  const auto ms = [](Milliseconds value) { return static_cast<std::uint32_t>(value.count()); };
  message::Settings settings;
  settings.revision = generation;
  settings.threads = static_cast<std::uint32_t>(spec.threads);
  settings.timeout_ms = ms(spec.timeout);
  settings.graceful_timeout_ms = ms(spec.graceful_timeout);
  settings.keepalive_ms = ms(spec.keepalive);
  settings.client_header_timeout_ms = ms(spec.client_header_timeout);
  settings.client_body_timeout_ms = ms(spec.client_body_timeout);
  settings.send_timeout_ms = ms(spec.send_timeout);
  settings.limit_request_line = static_cast<std::uint32_t>(spec.limit_request_line);
  settings.limit_request_fields = static_cast<std::uint32_t>(spec.limit_request_fields);
  settings.limit_request_field_size = static_cast<std::uint32_t>(spec.limit_request_field_size);
  settings.limit_request_body = spec.limit_request_body;
  return settings;
}

bool needs_rollout(const AppSpec& from, const AppSpec& to) {
  const bool new_class =
      from.worker_class != to.worker_class &&
      !(changes_in_place(from.worker_class) && changes_in_place(to.worker_class));
  return new_class || from.directory != to.directory || from.app != to.app ||
         from.python != to.python || from.env != to.env || from.preload != to.preload ||
         from.warmup_paths != to.warmup_paths || from.bind != to.bind || from.backlog != to.backlog;
}

}  // namespace appd::model
