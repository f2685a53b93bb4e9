// The one place that maps failures to exit codes.
#include "ctl/exit_code.h"

namespace appd::ctl {

ExitCode exit_code(const CallError& error) {
  if (!error.unreachable.empty()) return ExitCode::Unreachable;
  if (error.reason == "ROLLED_BACK") return ExitCode::RolledBack;
  switch (error.code) {
    case Code::Ok:
      return ExitCode::Done;
    case Code::InvalidArgument:
      return ExitCode::Usage;
    case Code::Unavailable:
    case Code::DeadlineExceeded:
      return ExitCode::Unreachable;
    case Code::AlreadyExists:
    case Code::Aborted:
      return ExitCode::Conflict;
    case Code::Cancelled:
    case Code::Unknown:
    case Code::NotFound:
    case Code::PermissionDenied:
    case Code::ResourceExhausted:
    case Code::FailedPrecondition:
    case Code::OutOfRange:
    case Code::Unimplemented:
    case Code::Internal:
    case Code::DataLoss:
    case Code::Unauthenticated:
      return ExitCode::Failed;
  }
  return ExitCode::Failed;  // a code that a newer appd invented
}

ExitCode exit_code(const v1::Operation& operation) {
  switch (operation.phase()) {
    case v1::Operation::SUCCEEDED:
      return ExitCode::Done;
    case v1::Operation::ROLLED_BACK:
    case v1::Operation::CANCELLED:
      return ExitCode::RolledBack;
    case v1::Operation::SUPERSEDED:
      return ExitCode::Conflict;
    default:
      break;
  }
  // Not by error.code: a boot that took too long is DEADLINE_EXCEEDED, and appd was there all
  // along.
  return operation.has_error() ? ExitCode::Failed : ExitCode::Done;
}

}  // namespace appd::ctl
