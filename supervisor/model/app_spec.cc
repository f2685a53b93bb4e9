// What follows from a spec for those who run it.
#include "supervisor/model/app_spec.h"

#include <algorithm>

#include "supervisor/model/worker_class.h"

namespace appd::model {

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
