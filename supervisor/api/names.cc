// Parsing of resource names.
#include "supervisor/api/names.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "supervisor/model/ids.h"
#include "supervisor/model/text.h"

namespace appd::api {
namespace {

constexpr std::string_view kApps = "apps/";
constexpr std::string_view kWorkers = "/workers/";
constexpr std::string_view kOperations = "operations/";

Rejection bad_name(const char* field, std::string_view name, const std::string& form) {
  return request_invalid(field, "must be " + form + ", but got " + model::in_quotes(name));
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
  const std::size_t at = name.find(kWorkers);
  if (at != std::string_view::npos) {
    const auto app = parse_app_name(name.substr(0, at), field);
    const std::string_view number = name.substr(at + kWorkers.size());
    std::int32_t id = -1;
    const char* end = number.data() + number.size();
    const auto [stop, error] = std::from_chars(number.data(), end, id);
    // to_string() refuses what is written in another way: "03", "-0".
    if (app && error == std::errc{} && stop == end && id >= 0 && std::to_string(id) == number) {
      return WorkerName{app.value(), id};
    }
  }
  return bad_name(field, name, "\"apps/{id}/workers/{number}\"");
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
