// Resource names and the other values of requests that are checked before the core hears of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "supervisor/reconcile/control.h"

namespace appd::api {

using reconcile::Answer;
using reconcile::Rejection;

// INVALID_ARGUMENT / REQUEST_INVALID with one field violation.
Rejection request_invalid(std::string field, std::string description);

std::string app_name(std::string_view id);                       // "apps/web"
std::string worker_name(std::string_view app, std::int32_t id);  // "apps/web/workers/3"
// "apps/web/workers/3/requests/17"
std::string request_name(std::string_view app, std::int32_t worker, std::uint32_t number);
std::string operation_name(std::string_view id);                       // "operations/UUID"
std::string revision_name(std::string_view app, std::int64_t number);  // "apps/web/revisions/3"
std::string death_name(std::string_view app, std::int64_t id);         // "apps/web/deaths/3"

// Each takes a name apart; the rejection names `field`.
Answer<std::string> parse_app_name(std::string_view name, const char* field);
struct WorkerName {
  std::string app;
  std::int32_t id = 0;
};
Answer<WorkerName> parse_worker_name(std::string_view name, const char* field);
struct DeathName {
  std::string app;
  std::int64_t id = 0;
};
Answer<DeathName> parse_death_name(std::string_view name, const char* field);
struct RequestName {
  std::string app;
  std::int32_t worker = 0;
  std::uint32_t number = 0;
};
Answer<RequestName> parse_request_name(std::string_view name, const char* field);
Answer<std::string> parse_operation_name(std::string_view name, const char* field);

// Empty, or a UUID (answered in lower case).
Answer<std::string> parse_request_id(std::string_view text);

}  // namespace appd::api
