// The rules of pools of plain commands, and of the tasks that a rollout runs once.
#include <array>
#include <csignal>
#include <span>

#include "common/words.h"
#include "supervisor/model/checker.h"

namespace appd::model {
namespace {

constexpr std::size_t kMaxCommand = std::size_t{16} * 1024;
constexpr std::size_t kMaxTasks = 32;
constexpr Milliseconds kSecond{1000};

constexpr auto kSignalNames =
    std::to_array<std::string_view>({"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"});
constexpr std::array kSignalNumbers = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGKILL};
static_assert(kSignalNames.size() == kSignalNumbers.size());

void check_words(Checker& check, const std::string& field, const std::string& command) {
  if (command.size() > kMaxCommand) {
    check.refuse(field, "must be at most " + std::to_string(kMaxCommand) + " bytes long, but has " +
                            std::to_string(command.size()) + ": put it into a script");
    return;
  }
  if (command.find('\0') != std::string::npos) {
    check.refuse(field, "must not contain a NUL byte: remove it");
    return;
  }
  auto words = split_words(command);
  if (!words) {
    check.refuse(field, words.error().message + "; got " + in_quotes(command));
  } else if (words.value().empty() || words.value().front().empty()) {
    check.refuse(field, "names no program, but got " + in_quotes(command) +
                            ": write the program and its arguments, \"python manage.py migrate\"");
  }
}

// A setting that has no meaning in this kind of pool, and must stay as it is by default.
struct Foreign {
  const char* field;
  bool given;
  const char* why;
};

void refuse_foreign(Checker& check, std::span<const Foreign> settings) {
  for (const Foreign& setting : settings) {
    if (setting.given) check.refuse(setting.field, std::string(setting.why) + ": leave it out");
  }
}

#define SETTING(name) #name, spec.name != defaults.name

void refuse_settings_of_apps(Checker& check, const AppSpec& spec) {
  static const AppSpec defaults;
  constexpr const char* kSockets = "has no meaning for a command, which opens its sockets itself";
  constexpr const char* kPython = "has no meaning for a command, into which appd loads nothing";
  constexpr const char* kRequests =
      "has no meaning for a command, whose requests, if any, appd does not see";
  const Foreign settings[] = {
      {SETTING(bind), kSockets},
      {SETTING(backlog), kSockets},
      {SETTING(unix_socket_mode), kSockets},
      {SETTING(threads), kPython},
      {SETTING(worker_class), kPython},
      {SETTING(preload), kPython},
      {SETTING(warmup_paths), kPython},
      {SETTING(root_path), kPython},
      {SETTING(loop), kPython},
      {SETTING(lifespan), kPython},
      {SETTING(timeout), kRequests},
      {SETTING(request_timeout), kRequests},
      {SETTING(max_requests), kRequests},
      {SETTING(max_requests_jitter), kRequests},
      {SETTING(keepalive), kRequests},
      {SETTING(limit_request_line), kRequests},
      {SETTING(limit_request_fields), kRequests},
      {SETTING(limit_request_field_size), kRequests},
      {SETTING(limit_request_body), kRequests},
      {SETTING(client_header_timeout), kRequests},
      {SETTING(client_body_timeout), kRequests},
      {SETTING(send_timeout), kRequests},
      {SETTING(worker_connections), kRequests},
      {SETTING(forwarded_allow_ips), kRequests},
      {SETTING(proxy_protocol), kRequests},
      {SETTING(proxy_allow_ips), kRequests},
      {SETTING(access_log), kRequests},
      {SETTING(access_log_format), kRequests},
      {SETTING(ws_max_size), kRequests},
      {SETTING(ws_ping_interval), kRequests},
      {SETTING(ws_ping_timeout), kRequests},
      {SETTING(ws_per_message_deflate), kRequests},
      {SETTING(ws_drain_timeout), kRequests},
      {SETTING(health_path), kRequests},
      {SETTING(health_status), kRequests},
      {SETTING(health_timeout), kRequests},
      {SETTING(health_tries), kRequests},
      {SETTING(canary), kRequests},
      {SETTING(bake), kRequests},
      {SETTING(max_error_rate), kRequests},
      {SETTING(max_latency_factor), kRequests},
  };
  refuse_foreign(check, settings);
}

void refuse_settings_of_commands(Checker& check, const AppSpec& spec) {
  static const AppSpec defaults;
  constexpr const char* kWhy = "is for pools of commands, and this is an app";
  const Foreign settings[] = {{SETTING(startsecs), kWhy}, {SETTING(stop_signal), kWhy}};
  refuse_foreign(check, settings);
}

#undef SETTING

void check_command(Checker& check, const AppSpec& spec) {
  check_words(check, "command", spec.command);
  if (!spec.app.empty()) {
    check.refuse("command", "cannot be given together with app (" + in_quotes(spec.app) +
                                "): a pool runs one of them, leave the other out");
  }
  if (spec.startsecs >= spec.boot_timeout) {
    check.refuse("startsecs",
                 "must be shorter than boot_timeout, within which a worker must be ready: choose a "
                 "shorter startsecs or a longer boot_timeout");
  }
  refuse_settings_of_apps(check, spec);
}

}  // namespace

int stop_signal_number(std::string_view name) {
  for (std::size_t i = 0; i < kSignalNames.size(); ++i) {
    if (kSignalNames[i] == name) return kSignalNumbers[i];
  }
  return 0;
}

void check_commands(Checker& check, const AppSpec& spec) {
  check.duration("startsecs", spec.startsecs, Milliseconds{0},
                 "choose a duration in that range, 0 for ready as soon as it runs");
  check.word("stop_signal", spec.stop_signal, kSignalNames);
  if (spec.command.empty()) {
    refuse_settings_of_commands(check, spec);
  } else {
    check_command(check, spec);
  }
  check.duration("run_once_timeout", spec.run_once_timeout, kSecond,
                 "choose a duration in that range");
  if (spec.run_once.size() > kMaxTasks) {
    check.refuse("run_once", "at most " + std::to_string(kMaxTasks) + " commands, but got " +
                                 std::to_string(spec.run_once.size()) +
                                 ": put several into a script");
    return;
  }
  for (std::size_t i = 0; i < spec.run_once.size(); ++i) {
    check_words(check, "run_once[" + std::to_string(i) + "]", spec.run_once[i]);
  }
}

}  // namespace appd::model
