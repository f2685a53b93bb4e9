// One list of fields for each JSON object, visited by the encoder and by the decoder, so that the
// two cannot differ.
#include "supervisor/store/codec.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "supervisor/store/sqlite.h"

namespace appd::store {
namespace {

using nlohmann::json;

Error damaged(const std::string& what) { return store_error(ErrorCode::Internal, what); }

// Enumerators and their names. The switches have no default: a new enumerator must be named here.
std::string_view name_of(model::Preload value) {
  switch (value) {
    case model::Preload::Auto:
      return "auto";
    case model::Preload::On:
      return "on";
    case model::Preload::Off:
      return "off";
  }
  return {};
}
std::string_view name_of(model::RunMode value) {
  switch (value) {
    case model::RunMode::Running:
      return "running";
    case model::RunMode::Stopped:
      return "stopped";
  }
  return {};
}
std::string_view name_of(model::FailureCause value) {
  switch (value) {
    case model::FailureCause::ImportFailed:
      return "import_failed";
    case model::FailureCause::AppNotFound:
      return "app_not_found";
    case model::FailureCause::InterpreterFailed:
      return "interpreter_failed";
    case model::FailureCause::BootTimeout:
      return "boot_timeout";
    case model::FailureCause::WorkerDied:
      return "worker_died";
    case model::FailureCause::SpawnFailed:
      return "spawn_failed";
    case model::FailureCause::BindFailed:
      return "bind_failed";
    case model::FailureCause::ProbeFailed:
      return "probe_failed";
    case model::FailureCause::CanaryFailed:
      return "canary_failed";
    case model::FailureCause::RunOnceFailed:
      return "run_once_failed";
  }
  return {};
}
std::string_view name_of(model::OperationKind value) {
  switch (value) {
    case model::OperationKind::Create:
      return "create";
    case model::OperationKind::Update:
      return "update";
    case model::OperationKind::Scale:
      return "scale";
    case model::OperationKind::Reload:
      return "reload";
    case model::OperationKind::Delete:
      return "delete";
    case model::OperationKind::Rollback:
      return "rollback";
  }
  return {};
}
std::string_view name_of(model::OperationPhase value) {
  switch (value) {
    case model::OperationPhase::Preparing:
      return "preparing";
    case model::OperationPhase::Warming:
      return "warming";
    case model::OperationPhase::Switching:
      return "switching";
    case model::OperationPhase::Draining:
      return "draining";
    case model::OperationPhase::Applying:
      return "applying";
    case model::OperationPhase::Succeeded:
      return "succeeded";
    case model::OperationPhase::RolledBack:
      return "rolled_back";
    case model::OperationPhase::Failed:
      return "failed";
    case model::OperationPhase::Superseded:
      return "superseded";
    case model::OperationPhase::Cancelled:
      return "cancelled";
  }
  return {};
}
std::string_view name_of(model::DeathCause value) { return model::word_of(value); }
std::string_view name_of(model::RequestStage value) {
  switch (value) {
    case model::RequestStage::InApp:
      return "in_app";
    case model::RequestStage::Receiving:
      return "receiving";
    case model::RequestStage::Sending:
      return "sending";
  }
  return {};
}

// name_of() answers nothing beyond the last enumerator, which ends the search.
template <typename E>
Result<E> from_name(std::string_view text) {
  for (int i = 0;; ++i) {
    const std::string_view name = name_of(static_cast<E>(i));
    if (name.empty()) return damaged("unknown word \"" + std::string(text) + "\"");
    if (name == text) return static_cast<E>(i);
  }
}

json to_json(const std::string& value) { return value; }
json to_json(bool value) { return value; }
json to_json(std::int32_t value) { return value; }
json to_json(std::int64_t value) { return value; }
json to_json(double value) { return value; }
json to_json(model::Milliseconds value) { return value.count(); }
json to_json(model::WallTime value) { return encode_time(value); }
json to_json(const std::vector<std::string>& value) { return value; }
json to_json(const std::map<std::string, std::string>& value) { return value; }
json to_json(const std::vector<model::LostRequest>& value);
json to_json(const std::vector<model::CutWorker>& value);
json to_json(const model::LastFigures& value);
template <typename T>
json to_json(const std::optional<T>& value) {
  return value ? to_json(*value) : json();
}
template <typename E>
requires std::is_enum_v<E> json to_json(E value) { return name_of(value); }

Result<void> from_json(const json& from, std::string& to) {
  if (!from.is_string()) return damaged("is not a string");
  to = from.get<std::string>();
  return {};
}
Result<void> from_json(const json& from, bool& to) {
  if (!from.is_boolean()) return damaged("is not a truth value");
  to = from.get<bool>();
  return {};
}
Result<void> from_json(const json& from, std::int64_t& to) {
  // An unsigned value beyond the signed range would wrap.
  if (!from.is_number_integer() ||
      (from.is_number_unsigned() &&
       from.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})) {
    return damaged("is not a 64-bit integer");
  }
  to = from.get<std::int64_t>();
  return {};
}
Result<void> from_json(const json& from, std::int32_t& to) {
  std::int64_t wide = 0;
  TRY(from_json(from, wide));
  if (wide < std::numeric_limits<std::int32_t>::min() ||
      wide > std::numeric_limits<std::int32_t>::max()) {
    return damaged("is not a 32-bit integer");
  }
  to = static_cast<std::int32_t>(wide);
  return {};
}
Result<void> from_json(const json& from, double& to) {
  if (!from.is_number()) return damaged("is not a number");
  to = from.get<double>();
  return {};
}
Result<void> from_json(const json& from, model::Milliseconds& to) {
  std::int64_t count = 0;
  TRY(from_json(from, count));
  to = model::Milliseconds(count);
  return {};
}
Result<void> from_json(const json& from, model::WallTime& to) {
  std::int64_t count = 0;
  TRY(from_json(from, count));
  to = decode_time(count);
  return {};
}
Result<void> from_json(const json& from, std::vector<std::string>& to) {
  if (!from.is_array()) return damaged("is not a list");
  to.clear();
  for (const json& item : from) TRY(from_json(item, to.emplace_back()));
  return {};
}
Result<void> from_json(const json& from, std::map<std::string, std::string>& to) {
  if (!from.is_object()) return damaged("is not an object");
  to.clear();
  for (const auto& [key, value] : from.items()) TRY(from_json(value, to[key]));
  return {};
}
template <typename E>
requires std::is_enum_v<E> Result<void> from_json(const json& from, E& to) {
  std::string text;
  TRY(from_json(from, text));
  to = TRY(from_name<E>(text));
  return {};
}

Result<void> from_json(const json& from, std::vector<model::LostRequest>& to);
Result<void> from_json(const json& from, std::vector<model::CutWorker>& to);
Result<void> from_json(const json& from, model::LastFigures& to);
template <typename T>
Result<void> from_json(const json& from, std::optional<T>& to) {
  to.reset();
  if (from.is_null()) return {};
  return from_json(from, to.emplace());
}

// The binding takes every member: a field that is added and forgotten here does not compile.
template <typename Visit>
void each_field(model::AppSpec& spec, Visit&& visit) {
  auto& [directory, app, bind, workers, threads, worker_class, python, env, preload, run_mode,
         timeout, request_timeout, graceful_timeout, keepalive, boot_timeout, limit_request_line,
         limit_request_fields, limit_request_field_size, limit_request_body, client_header_timeout,
         client_body_timeout, send_timeout, warmup_paths, backlog, unix_socket_mode, root_path,
         loop, lifespan, worker_connections, forwarded_allow_ips, proxy_protocol, proxy_allow_ips,
         access_log, access_log_format, ws_max_size, ws_ping_interval, ws_ping_timeout,
         ws_per_message_deflate, ws_drain_timeout, command, startsecs, stop_signal, run_once,
         run_once_timeout, health_path, health_status, health_timeout, health_tries, max_surge,
         memory_budget, canary, bake, max_error_rate, max_latency_factor, max_requests,
         max_requests_jitter, max_worker_lifetime, max_worker_lifetime_jitter, max_memory,
         log_prefix, log_max_size, log_max_age, log_keep, user, group, umask, no_new_privs,
         limit_nofile, limit_nproc, limit_core, limit_as, limit_memory, limit_memory_high,
         limit_cpu, limit_pids, require_limits] = spec;
  visit("directory", directory);
  visit("app", app);
  visit("bind", bind);
  visit("workers", workers);
  visit("threads", threads);
  visit("worker_class", worker_class);
  visit("python", python);
  visit("env", env);
  visit("preload", preload);
  visit("run_mode", run_mode);
  visit("timeout_ms", timeout);
  visit("request_timeout_ms", request_timeout);
  visit("graceful_timeout_ms", graceful_timeout);
  visit("keepalive_ms", keepalive);
  visit("boot_timeout_ms", boot_timeout);
  visit("limit_request_line", limit_request_line);
  visit("limit_request_fields", limit_request_fields);
  visit("limit_request_field_size", limit_request_field_size);
  visit("limit_request_body", limit_request_body);
  visit("client_header_timeout_ms", client_header_timeout);
  visit("client_body_timeout_ms", client_body_timeout);
  visit("send_timeout_ms", send_timeout);
  visit("warmup_paths", warmup_paths);
  visit("backlog", backlog);
  visit("unix_socket_mode", unix_socket_mode);
  visit("root_path", root_path);
  visit("loop", loop);
  visit("lifespan", lifespan);
  visit("worker_connections", worker_connections);
  visit("forwarded_allow_ips", forwarded_allow_ips);
  visit("proxy_protocol", proxy_protocol);
  visit("proxy_allow_ips", proxy_allow_ips);
  visit("access_log", access_log);
  visit("access_log_format", access_log_format);
  visit("ws_max_size", ws_max_size);
  visit("ws_ping_interval_ms", ws_ping_interval);
  visit("ws_ping_timeout_ms", ws_ping_timeout);
  visit("ws_per_message_deflate", ws_per_message_deflate);
  visit("ws_drain_timeout_ms", ws_drain_timeout);
  visit("command", command);
  visit("startsecs_ms", startsecs);
  visit("stop_signal", stop_signal);
  visit("run_once", run_once);
  visit("run_once_timeout_ms", run_once_timeout);
  visit("health_path", health_path);
  visit("health_status", health_status);
  visit("health_timeout_ms", health_timeout);
  visit("health_tries", health_tries);
  visit("max_surge", max_surge);
  visit("memory_budget", memory_budget);
  visit("canary", canary);
  visit("bake_ms", bake);
  visit("max_error_rate", max_error_rate);
  visit("max_latency_factor", max_latency_factor);
  visit("max_requests", max_requests);
  visit("max_requests_jitter", max_requests_jitter);
  visit("max_worker_lifetime_ms", max_worker_lifetime);
  visit("max_worker_lifetime_jitter_ms", max_worker_lifetime_jitter);
  visit("max_memory", max_memory);
  visit("log_prefix", log_prefix);
  visit("log_max_size", log_max_size);
  visit("log_max_age_ms", log_max_age);
  visit("log_keep", log_keep);
  visit("user", user);
  visit("group", group);
  visit("umask", umask);
  visit("no_new_privs", no_new_privs);
  visit("limit_nofile", limit_nofile);
  visit("limit_nproc", limit_nproc);
  visit("limit_core", limit_core);
  visit("limit_as", limit_as);
  visit("limit_memory", limit_memory);
  visit("limit_memory_high", limit_memory_high);
  visit("limit_cpu", limit_cpu);
  visit("limit_pids", limit_pids);
  visit("require_limits", require_limits);
}

template <typename Visit>
void each_field(model::Failure& failure, Visit&& visit) {
  auto& [cause, message, traceback, rollout, time] = failure;
  visit("cause", cause);
  visit("message", message);
  visit("traceback", traceback);
  visit("rollout", rollout);
  visit("time", time);
}

template <typename Visit>
void each_field(model::LostRequest& request, Visit&& visit) {
  auto& [method, path, age, stage] = request;
  visit("method", method);
  visit("path", path);
  visit("age_ms", age);
  visit("stage", stage);
}

template <typename Visit>
void each_field(model::LastFigures& figures, Visit&& visit) {
  auto& [requests, errors, bytes_in, bytes_out, busy, connections, in_hand, receiving, sending,
         websockets] = figures;
  visit("requests", requests);
  visit("errors", errors);
  visit("bytes_in", bytes_in);
  visit("bytes_out", bytes_out);
  visit("busy", busy);
  visit("connections", connections);
  visit("in_hand", in_hand);
  visit("receiving", receiving);
  visit("sending", sending);
  visit("websockets", websockets);
}

template <typename Visit>
void each_field(model::CutWorker& cut, Visit&& visit) {
  auto& [worker, rollout, death, limit, requests, websockets, in_hand] = cut;
  visit("worker", worker);
  visit("rollout", rollout);
  visit("death", death);
  visit("limit", limit);
  visit("requests", requests);
  visit("websockets", websockets);
  visit("in_hand", in_hand);
}

template <typename Visit>
void each_field(model::Cut& cut, Visit&& visit) {
  auto& [workers, requests, websockets, graceful_timeout, first] = cut;
  visit("workers", workers);
  visit("requests", requests);
  visit("websockets", websockets);
  visit("graceful_timeout_ms", graceful_timeout);
  visit("first", first);
}

template <typename Visit>
void each_field(model::Death& death, Visit&& visit) {
  auto& [app, id, worker, pid, rollout, worker_class, start_time, ready_time, end_time, cause,
         reason, limit, exit_status, signal, figures, stacks, log_tail] = death;
  visit("app", app);
  visit("id", id);
  visit("worker", worker);
  visit("pid", pid);
  visit("rollout", rollout);
  visit("worker_class", worker_class);
  visit("start_time", start_time);
  visit("ready_time", ready_time);
  visit("end_time", end_time);
  visit("cause", cause);
  visit("reason", reason);
  visit("limit", limit);
  visit("exit_status", exit_status);
  visit("signal", signal);
  visit("figures", figures);
  visit("stacks", stacks);
  visit("log_tail", log_tail);
}

template <typename T>
json object_of(T value) {
  json object = json::object();
  each_field(value, [&](const char* name, const auto& field) { object[name] = to_json(field); });
  return object;
}

template <typename T>
json list_of(const std::vector<T>& values) {
  json list = json::array();
  for (const T& value : values) list.push_back(object_of(value));
  return list;
}
json to_json(const std::vector<model::LostRequest>& value) { return list_of(value); }
json to_json(const std::vector<model::CutWorker>& value) { return list_of(value); }
json to_json(const model::LastFigures& value) { return object_of(value); }

template <typename T>
Result<std::string> encode(const T& value) {
  const json object = object_of(value);
  try {
    return object.dump();
  } catch (const json::exception& error) {  // text that is not UTF-8
    return damaged(error.what());
  }
}

template <typename T>
Result<T> value_of(json object) {
  if (!object.is_object()) return damaged("is not a JSON object");
  T value;
  Result<void> outcome;
  each_field(value, [&](const char* name, auto& field) {
    const auto found = object.find(name);
    if (found == object.end() || !outcome) return;
    if (auto read = from_json(*found, field); !read) {
      outcome = std::move(read).error().context(name);
    }
    object.erase(found);
  });
  if (!outcome) return std::move(outcome).error();
  if (!object.empty()) return damaged("unknown key \"" + object.begin().key() + "\"");
  return value;
}

template <typename T>
Result<void> values_of(const json& from, std::vector<T>& to) {
  if (!from.is_array()) return damaged("is not a list");
  to.clear();
  for (const json& item : from) to.push_back(TRY(value_of<T>(item)));
  return {};
}
Result<void> from_json(const json& from, std::vector<model::LostRequest>& to) {
  return values_of(from, to);
}
Result<void> from_json(const json& from, std::vector<model::CutWorker>& to) {
  return values_of(from, to);
}
Result<void> from_json(const json& from, model::LastFigures& to) {
  to = TRY(value_of<model::LastFigures>(from));
  return {};
}

template <typename T>
Result<T> decode(std::string_view text) {
  return value_of<T>(json::parse(text, nullptr, /*allow_exceptions=*/false));
}

}  // namespace

Result<std::string> encode_spec(const model::AppSpec& spec) { return encode(spec); }
Result<model::AppSpec> decode_spec(std::string_view text) { return decode<model::AppSpec>(text); }
Result<std::string> encode_failure(const model::Failure& failure) { return encode(failure); }
Result<model::Failure> decode_failure(std::string_view text) {
  return decode<model::Failure>(text);
}
Result<std::string> encode_cut(const model::Cut& cut) { return encode(cut); }
Result<model::Cut> decode_cut(std::string_view text) { return decode<model::Cut>(text); }
Result<std::string> encode_death(const model::Death& death) { return encode(death); }
Result<model::Death> decode_death(std::string_view text) { return decode<model::Death>(text); }

std::string_view encode_kind(model::OperationKind kind) { return name_of(kind); }
Result<model::OperationKind> decode_kind(std::string_view text) {
  return from_name<model::OperationKind>(text);
}
std::string_view encode_phase(model::OperationPhase phase) { return name_of(phase); }
Result<model::OperationPhase> decode_phase(std::string_view text) {
  return from_name<model::OperationPhase>(text);
}

std::string_view encode_cause(model::FailureCause cause) { return name_of(cause); }
Result<model::FailureCause> decode_cause(std::string_view text) {
  return from_name<model::FailureCause>(text);
}

std::int64_t encode_time(model::WallTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}
model::WallTime decode_time(std::int64_t nanoseconds) {
  return model::WallTime(
      std::chrono::duration_cast<model::WallTime::duration>(std::chrono::nanoseconds(nanoseconds)));
}

}  // namespace appd::store
