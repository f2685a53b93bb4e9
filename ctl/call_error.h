// Why a call did not succeed, decoded from gRPC's status and its google.rpc details, and
// Outcome<T>: the answer or that. Knows no gRPC.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace google::rpc {
class Status;
}

namespace appd::ctl {

// google.rpc.Code, which is gRPC's status code too.
enum class Code {
  Ok = 0,
  Cancelled = 1,
  Unknown = 2,
  InvalidArgument = 3,
  DeadlineExceeded = 4,
  NotFound = 5,
  AlreadyExists = 6,
  PermissionDenied = 7,
  ResourceExhausted = 8,
  FailedPrecondition = 9,
  Aborted = 10,
  OutOfRange = 11,
  Unimplemented = 12,
  Internal = 13,
  Unavailable = 14,
  DataLoss = 15,
  Unauthenticated = 16,
};

struct FieldViolation {
  std::string field;  // the API's path: "spec.workers"
  std::string description;
};

struct CallError {
  Code code = Code::Unknown;
  std::string reason;  // ErrorInfo.reason: "SPEC_INVALID"; empty if the answer carried none
  std::string message;
  std::vector<FieldViolation> violations;
  std::map<std::string, std::string> metadata;
  std::optional<std::chrono::milliseconds> retry_delay;
  // Set when appd could not be reached at all: why, and what to do.
  std::string unreachable;
};

// From what a call ended with; `details` is the serialized google.rpc.Status of
// grpc-status-details-bin, empty or broken if appd sent none.
CallError decode_call_error(int code, std::string_view message, std::string_view details);
// From the error of an operation that is done.
CallError decode_status(const google::rpc::Status& status);
// A mistake in the arguments that was found without asking appd.
CallError usage_error(std::string message);

template <typename T>
class [[nodiscard]] Outcome {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor)
  Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Outcome(CallError error) : state_(std::in_place_index<1>, std::move(error)) {}
  explicit operator bool() const { return state_.index() == 0; }
  T& value() & { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &value(); }
  CallError& error() & { return std::get<1>(state_); }
  CallError&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, CallError> state_;
};

}  // namespace appd::ctl
