// AppSpec: what a user wants of one app, checked in one place. Values only.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/messages.h"

namespace appd::model {

using Milliseconds = std::chrono::milliseconds;

// What the outside sees, and may send back, in place of the value of an environment variable.
inline constexpr std::string_view kRedacted = "<redacted>";

enum class RunMode { Running, Stopped };
using message::Preload;

// A resource limit that stays as appd itself has it.
inline constexpr std::int64_t kNoLimitGiven = -1;

// Every field has its default here; the API documents the same values (apps.proto).
struct AppSpec {
  std::string directory;
  // "module", "module:callable", "module:factory('prod', debug=True)"; empty: there is a command
  std::string app;
  std::vector<std::string> bind;
  std::int32_t workers = 1;
  std::int32_t threads = 1;
  std::string worker_class = "auto";
  std::string python = "/usr/bin/python3";
  std::map<std::string, std::string> env;
  Preload preload = Preload::Auto;
  RunMode run_mode = RunMode::Running;
  Milliseconds timeout{30'000};
  Milliseconds request_timeout{0};
  Milliseconds graceful_timeout{30'000};
  Milliseconds keepalive{75'000};
  Milliseconds boot_timeout{60'000};
  std::int32_t limit_request_line = 4094;
  std::int32_t limit_request_fields = 100;
  std::int32_t limit_request_field_size = 8190;
  std::int64_t limit_request_body = std::int64_t{1} << 30;
  Milliseconds client_header_timeout{30'000};
  Milliseconds client_body_timeout{30'000};
  Milliseconds send_timeout{30'000};
  std::vector<std::string> warmup_paths;
  std::int32_t backlog = 2048;
  std::string unix_socket_mode = "0666";  // octal
  std::string root_path;
  std::string loop = "auto";
  std::string lifespan = "auto";
  std::int32_t worker_connections = 1000;
  std::string forwarded_allow_ips = message::kLoopback;
  std::string proxy_protocol = "off";
  std::string proxy_allow_ips = message::kLoopback;
  bool access_log = false;
  std::string access_log_format = message::kAccessLogFormat;
  std::int64_t ws_max_size = std::int64_t{16} << 20;
  Milliseconds ws_ping_interval{20'000};
  Milliseconds ws_ping_timeout{20'000};
  bool ws_per_message_deflate = true;
  Milliseconds ws_drain_timeout{5'000};
  std::string command;  // a program and its arguments (common/words.h) in place of an app
  Milliseconds startsecs{1'000};
  std::string stop_signal = "TERM";
  std::vector<std::string> run_once;  // commands, one after another, before a rollout's workers
  Milliseconds run_once_timeout{300'000};
  std::string health_path;            // empty: new workers are not asked
  std::string health_status = "200";  // or "200-399"
  Milliseconds health_timeout{5'000};
  std::int32_t health_tries = 3;
  std::int32_t max_surge = 0;      // workers beyond the wanted ones while rolling; 0: all at once
  std::int64_t memory_budget = 0;  // bytes of all the app's processes; 0: no limit but the host's
  std::int32_t canary = 0;         // workers that serve beside the old rollout first
  Milliseconds bake{60'000};       // and for how long
  double max_error_rate = 1;       // percent of a canary's requests
  double max_latency_factor = 3;   // of its 95th percentile to the old rollout's; 0: not compared
  std::int32_t max_requests = 0;
  std::int32_t max_requests_jitter = 0;
  Milliseconds max_worker_lifetime{0};
  Milliseconds max_worker_lifetime_jitter{0};
  std::int64_t max_memory = 0;
  bool log_prefix = true;
  std::int64_t log_max_size = std::int64_t{64} << 20;
  Milliseconds log_max_age{0};
  std::int32_t log_keep = 5;
  std::string user;                           // a name or a number; empty: appd's own
  std::string group;                          // a name or a number; empty: the user's primary one
  std::string umask = "0022";                 // octal
  bool no_new_privs = true;                   // prctl(2): no setuid program gives more rights
  std::int64_t limit_nofile = kNoLimitGiven;  // setrlimit(2), as are the following
  std::int64_t limit_nproc = kNoLimitGiven;
  std::int64_t limit_core = kNoLimitGiven;
  std::int64_t limit_as = kNoLimitGiven;
  std::int64_t limit_memory = 0;       // bytes of all the app's processes (cgroups.h); 0: no limit,
  std::int64_t limit_memory_high = 0;  // as with the following
  double limit_cpu = 0;                // CPUs
  std::int64_t limit_pids = 0;         // processes and threads
  bool require_limits = false;         // better no app than one without these limits

  bool operator==(const AppSpec&) const = default;
};

// One rule that a spec breaks. `field` is the API's path: "spec.workers".
struct Violation {
  std::string field;
  std::string description;  // the rule, the value that was given, and what to do
};

// Whether it is of the field, or of another one by a rule that compares the two.
bool is_about(const Violation& violation, std::string_view field);

// All violations at once; pure, looks at nothing but the values.
std::vector<Violation> validate(const AppSpec& spec);
// An app's id: [a-z0-9-]{1,63}, a letter first, a letter or digit last (RFC 1034 labels, lower
// case).
bool valid_app_id(std::string_view id);

// The part of a spec that running workers can take over in place.
message::Settings live_settings(const AppSpec& spec, std::int64_t generation);
// Whether going from one spec to the other needs a new zygote (code, interpreter, environment,
// sockets). `served` is the class that the workers of `from` really have; empty: not known.
bool needs_rollout(const AppSpec& from, const AppSpec& to, std::string_view served);
// Of a signal that may tell a command to go, by its name without SIG; 0 for another name.
int stop_signal_number(std::string_view name);
// Makes what needs a rollout as it is in `good` and keeps all else of `present`; `served` as above.
AppSpec with_code_of(const AppSpec& present, const AppSpec& good, std::string_view served);

}  // namespace appd::model
