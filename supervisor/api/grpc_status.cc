// The one place where error codes meet gRPC's.
#include "supervisor/api/grpc_status.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "google/rpc/error_details.pb.h"
#include "supervisor/api/names.h"
#include "supervisor/model/text.h"

namespace appd::api {
namespace {

constexpr const char* kDomain = "appd";
// Clients take 8 KiB of trailing metadata. The details travel in base64 (4/3), the message twice:
// in the details, and percent-encoded (up to 3 times its size) in a header of its own.
constexpr std::size_t kLongestMessage = 600;
constexpr std::size_t kMostDetails = 3600;

grpc::StatusCode to_grpc(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case ErrorCode::NotFound:
      return grpc::StatusCode::NOT_FOUND;
    case ErrorCode::AlreadyExists:
      return grpc::StatusCode::ALREADY_EXISTS;
    case ErrorCode::PermissionDenied:
      return grpc::StatusCode::PERMISSION_DENIED;
    case ErrorCode::Unauthenticated:
      return grpc::StatusCode::UNAUTHENTICATED;
    case ErrorCode::Aborted:
      return grpc::StatusCode::ABORTED;
    case ErrorCode::FailedPrecondition:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case ErrorCode::OutOfRange:
      return grpc::StatusCode::OUT_OF_RANGE;
    case ErrorCode::ResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case ErrorCode::Unavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case ErrorCode::DeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case ErrorCode::Internal:
      return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

// At most `size` bytes, cut between two characters.
std::string cut(const std::string& text, std::size_t size) {
  if (text.size() <= size) return text;
  std::size_t end = size;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

google::rpc::ErrorInfo error_info(const std::string& reason, const Metadata& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain(kDomain);
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = cut(value, 200);
  return info;
}

// As many violations as fit; answers how many do not.
std::size_t fill(google::rpc::BadRequest& request, const std::vector<model::Violation>& violations,
                 std::size_t budget) {
  std::size_t taken = 0;
  for (const model::Violation& violation : violations) {
    google::rpc::BadRequest::FieldViolation entry;
    entry.set_field(cut(violation.field, 100));
    entry.set_description(cut(violation.description, kLongestMessage));
    const std::size_t size = entry.ByteSizeLong() + 4;
    if (size > budget) break;
    budget -= size;
    *request.add_field_violations() = std::move(entry);
    ++taken;
  }
  return violations.size() - taken;
}

std::string resource_type(const std::string& reason) {
  if (reason == "WORKER_NOT_FOUND") return "appd.v1.Worker";
  if (reason == "DEATH_NOT_FOUND") return "appd.v1.Death";
  if (reason == "REQUEST_NOT_FOUND") return "appd.v1.RequestInHand";
  if (reason == "OPERATION_NOT_FOUND") return "appd.v1.Operation";
  if (reason == "REVISION_NOT_FOUND") return "appd.v1.Revision";
  if (reason == "SERVICE_NOT_FOUND") return "grpc.Service";
  if (reason == "TOKEN_NOT_FOUND") return "appd.v1.Token";
  return "appd.v1.App";
}

}  // namespace

grpc::Status to_status(const reconcile::Rejection& rejection, const Metadata& metadata) {
  const Error& error = rejection.error;
  google::rpc::Status details;
  details.set_code(to_grpc(error.code));
  details.set_message(cut(error.message, kLongestMessage));
  Metadata all = metadata;
  all.insert(rejection.metadata.begin(), rejection.metadata.end());
  google::rpc::BadRequest bad_request;
  if (!rejection.violations.empty()) {
    const std::size_t omitted =
        fill(bad_request, rejection.violations,
             kMostDetails - 2 * kLongestMessage);  // the rest is for message and metadata
    if (omitted > 0) all["omitted_violations"] = std::to_string(omitted);
  }
  auto named = all.find("revision");
  if (named == all.end() || error.reason != "REVISION_NOT_FOUND") named = all.find("resource");
  const std::string resource = named == all.end() ? std::string() : named->second;

  details.add_details()->PackFrom(error_info(error.reason, all));
  if (bad_request.field_violations_size() > 0) details.add_details()->PackFrom(bad_request);
  if (error.code == ErrorCode::NotFound) {
    google::rpc::ResourceInfo info;
    info.set_resource_type(resource_type(error.reason));
    info.set_resource_name(resource);
    info.set_description(details.message());
    details.add_details()->PackFrom(info);
  }
  if (error.code == ErrorCode::FailedPrecondition) {
    google::rpc::PreconditionFailure failure;
    auto* violation = failure.add_violations();
    violation->set_type(error.reason);
    violation->set_subject(resource);
    violation->set_description(details.message());
    details.add_details()->PackFrom(failure);
  }
  if (error.code == ErrorCode::Unavailable || error.reason == "RATE_LIMITED") {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(1);
    details.add_details()->PackFrom(retry);
  }
  return grpc::Status(to_grpc(error.code), details.message(), details.SerializeAsString());
}

google::rpc::Status to_operation_error(const model::Operation& operation) {
  using model::OperationPhase;
  auto [code, reason] = std::pair(grpc::StatusCode::FAILED_PRECONDITION, "ROLLOUT_FAILED");
  if (operation.phase == OperationPhase::RolledBack) {
    std::tie(code, reason) = std::pair(grpc::StatusCode::ABORTED, "ROLLED_BACK");
  } else if (operation.phase == OperationPhase::Superseded) {
    std::tie(code, reason) = std::pair(grpc::StatusCode::ABORTED, "SUPERSEDED");
  } else if (operation.phase == OperationPhase::Cancelled) {
    std::tie(code, reason) = std::pair(grpc::StatusCode::CANCELLED, "CANCELLED");
  }
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(operation.error_message);
  status.add_details()->PackFrom(error_info(
      reason, {{"app", app_name(operation.app)}, {"operation", operation_name(operation.id)}}));
  return status;
}

std::string code_name(grpc::StatusCode code) {
  static constexpr std::array kNames = {"OK",
                                        "CANCELLED",
                                        "UNKNOWN",
                                        "INVALID_ARGUMENT",
                                        "DEADLINE_EXCEEDED",
                                        "NOT_FOUND",
                                        "ALREADY_EXISTS",
                                        "PERMISSION_DENIED",
                                        "RESOURCE_EXHAUSTED",
                                        "FAILED_PRECONDITION",
                                        "ABORTED",
                                        "OUT_OF_RANGE",
                                        "UNIMPLEMENTED",
                                        "INTERNAL",
                                        "UNAVAILABLE",
                                        "DATA_LOSS",
                                        "UNAUTHENTICATED"};
  const auto number = static_cast<std::size_t>(code);
  return number < kNames.size() ? kNames[number] : "UNKNOWN";
}

reconcile::Rejection shutting_down() {
  return {Error{ErrorCode::Unavailable, "SHUTTING_DOWN",
                "appd is shutting down: try again when it is back"},
          {}};
}

reconcile::Rejection connection_gone() {
  return {Error{ErrorCode::Unavailable, "SHUTTING_DOWN", "the connection has gone: try again"}, {}};
}

reconcile::Rejection message_unreadable(const std::string& why) {
  return {Error{ErrorCode::InvalidArgument, "MESSAGE_UNREADABLE",
                why + ": make the client from the .proto files of this appd's version"},
          {}};
}

reconcile::Rejection message_too_long(std::size_t size, std::size_t limit) {
  return {Error{ErrorCode::ResourceExhausted, "MESSAGE_TOO_LONG",
                "the request has " + std::to_string(size) + " bytes, and appd takes at most " +
                    std::to_string(limit) + ": send less at once"},
          {},
          {{"size", std::to_string(size)}, {"limit", std::to_string(limit)}}};
}

grpc::Status method_unknown(const std::string& path, const Services& services) {
  const std::string name = path.substr(path.starts_with('/') ? 1 : 0);
  Metadata metadata{{"method", name}};
  std::string message = "appd has no method " + model::in_quotes(name);
  const auto service = std::find_if(services.begin(), services.end(), [&](const auto* known) {
    return known->full_name() == name.substr(0, name.find('/'));
  });
  std::string there;
  const auto list = [&there](const std::string& one) {
    there += (there.empty() ? "" : ", ") + one;
  };
  if (service != services.end()) {
    for (int i = 0; i < (*service)->method_count(); ++i) list((*service)->method(i)->name());
    message += ": " + (*service)->full_name() + " has " + there;
    metadata["methods"] = there;
  } else {
    for (const auto* known : services) list(known->full_name());
    message += ": its services are " + there;
    metadata["services"] = there;
  }
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::UNIMPLEMENTED);
  details.set_message(cut(message, kLongestMessage));
  details.add_details()->PackFrom(error_info("METHOD_UNKNOWN", metadata));
  return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, details.message(),
                      details.SerializeAsString());
}

}  // namespace appd::api
