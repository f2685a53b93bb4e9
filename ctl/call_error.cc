// Decoding of errors: canonical code, ErrorInfo's reason, and each BadRequest violation.
#include "ctl/call_error.h"

#include <google/protobuf/util/time_util.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace appd::ctl {

using google::protobuf::util::TimeUtil;

CallError decode_status(const google::rpc::Status& status) {
  CallError error;
  error.code = static_cast<Code>(status.code());
  error.message = status.message();
  for (const google::protobuf::Any& detail : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad_request;
    google::rpc::PreconditionFailure precondition;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) {
      error.reason = info.reason();
      error.metadata.insert(info.metadata().begin(), info.metadata().end());
    } else if (detail.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        error.violations.push_back({violation.field(), violation.description()});
      }
    } else if (detail.UnpackTo(&precondition)) {
      for (const auto& violation : precondition.violations()) {
        error.violations.push_back({violation.subject(), violation.description()});
      }
    } else if (detail.UnpackTo(&retry)) {
      error.retry_delay =
          std::chrono::milliseconds(TimeUtil::DurationToMilliseconds(retry.retry_delay()));
    }
  }
  return error;
}

CallError decode_call_error(int code, std::string_view message, std::string_view details) {
  google::rpc::Status status;
  if (details.empty() || !status.ParseFromArray(details.data(), static_cast<int>(details.size()))) {
    status.Clear();
  }
  // The status line is what gRPC acted on; the details only add to it.
  status.set_code(code);
  if (status.message().empty()) status.set_message(std::string(message));
  return decode_status(status);
}

CallError usage_error(std::string message) {
  CallError error;
  error.code = Code::InvalidArgument;
  error.message = std::move(message);
  return error;
}

}  // namespace appd::ctl
