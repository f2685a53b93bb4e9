// What follows from a spec for those who run it.
#include "supervisor/model/app_spec.h"

#include <algorithm>

#include "supervisor/model/status_range.h"
#include "supervisor/model/worker_class.h"

namespace appd::model {

namespace {

std::string without_blanks(std::string text) {
  std::erase(text, ' ');
  return text;
}

}  // namespace

bool valid_app_id(std::string_view id) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return !id.empty() && id.size() <= 63 && letter(id.front()) && id.back() != '-' &&
         std::all_of(id.begin(), id.end(), inner);
}

message::Settings live_settings(const AppSpec& spec, std::int64_t generation) {
  // validate() bounds every duration by a day, which fits 32 bits of milliseconds.
  const auto ms = [](Milliseconds value) { return static_cast<std::uint32_t>(value.count()); };
  message::Settings settings;
  settings.revision = generation;
  settings.threads = static_cast<std::uint32_t>(spec.threads);
  settings.timeout_ms = ms(spec.timeout);
  settings.request_timeout_ms = ms(spec.request_timeout);
  settings.graceful_timeout_ms = ms(spec.graceful_timeout);
  settings.keepalive_ms = ms(spec.keepalive);
  settings.client_header_timeout_ms = ms(spec.client_header_timeout);
  settings.client_body_timeout_ms = ms(spec.client_body_timeout);
  settings.send_timeout_ms = ms(spec.send_timeout);
  settings.limit_request_line = static_cast<std::uint32_t>(spec.limit_request_line);
  settings.limit_request_fields = static_cast<std::uint32_t>(spec.limit_request_fields);
  settings.limit_request_field_size = static_cast<std::uint32_t>(spec.limit_request_field_size);
  settings.limit_request_body = spec.limit_request_body;
  settings.worker_connections = static_cast<std::uint32_t>(spec.worker_connections);
  settings.forwarded_allow_ips = without_blanks(spec.forwarded_allow_ips);
  settings.proxy_protocol = spec.proxy_protocol;
  settings.proxy_allow_ips = without_blanks(spec.proxy_allow_ips);
  settings.access_log = spec.access_log;
  settings.access_log_format = spec.access_log_format;
  settings.ws_max_size = spec.ws_max_size;
  settings.ws_ping_interval_ms = ms(spec.ws_ping_interval);
  settings.ws_ping_timeout_ms = ms(spec.ws_ping_timeout);
  settings.ws_per_message_deflate = spec.ws_per_message_deflate;
  settings.websocket_drain_ms = ms(spec.ws_drain_timeout);
  settings.startsecs_ms = ms(spec.startsecs);
  settings.stop_signal = static_cast<std::uint32_t>(stop_signal_number(spec.stop_signal));
  settings.health_path = spec.health_path;
  const StatusRange healthy = parse_status_range(spec.health_status).value_or(StatusRange{});
  settings.health_status_first = healthy.first;
  settings.health_status_last = healthy.last;
  settings.health_timeout_ms = ms(spec.health_timeout);
  settings.health_tries = static_cast<std::uint32_t>(spec.health_tries);
  settings.log_prefix = spec.log_prefix;
  return settings;
}

AppSpec with_code_of(const AppSpec& present, const AppSpec& good, std::string_view served) {
  AppSpec spec = present;
  spec.directory = good.directory;
  spec.app = good.app;
  spec.command = good.command;
  spec.run_once = good.run_once;
  spec.python = good.python;
  spec.env = good.env;
  spec.preload = good.preload;
  spec.warmup_paths = good.warmup_paths;
  spec.bind = good.bind;
  spec.backlog = good.backlog;
  spec.root_path = good.root_path;
  spec.loop = good.loop;
  spec.lifespan = good.lifespan;
  spec.user = good.user;
  spec.group = good.group;
  spec.umask = good.umask;
  spec.no_new_privs = good.no_new_privs;
  spec.limit_nofile = good.limit_nofile;
  spec.limit_nproc = good.limit_nproc;
  spec.limit_core = good.limit_core;
  spec.limit_as = good.limit_as;
  if (!changes_in_place(present.worker_class, good.worker_class, served)) {
    spec.worker_class = good.worker_class;
    spec.threads = good.threads;  // the other class may not have had any
  }
  return spec;
}

bool needs_rollout(const AppSpec& from, const AppSpec& to, std::string_view served) {
  return with_code_of(to, from, served) != to;
}

}  // namespace appd::model
