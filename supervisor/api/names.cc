// Parsing of resource names.
#include "supervisor/api/names.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "supervisor/model/ids.h"
#include "supervisor/model/text.h"

namespace appd::api {
namespace {

constexpr std::string_view kApps = "apps/";
constexpr std::string_view kWorkers = "/workers/";
constexpr std::string_view kDeaths = "/deaths/";
constexpr std::string_view kRequests = "/requests/";
constexpr std::string_view kOperations = "operations/";

Rejection bad_name(const char* field, std::string_view name, const std::string& form) {
  return request_invalid(field, "must be " + form + ", but got " + model::in_quotes(name));
}

// Written as to_string() does: "03" and "-0" are none.
template <typename Number>
bool parse_number(std::string_view text, Number& number) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && stop == end && number >= 0 && std::to_string(number) == text;
}

// "apps/web/workers/3" at `middle`.
template <typename Name>
std::optional<Name> split_name(std::string_view name, std::string_view middle) {
  const std::size_t at = name.find(middle);
  if (at == std::string_view::npos) return std::nullopt;
  const auto app = parse_app_name(name.substr(0, at), "");
  Name parsed;
  if (!app || !parse_number(name.substr(at + middle.size()), parsed.id)) return std::nullopt;
  parsed.app = app.value();
  return parsed;
}

}  // namespace

Rejection request_invalid(std::string field, std::string description) {
  Error error{ErrorCode::InvalidArgument, "REQUEST_INVALID", field + ": " + description};
  return {std::move(error), {{std::move(field), std::move(description)}}};
}

std::string app_name(std::string_view id) { return std::string(kApps).append(id); }
std::string worker_name(std::string_view app, std::int32_t id) {
  return app_name(app).append(kWorkers).append(std::to_string(id));
}
std::string death_name(std::string_view app, std::int64_t id) {
  return app_name(app).append(kDeaths).append(std::to_string(id));
}
std::string request_name(std::string_view app, std::int32_t worker, std::uint32_t number) {
  return worker_name(app, worker).append(kRequests).append(std::to_string(number));
}
std::string operation_name(std::string_view id) { return std::string(kOperations).append(id); }
std::string revision_name(std::string_view app, std::int64_t number) {
  return app_name(app).append("/revisions/").append(std::to_string(number));
}

Answer<std::string> parse_app_name(std::string_view name, const char* field) {
  if (name.starts_with(kApps) && model::valid_app_id(name.substr(kApps.size()))) {
    return std::string(name.substr(kApps.size()));
  }
  return bad_name(field, name,
                  "\"apps/{id}\" with an id of lower-case letters, digits and hyphens (at most 63, "
                  "a letter first, no hyphen last)");
}

Answer<WorkerName> parse_worker_name(std::string_view name, const char* field) {
  if (auto parsed = split_name<WorkerName>(name, kWorkers)) return *std::move(parsed);
  return bad_name(field, name, "\"apps/{id}/workers/{number}\"");
}

Answer<DeathName> parse_death_name(std::string_view name, const char* field) {
  if (auto parsed = split_name<DeathName>(name, kDeaths)) return *std::move(parsed);
  return bad_name(field, name, "\"apps/{id}/deaths/{number}\"");
}

Answer<RequestName> parse_request_name(std::string_view name, const char* field) {
  const std::size_t at = name.find(kRequests);
  RequestName parsed;
  if (at != std::string_view::npos &&
      parse_number(name.substr(at + kRequests.size()), parsed.number)) {
    if (auto worker = split_name<WorkerName>(name.substr(0, at), kWorkers)) {
      parsed.app = std::move(worker->app);
      parsed.worker = worker->id;
      return parsed;
    }
  }
  return bad_name(field, name, "\"apps/{id}/workers/{number}/requests/{number}\"");
}

Answer<std::string> parse_operation_name(std::string_view name, const char* field) {
  if (name.starts_with(kOperations) && model::valid_uuid(name.substr(kOperations.size()))) {
    return std::string(name.substr(kOperations.size()));
  }
  return bad_name(field, name, "\"operations/{uuid}\"");
}

Answer<std::string> parse_request_id(std::string_view text) {
  if (!text.empty() && !model::valid_uuid(text)) {
    return request_invalid("request_id",
                           "must be a UUID, but got " + model::in_quotes(text) +
                               ": send a new random one with each new request, or none");
  }
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

}  // namespace appd::api
