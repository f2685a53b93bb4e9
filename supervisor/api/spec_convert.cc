// One entry for each field of AppSpec, in a table that all three conversions walk. A test sets
// every field of the message by reflection and compares: a field that is missing here does not get
// through.
#include "supervisor/api/spec_convert.h"

#include <algorithm>
#include <array>

#include "supervisor/api/convert.h"
#include "supervisor/model/text.h"
#include "supervisor/model/worker_class.h"

namespace appd::api {
namespace {

using google::protobuf::Duration;
using Violations = std::vector<model::Violation>;

struct Field {
  const char* name;
  void (*take)(const v1::AppSpec& from, model::AppSpec& to, Violations& violations);
  void (*give)(const model::AppSpec& from, v1::AppSpec& to);
};

const model::AppSpec& defaults() {
  static const model::AppSpec spec;
  return spec;
}

// Protobuf's own limits for a Duration (about 10,000 years), beyond which it is none. What is less
// than a millisecond is rounded up: a short time must not become 0, which means "none".
void take_duration(const char* name, const Duration& from, model::Milliseconds& to,
                   Violations& violations) {
  constexpr std::int64_t kMostSeconds = 315'576'000'000;
  constexpr std::int32_t kMostNanos = 999'999'999;
  const std::int64_t seconds = from.seconds();
  const std::int32_t nanos = from.nanos();
  const std::string field = std::string("spec.") + name;
  if (seconds > kMostSeconds || nanos > kMostNanos || seconds < -kMostSeconds ||
      nanos < -kMostNanos || (seconds > 0 && nanos < 0)) {
    violations.push_back(
        {field, "must be a Duration, but got " + std::to_string(seconds) + " s and " +
                    std::to_string(nanos) +
                    " ns: seconds and nanos must have the same sign and be in range"});
  } else if (seconds < 0 || nanos < 0) {
    violations.push_back({field, "must not be negative, but got " + std::to_string(seconds) +
                                     " s and " + std::to_string(nanos) + " ns: choose 0 or more"});
  } else {
    to = model::Milliseconds(seconds * 1000 + (nanos + 999'999) / 1'000'000);
  }
}

void refuse_enumerator(const char* name, int value, Violations& violations) {
  violations.push_back({std::string("spec.") + name, "has no enumerator " + std::to_string(value) +
                                                         ": choose one of the API's"});
}

void take_preload(const v1::AppSpec& from, model::AppSpec& to, Violations& violations) {
  switch (from.preload()) {
    case v1::AppSpec::PRELOAD_UNSPECIFIED:
    case v1::AppSpec::AUTO:
      to.preload = model::Preload::Auto;
      return;
    case v1::AppSpec::ON:
      to.preload = model::Preload::On;
      return;
    case v1::AppSpec::OFF:
      to.preload = model::Preload::Off;
      return;
    default:  // proto3 enumerations are open
      refuse_enumerator("preload", from.preload(), violations);
  }
}

void give_preload(const model::AppSpec& from, v1::AppSpec& to) {
  switch (from.preload) {
    case model::Preload::Auto:
      return to.set_preload(v1::AppSpec::AUTO);
    case model::Preload::On:
      return to.set_preload(v1::AppSpec::ON);
    case model::Preload::Off:
      return to.set_preload(v1::AppSpec::OFF);
  }
}

void take_run_mode(const v1::AppSpec& from, model::AppSpec& to, Violations& violations) {
  switch (from.run_mode()) {
    case v1::AppSpec::RUN_MODE_UNSPECIFIED:
    case v1::AppSpec::RUNNING:
      to.run_mode = model::RunMode::Running;
      return;
    case v1::AppSpec::STOPPED:
      to.run_mode = model::RunMode::Stopped;
      return;
    default:
      refuse_enumerator("run_mode", from.run_mode(), violations);
  }
}

void give_run_mode(const model::AppSpec& from, v1::AppSpec& to) {
  switch (from.run_mode) {
    case model::RunMode::Running:
      return to.set_run_mode(v1::AppSpec::RUNNING);
    case model::RunMode::Stopped:
      return to.set_run_mode(v1::AppSpec::STOPPED);
  }
}

void take_worker_class(const v1::AppSpec& from, model::AppSpec& to, Violations&) {
  const std::string& given = from.worker_class();
  to.worker_class = given.empty() ? defaults().worker_class : model::canonical_worker_class(given);
}

void give_worker_class(const model::AppSpec& from, v1::AppSpec& to) {
  to.set_worker_class(from.worker_class);
}

void take_env(const v1::AppSpec& from, model::AppSpec& to, Violations&) {
  to.env = {from.env().begin(), from.env().end()};
}

// Values go in and never come out.
void give_env(const model::AppSpec& from, v1::AppSpec& to) {
  for (const auto& variable : from.env) {
    (*to.mutable_env())[variable.first] = std::string(model::kRedacted);
  }
}

// What was sent back as it was shown keeps its value.
void keep_values(const std::map<std::string, std::string>& present,
                 std::map<std::string, std::string>& env) {
  for (auto& [name, value] : env) {
    if (value != model::kRedacted) continue;
    const auto kept = present.find(name);
    if (kept != present.end()) value = kept->second;
  }
}

// A string whose empty value means its default.
#define TEXT(field)                                                                \
  Field {                                                                          \
#field,                                                                          \
        [](const v1::AppSpec& from, model::AppSpec& to, Violations&) {               \
          to.field = from.field().empty() ? defaults().field : from.field();         \
        },                                                                           \
        [](const model::AppSpec& from, v1::AppSpec& to) { to.set_##field(from.field); } \
  }
// A value that may be 0, false or empty without meaning its default.
#define OPTIONAL(field)                                                            \
  Field {                                                                          \
#field,                                                                          \
        [](const v1::AppSpec& from, model::AppSpec& to, Violations&) {               \
          to.field = from.has_##field() ? from.field() : defaults().field;           \
        },                                                                           \
        [](const model::AppSpec& from, v1::AppSpec& to) { to.set_##field(from.field); } \
  }
#define DURATION(field)                                                            \
  Field {                                                                          \
#field,                                                                          \
        [](const v1::AppSpec& from, model::AppSpec& to, Violations& violations) {    \
          if (!from.has_##field()) {                                                 \
            to.field = defaults().field;                                             \
          } else {                                                                   \
            take_duration(#field, from.field(), to.field, violations);               \
          }                                                                          \
        },                                                                           \
        [](const model::AppSpec& from, v1::AppSpec& to) {                            \
          to_proto(from.field, *to.mutable_##field());                               \
        } \
  }
#define LIST(field)                                                                \
  Field {                                                                          \
#field,                                                                          \
        [](const v1::AppSpec& from, model::AppSpec& to, Violations&) {               \
          to.field = {from.field().begin(), from.field().end()};                     \
        },                                                                           \
        [](const model::AppSpec& from, v1::AppSpec& to) {                            \
          for (const std::string& item : from.field) to.add_##field(item);           \
        } \
  }

const Field kFields[] = {
    TEXT(directory),
    TEXT(app),
    LIST(bind),
    OPTIONAL(workers),
    OPTIONAL(threads),
    Field{"worker_class", take_worker_class, give_worker_class},
    TEXT(python),
    Field{"env", take_env, give_env},
    Field{"preload", take_preload, give_preload},
    Field{"run_mode", take_run_mode, give_run_mode},
    DURATION(timeout),
    DURATION(request_timeout),
    DURATION(graceful_timeout),
    DURATION(keepalive),
    DURATION(boot_timeout),
    OPTIONAL(limit_request_line),
    OPTIONAL(limit_request_fields),
    OPTIONAL(limit_request_field_size),
    OPTIONAL(limit_request_body),
    DURATION(client_header_timeout),
    DURATION(client_body_timeout),
    DURATION(send_timeout),
    LIST(warmup_paths),
    OPTIONAL(backlog),
    TEXT(unix_socket_mode),
    TEXT(root_path),
    TEXT(loop),
    TEXT(lifespan),
    OPTIONAL(worker_connections),
    OPTIONAL(forwarded_allow_ips),
    TEXT(proxy_protocol),
    OPTIONAL(proxy_allow_ips),
    OPTIONAL(access_log),
    TEXT(access_log_format),
    OPTIONAL(ws_max_size),
    DURATION(ws_ping_interval),
    DURATION(ws_ping_timeout),
    OPTIONAL(ws_per_message_deflate),
    DURATION(ws_drain_timeout),
    TEXT(command),
    DURATION(startsecs),
    TEXT(stop_signal),
    LIST(run_once),
    DURATION(run_once_timeout),
    TEXT(health_path),
    TEXT(health_status),
    DURATION(health_timeout),
    OPTIONAL(health_tries),
    OPTIONAL(max_surge),
    OPTIONAL(memory_budget),
    OPTIONAL(canary),
    DURATION(bake),
    OPTIONAL(max_error_rate),
    OPTIONAL(max_latency_factor),
    OPTIONAL(max_requests),
    OPTIONAL(max_requests_jitter),
    DURATION(max_worker_lifetime),
    DURATION(max_worker_lifetime_jitter),
    OPTIONAL(max_memory),
    OPTIONAL(log_prefix),
    OPTIONAL(log_max_size),
    DURATION(log_max_age),
    OPTIONAL(log_keep),
    TEXT(user),
    TEXT(group),
    TEXT(umask),
    OPTIONAL(no_new_privs),
    OPTIONAL(limit_nofile),
    OPTIONAL(limit_nproc),
    OPTIONAL(limit_core),
    OPTIONAL(limit_as),
    OPTIONAL(limit_memory),
    OPTIONAL(limit_memory_high),
    OPTIONAL(limit_cpu),
    OPTIONAL(limit_pids),
    OPTIONAL(require_limits),
};

#undef TEXT
#undef OPTIONAL
#undef DURATION
#undef LIST

// The loop that a class's name asks for, unless another one is given with it.
void settle_loop(const v1::AppSpec& from, bool loop_is_given, model::AppSpec& to,
                 Violations& violations) {
  const std::string_view wanted = model::loop_of_worker_class(from.worker_class());
  if (wanted.empty()) return;
  if (!loop_is_given || from.loop().empty()) {
    to.loop = wanted;
  } else if (from.loop() != wanted && from.loop() != "auto") {
    violations.push_back(
        {"spec.loop", "is " + model::in_quotes(from.loop()) + ", but the worker class " +
                          model::in_quotes(from.worker_class()) + " asks for the loop " +
                          std::string(wanted) + ": leave loop out, or choose the class asgi"});
  }
}

// What a mask selects.
struct Selection {
  std::vector<const Field*> fields;
  std::vector<std::string> variables;  // of env

  bool has(std::string_view name) const {
    return std::any_of(fields.begin(), fields.end(),
                       [&](const Field* field) { return field->name == name; });
  }
};

Selection everything() {
  Selection selection;
  for (const Field& field : kFields) selection.fields.push_back(&field);
  return selection;
}

const Field* find_field(std::string_view name) {
  const auto* found = std::find_if(std::begin(kFields), std::end(kFields),
                                   [&](const Field& field) { return field.name == name; });
  return found == std::end(kFields) ? nullptr : found;
}

void take(const Selection& selection, const v1::AppSpec& from, model::AppSpec& to,
          Violations& violations) {
  for (const Field* field : selection.fields) field->take(from, to, violations);
  if (selection.has("worker_class")) settle_loop(from, selection.has("loop"), to, violations);
}

// The fields that are set, as protobuf sees it.
Selection populated(const v1::AppSpec& spec) {
  std::vector<const google::protobuf::FieldDescriptor*> set;
  v1::AppSpec::GetReflection()->ListFields(spec, &set);
  Selection selection;
  for (const auto* descriptor : set) {
    const Field* field = find_field(descriptor->name());
    APPD_CHECK(field != nullptr);
    selection.fields.push_back(field);
  }
  return selection;
}

Answer<Selection> select(const google::protobuf::FieldMask& mask) {
  constexpr std::string_view kSpec = "spec.";
  constexpr std::string_view kVariable = "env.";
  Selection selection;
  for (const std::string& path : mask.paths()) {
    if (path == "*" || path == "spec") return everything();
    std::string_view name = path;
    if (name.starts_with(kSpec)) {
      name.remove_prefix(kSpec.size());
      if (const Field* field = find_field(name)) {
        selection.fields.push_back(field);
        continue;
      }
      if (name.starts_with(kVariable) && name.size() > kVariable.size()) {
        selection.variables.emplace_back(name.substr(kVariable.size()));
        continue;
      }
    }
    return request_invalid("update_mask",
                           "has the path " + model::in_quotes(path) +
                               ", which users cannot set: name fields as \"spec.threads\", one "
                               "variable as \"spec.env.NAME\", everything as \"*\"");
  }
  return selection;
}

}  // namespace

void to_proto(const model::AppSpec& spec, v1::AppSpec& out) {
  for (const Field& field : kFields) field.give(spec, out);
}

model::AppSpec to_model(const v1::AppSpec& spec, Violations& unreadable) {
  model::AppSpec out;
  take(everything(), spec, out, unreadable);
  return out;
}

Answer<reconcile::SpecEdit> to_edit(const v1::AppSpec& spec,
                                    const google::protobuf::FieldMask* mask) {
  Answer<Selection> selection =
      mask != nullptr && mask->paths_size() > 0 ? select(*mask) : populated(spec);
  if (!selection) return selection.rejection();
  return reconcile::SpecEdit([spec, selected = selection.value()](model::AppSpec& to) {
    Violations unreadable;
    const std::map<std::string, std::string> present = to.env;
    take(selected, spec, to, unreadable);
    for (const std::string& name : selected.variables) {
      const auto given = spec.env().find(name);
      if (given == spec.env().end()) {
        to.env.erase(name);
      } else {
        to.env[name] = given->second;
      }
    }
    keep_values(present, to.env);
    return unreadable;
  });
}

}  // namespace appd::api
