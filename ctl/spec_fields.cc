// The table of AppSpec's fields, and their values as text. The defaults repeat apps.proto's
// comments: they serve help texts and differences only, appd applies its own.
#include "ctl/spec_fields.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>

#include "common/messages.h"
#include "ctl/duration.h"

namespace appd::ctl {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;
using google::protobuf::util::TimeUtil;
using enum FieldGroup;

constexpr auto kFields = std::to_array<SpecField>({
    {"directory", "--directory", "DIR", "the app's directory: where it runs, first in sys.path", "",
     App},
    {"app", "--app", "MODULE:CALLABLE",
     "what to serve, as gunicorn takes it; also MODULE:FACTORY('prod', debug=True)", "", App},
    {"bind", "--bind", "ADDRESS", "HOST:PORT, [IPV6]:PORT or unix:/PATH; may be repeated", "", App},
    {"workers", "--workers", "N", "worker processes, 1 to 1024", "1", Pool},
    {"threads", "--threads", "N",
     "threads a worker of sync or gthread, 1 to 256; sync with several is gthread", "1", Pool},
    {"worker_class", "--worker-class", "CLASS",
     "sync, gthread, gevent, eventlet, tornado, asgi; auto: what the callable needs", "auto", Pool},
    {"python", "--python", "PATH", "the app's interpreter, e.g. a venv's bin/python",
     "/usr/bin/python3", App},
    {"env", "--env", "NAME=VALUE", "a variable of the app's environment; may be repeated", "", App},
    {"preload", "--preload", "auto|on|off", "import once and fork: when safe, always, never",
     "auto", Pool},
    {"run_mode", "--run-mode", "running|stopped", "whether it should run at all", "running", Pool},
    {"timeout", "--timeout", "TIME",
     "a thread or an event loop that is stuck for so long costs its worker its life; 0 for no "
     "limit",
     "30s", Times},
    {"request_timeout", "--request-timeout", "TIME",
     "longest request, whatever it waits for; 0 for no limit", "0s", Times},
    {"graceful_timeout", "--graceful-timeout", "TIME",
     "how long a leaving worker may finish its requests", "30s", Times},
    {"keepalive", "--keepalive", "TIME", "how long an idle connection is held; 0 closes at once",
     "1m15s", Times},
    {"boot_timeout", "--boot-timeout", "TIME", "longest import, until the first worker accepts",
     "1m", Times},
    {"limit_request_line", "--limit-request-line", "BYTES", "longest request line", "4094", Limits},
    {"limit_request_fields", "--limit-request-fields", "N", "most header fields of a request",
     "100", Limits},
    {"limit_request_field_size", "--limit-request-field-size", "BYTES", "longest header field",
     "8190", Limits},
    {"limit_request_body", "--limit-request-body", "BYTES",
     "largest body, e.g. 64MiB; 0 for no limit", "1GiB", Limits},
    {"client_header_timeout", "--client-header-timeout", "TIME",
     "longest wait for a whole request head", "30s", Times},
    {"client_body_timeout", "--client-body-timeout", "TIME", "longest pause within a request body",
     "30s", Times},
    {"send_timeout", "--send-timeout", "TIME", "longest pause of a client that should read", "30s",
     Times},
    {"warmup_paths", "--warmup-path", "PATH", "requested before the first fork; may be repeated",
     "", Pool},
    {"backlog", "--backlog", "N", "length of each accept queue", "2048", Limits},
    {"unix_socket_mode", "--unix-socket-mode", "MODE", "of the files of unix socket binds, octal",
     "0666", App},
    {"root_path", "--root-path", "PATH", "where the app is mounted, e.g. /shop (SCRIPT_NAME)", "",
     App},
    {"loop", "--loop", "auto|asyncio|uvloop", "event loop of the class asgi", "auto", Pool},
    {"lifespan", "--lifespan", "auto|on|off", "ASGI's lifespan protocol", "auto", Pool},
    {"worker_connections", "--worker-connections", "N",
     "requests in hand at once in a worker of gevent, eventlet, tornado or asgi", "1000", Pool},
    {"forwarded_allow_ips", "--forwarded-allow-ips", "ADDRESSES",
     "whose X-Forwarded-* count: addresses and networks with commas between, * or nothing",
     message::kLoopback, Front},
    {"proxy_protocol", "--proxy-protocol", "off|v1|v2|auto",
     "connections begin with a header of the PROXY protocol", "off", Front},
    {"proxy_allow_ips", "--proxy-allow-ips", "ADDRESSES", "who may send that header",
     message::kLoopback, Front},
    {"access_log", "--access-log", "on|off", "write each request to the app's access log", "off",
     Front},
    {"access_log_format", "--access-log-format", "FORMAT", "gunicorn's atoms, or json",
     message::kAccessLogFormat, Front},
    {"ws_max_size", "--ws-max-size", "BYTES", "largest WebSocket message", "16MiB", WebSockets},
    {"ws_ping_interval", "--ws-ping-interval", "TIME", "between pings; 0 for none", "20s",
     WebSockets},
    {"ws_ping_timeout", "--ws-ping-timeout", "TIME",
     "longest wait for the answer to a ping; 0 for no limit", "20s", WebSockets},
    {"ws_per_message_deflate", "--ws-per-message-deflate", "on|off", "compress messages", "on",
     WebSockets},
    {"ws_drain_timeout", "--ws-drain-timeout", "TIME",
     "how long WebSockets may stay in a leaving worker", "5s", WebSockets},
    {"command", "--command", "COMMAND",
     "a program and its arguments in place of an app; no shell runs it", "", Commands},
    {"startsecs", "--startsecs", "TIME", "how long a command must stay up to be ready", "1s",
     Commands},
    {"stop_signal", "--stop-signal", "TERM|INT|QUIT|HUP|USR1|USR2|KILL",
     "what tells a command to go", "TERM", Commands},
    {"run_once", "--run-once", "COMMAND",
     "run by each rollout before its workers start, e.g. migrations; may be repeated", "",
     Commands},
    {"run_once_timeout", "--run-once-timeout", "TIME", "longest time of each of those", "5m",
     Commands},
    {"health_path", "--health-path", "PATH",
     "what a new worker must answer before it takes a client, e.g. /healthz", "", Rollouts},
    {"health_status", "--health-status", "STATUS", "the right answer: 200, or a range: 200-399",
     "200", Rollouts},
    {"health_timeout", "--health-timeout", "TIME", "longest wait for it, each try", "5s", Rollouts},
    {"health_tries", "--health-tries", "N", "tries before the worker is given up, 1 to 100", "3",
     Rollouts},
    {"max_surge", "--max-surge", "N",
     "workers beyond those wanted while a pool is replaced; 0: all at once", "0", Rollouts},
    {"memory_budget", "--memory-budget", "BYTES",
     "memory of the app while its pool is replaced; 0: the host's", "0", Rollouts},
    {"canary", "--canary", "N", "new workers that prove themselves beside the old pool; 0: none",
     "0", Rollouts},
    {"bake", "--bake", "TIME", "for how long", "1m", Rollouts},
    {"max_error_rate", "--max-error-rate", "PERCENT",
     "of a canary's requests that may fail before it is taken back", "1", Rollouts},
    {"max_latency_factor", "--max-latency-factor", "FACTOR",
     "of a canary's 95th percentile to the old pool's; 0: not compared", "3", Rollouts},
    {"max_requests", "--max-requests", "N", "replace a worker that has answered so many; 0: never",
     "0", Pool},
    {"max_requests_jitter", "--max-requests-jitter", "N", "up to so many more", "0", Pool},
    {"max_worker_lifetime", "--max-worker-lifetime", "TIME",
     "replace a worker that is so old; 0: never", "0s", Pool},
    {"max_worker_lifetime_jitter", "--max-worker-lifetime-jitter", "TIME", "up to so much older",
     "0s", Pool},
    {"max_memory", "--max-memory", "BYTES", "replace a worker with more resident memory; 0: never",
     "0", Pool},
    {"log_prefix", "--log-prefix", "on|off", "lines of the log begin with time, rollout and worker",
     "on", Logs},
    {"log_max_size", "--log-max-size", "BYTES", "rotate a log of this size; 0 for no limit",
     "64MiB", Logs},
    {"log_max_age", "--log-max-age", "TIME", "rotate a log that is so old, e.g. 24h; 0 for never",
     "0s", Logs},
    {"log_keep", "--log-keep", "N", "rotated files of each log that stay", "5", Logs},
    {"user", "--user", "USER", "name or number; none: appd's own", "", Identity},
    {"group", "--group", "GROUP", "name or number; none: the user's primary one", "", Identity},
    {"umask", "--umask", "MODE", "of the files that the app makes, octal", "0022", Identity},
    {"no_new_privs", "--no-new-privs", "on|off", "setuid programs give the app no rights", "on",
     Identity},
    {"limit_nofile", "--limit-nofile", "N", "open descriptors of a process; -1: as appd has it",
     "-1", Identity},
    {"limit_nproc", "--limit-nproc", "N", "processes of the user; -1: as appd has it", "-1",
     Identity},
    {"limit_core", "--limit-core", "BYTES", "of a core file, 0 for none; -1: as appd has it", "-1",
     Identity},
    {"limit_as", "--limit-as", "BYTES", "address space of a process; -1: as appd has it", "-1",
     Identity},
    {"limit_memory", "--limit-memory", "BYTES",
     "of all the app's processes, beyond which the kernel ends one; 0 for no limit", "0", Identity},
    {"limit_memory_high", "--limit-memory-high", "BYTES",
     "the same, beyond which the app is slowed down; 0 for no limit", "0", Identity},
    {"limit_cpu", "--limit-cpu", "CPUS", "of all the app's processes, e.g. 1.5; 0 for no limit",
     "0", Identity},
    {"limit_pids", "--limit-pids", "N",
     "processes and threads of the app, beyond which it gets no further one; 0 for no limit", "0",
     Identity},
    {"require_limits", "--require-limits", "on|off",
     "refuse the app where memory, CPU or pids cannot be limited", "off", Identity},
});

// Fields of requests that are arguments too.
struct RequestField {
  std::string_view path;
  std::string_view argument;
};
constexpr auto kRequestFields = std::to_array<RequestField>({{"app_id", "NAME"},
                                                             {"name", "NAME"},
                                                             {"app.name", "NAME"},
                                                             {"parent", "NAME"},
                                                             {"etag", "--etag"},
                                                             {"app.etag", "--etag"},
                                                             {"request_id", "--request-id"},
                                                             {"reason", "--reason"},
                                                             {"revision", "--to"},
                                                             {"start_revision", "--since"},
                                                             {"tail", "--lines"},
                                                             {"contains", "--grep"},
                                                             {"matches", "--regex"},
                                                             {"worker", "--worker"}});

const FieldDescriptor& descriptor_of(const SpecField& field) {
  const auto* found = v1::AppSpec::descriptor()->FindFieldByName(std::string(field.name));
  APPD_CHECK(found != nullptr);
  return *found;
}

bool is_duration(const FieldDescriptor& descriptor) {
  return !descriptor.is_repeated() && descriptor.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

Error bad(std::string message) {
  return Error{ErrorCode::InvalidArgument, "VALUE_INVALID", std::move(message), 0};
}

struct SizeUnit {
  std::string_view name;
  std::int64_t bytes;
};
constexpr auto kSizeUnits = std::to_array<SizeUnit>({{"GiB", std::int64_t{1} << 30},
                                                     {"MiB", std::int64_t{1} << 20},
                                                     {"KiB", std::int64_t{1} << 10},
                                                     {"G", std::int64_t{1} << 30},
                                                     {"M", std::int64_t{1} << 20},
                                                     {"K", std::int64_t{1} << 10},
                                                     {"", 1}});

// The range check that matters is appd's; this one keeps the value representable.
Result<std::int64_t> parse_integer(std::string_view text, bool is_size, std::int64_t largest) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const auto* found = std::find_if(kSizeUnits.begin(), kSizeUnits.end(),
                                   [&](const SizeUnit& u) { return u.name == unit; });
  const bool form = code != std::errc::invalid_argument && found != kSizeUnits.end();
  if (!form || (!is_size && !unit.empty())) {
    return bad("'" + std::string(text) + "' is no whole number" + (is_size ? " of bytes" : ""));
  }
  if (code != std::errc() || value > largest / found->bytes || value < -largest / found->bytes) {
    return bad("'" + std::string(text) + "' is out of range");
  }
  return value * found->bytes;
}

// "2.5"; of a percentage also "2.5%".
Result<double> parse_number(std::string_view text) {
  std::string_view digits = text;
  if (digits.ends_with('%')) digits.remove_suffix(1);
  double value = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (code != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) {
    return bad("'" + std::string(text) + "' is no number");
  }
  return value;
}

// The shortest text that reads back as the same number.
std::string number_text(double value) {
  char text[32];
  const auto [end, code] = std::to_chars(text, text + sizeof(text), value);
  return code == std::errc() ? std::string(text, end) : "";
}

std::string size_text(std::int64_t bytes) {
  for (const SizeUnit& unit : std::span(kSizeUnits).first(3)) {
    if (bytes != 0 && bytes % unit.bytes == 0) {
      return std::to_string(bytes / unit.bytes) + std::string(unit.name);
    }
  }
  return std::to_string(bytes);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// "auto" → AUTO; the zero value means the default and is no choice.
Result<const EnumValueDescriptor*> parse_choice(const FieldDescriptor& descriptor,
                                                std::string_view text) {
  std::string choices;
  for (int i = 0; i < descriptor.enum_type()->value_count(); ++i) {
    const EnumValueDescriptor* value = descriptor.enum_type()->value(i);
    if (value->number() == 0) continue;
    if (lower(value->name()) == lower(text)) return value;
    choices += (choices.empty() ? "" : ", ") + lower(value->name());
  }
  return bad("'" + std::string(text) + "' is none of " + choices);
}

Result<bool> parse_switch(std::string_view text) {
  const std::string word = lower(text);
  for (std::string_view on : {"on", "true", "yes", "1"}) {
    if (word == on) return true;
  }
  for (std::string_view off : {"off", "false", "no", "0"}) {
    if (word == off) return false;
  }
  return bad("'" + std::string(text) + "' is neither on nor off");
}

Result<void> assign_env(v1::AppSpec& spec, std::span<const std::string> values) {
  spec.clear_env();
  for (const std::string& value : values) {
    const std::size_t equals = value.find('=');
    if (equals == 0 || equals == std::string::npos) {
      // What is meant for a value is not repeated: terminals are recorded, and logs of builds kept.
      return bad("needs NAME=VALUE, and got something without a NAME=");
    }
    (*spec.mutable_env())[value.substr(0, equals)] = value.substr(equals + 1);
  }
  return {};
}

Result<void> assign_one(v1::AppSpec& spec, const SpecField& field, const std::string& text) {
  const FieldDescriptor& descriptor = descriptor_of(field);
  const Reflection& reflection = *v1::AppSpec::GetReflection();
  if (is_duration(descriptor)) {
    const std::chrono::milliseconds value = TRY(parse_duration(text));
    reflection.MutableMessage(&spec, &descriptor)
        ->CopyFrom(TimeUtil::MillisecondsToDuration(value.count()));
    return {};
  }
  switch (descriptor.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(&spec, &descriptor, text);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection.SetBool(&spec, &descriptor, TRY(parse_switch(text)));
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      reflection.SetEnum(&spec, &descriptor, TRY(parse_choice(descriptor, text)));
      break;
    case FieldDescriptor::CPPTYPE_INT32:
      reflection.SetInt32(&spec, &descriptor,
                          static_cast<std::int32_t>(
                              TRY(parse_integer(text, field.placeholder == "BYTES", INT32_MAX))));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      reflection.SetInt64(&spec, &descriptor,
                          TRY(parse_integer(text, field.placeholder == "BYTES", INT64_MAX)));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      reflection.SetDouble(&spec, &descriptor, TRY(parse_number(text)));
      break;
    default:
      APPD_CHECK(!"a kind of field that this table does not know");
  }
  return {};
}

// The variables in order of their names, whatever the map's order is.
std::map<std::string, std::string> sorted_env(const v1::AppSpec& spec) {
  return {spec.env().begin(), spec.env().end()};
}

void diff_env(const v1::AppSpec& from, const v1::AppSpec& to, std::vector<FieldChange>& changes) {
  auto before = sorted_env(from);
  const auto after = sorted_env(to);
  for (const auto& [name, value] : after) {
    const auto old = before.find(name);
    if (old == before.end()) {
      changes.push_back({"env." + name, std::nullopt, value});
    } else {
      if (old->second != value) changes.push_back({"env." + name, old->second, value});
      before.erase(old);
    }
  }
  for (const auto& [name, value] : before) {
    changes.push_back({"env." + name, value, std::nullopt});
  }
}

std::vector<FieldChange> hide_values(std::vector<FieldChange> changes) {
  for (FieldChange& change : changes) {
    if (change.field.rfind("env.", 0) != 0) continue;
    change.hidden = true;
    if (change.from) change.from = "";
    if (change.to) change.to = "";
  }
  return changes;
}

}  // namespace

std::span<const SpecField> spec_fields() { return kFields; }

const SpecField* find_spec_field(std::string_view name) {
  const auto* found = std::find_if(kFields.begin(), kFields.end(),
                                   [&](const SpecField& field) { return field.name == name; });
  return found == kFields.end() ? nullptr : &*found;
}

std::vector<std::string_view> spec_field_names() {
  std::vector<std::string_view> names;
  names.reserve(kFields.size());
  for (const SpecField& field : kFields) names.push_back(field.name);
  return names;
}

bool takes_many(const SpecField& field) { return descriptor_of(field).is_repeated(); }

Result<void> assign(v1::AppSpec& spec, const SpecField& field,
                    std::span<const std::string> values) {
  const FieldDescriptor& descriptor = descriptor_of(field);
  if (descriptor.is_map()) return assign_env(spec, values);
  if (!descriptor.is_repeated()) {
    APPD_CHECK(values.size() == 1);
    return assign_one(spec, field, values.front());
  }
  clear(spec, field);
  for (const std::string& value : values) {
    v1::AppSpec::GetReflection()->AddString(&spec, &descriptor, value);
  }
  return {};
}

bool is_set(const v1::AppSpec& spec, const SpecField& field) {
  const FieldDescriptor& descriptor = descriptor_of(field);
  const Reflection& reflection = *v1::AppSpec::GetReflection();
  if (descriptor.is_repeated()) return reflection.FieldSize(spec, &descriptor) > 0;
  return reflection.HasField(spec, &descriptor);
}

void clear(v1::AppSpec& spec, const SpecField& field) {
  v1::AppSpec::GetReflection()->ClearField(&spec, &descriptor_of(field));
}

std::string text_of(const v1::AppSpec& spec, const SpecField& field) {
  const FieldDescriptor& descriptor = descriptor_of(field);
  const Reflection& reflection = *v1::AppSpec::GetReflection();
  std::string text;
  if (descriptor.is_map()) {
    for (const auto& [name, value] : sorted_env(spec)) {
      text.append(text.empty() ? "" : ", ").append(name).append("=").append(value);
    }
    return text;
  }
  if (descriptor.is_repeated()) {
    for (int i = 0; i < reflection.FieldSize(spec, &descriptor); ++i) {
      text += (i == 0 ? "" : ", ") + reflection.GetRepeatedString(spec, &descriptor, i);
    }
    return text;
  }
  if (!reflection.HasField(spec, &descriptor)) return "";
  if (is_duration(descriptor)) {
    google::protobuf::Duration value;
    value.CopyFrom(reflection.GetMessage(spec, &descriptor));
    return format_duration(std::chrono::milliseconds(TimeUtil::DurationToMilliseconds(value)));
  }
  switch (descriptor.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(spec, &descriptor) ? "on" : "off";
    case FieldDescriptor::CPPTYPE_ENUM:
      return lower(reflection.GetEnum(spec, &descriptor)->name());
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection.GetInt32(spec, &descriptor));
    case FieldDescriptor::CPPTYPE_INT64:
      return size_text(reflection.GetInt64(spec, &descriptor));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return number_text(reflection.GetDouble(spec, &descriptor));
    default:
      return reflection.GetString(spec, &descriptor);
  }
}

v1::AppSpec with_defaults(v1::AppSpec spec) {
  for (const SpecField& field : kFields) {
    if (is_set(spec, field) || field.default_value.empty()) continue;
    const std::string value(field.default_value);
    APPD_CHECK(assign(spec, field, {&value, 1}));
  }
  return spec;
}

std::vector<FieldChange> diff(const v1::AppSpec& from, const v1::AppSpec& to) {
  const v1::AppSpec before = with_defaults(from);
  const v1::AppSpec after = with_defaults(to);
  std::vector<FieldChange> changes;
  for (const SpecField& field : kFields) {
    if (descriptor_of(field).is_map()) {
      diff_env(before, after, changes);
      continue;
    }
    std::string old_text = text_of(before, field);
    std::string new_text = text_of(after, field);
    if (old_text == new_text) continue;
    FieldChange change{std::string(field.name), std::nullopt, std::nullopt};
    if (!old_text.empty()) change.from = std::move(old_text);
    if (!new_text.empty()) change.to = std::move(new_text);
    changes.push_back(std::move(change));
  }
  return changes;
}

std::vector<FieldChange> diff(const v1::AppSpec& from, const v1::App& to) {
  v1::AppSpec after = to.spec();
  for (const std::string& name : to.changed_env()) {
    const auto variable = after.mutable_env()->find(name);
    if (variable != after.mutable_env()->end()) variable->second.clear();  // not as it was shown
  }
  return hide_values(diff(from, after));
}

std::vector<FieldChange> diff(const v1::Revision& from, const v1::Revision& to) {
  // In the place of each value stands what tells it from others.
  const auto marked = [](const v1::Revision& revision) {
    v1::AppSpec spec = revision.spec();
    for (auto& [name, value] : *spec.mutable_env()) {
      const auto since = revision.env_since().find(name);
      if (since != revision.env_since().end()) value = std::to_string(since->second);
    }
    return spec;
  };
  return hide_values(diff(marked(from), marked(to)));
}

std::string_view field_of(std::string_view path) {
  constexpr std::array<std::string_view, 2> kPrefixes = {"app.", "spec."};
  for (std::string_view prefix : kPrefixes) {
    if (path.substr(0, prefix.size()) == prefix) path.remove_prefix(prefix.size());
  }
  const SpecField* field = find_spec_field(path.substr(0, path.find_first_of(".[")));
  return field == nullptr ? std::string_view() : field->name;
}

std::string flag_of(std::string_view path) {
  const SpecField* field = find_spec_field(field_of(path));
  if (field == nullptr) {
    const auto* found = std::find_if(kRequestFields.begin(), kRequestFields.end(),
                                     [&](const RequestField& each) { return each.path == path; });
    return std::string(found == kRequestFields.end() ? path : found->argument);
  }
  const std::size_t variable = path.find("env.");
  const bool named = field->name == "env" && variable != std::string_view::npos;
  return std::string(field->flag) + (named ? " " + std::string(path.substr(variable + 4)) : "");
}

}  // namespace appd::ctl
