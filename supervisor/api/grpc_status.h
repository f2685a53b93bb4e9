// Rejections become gRPC statuses here: canonical code, message, and google.rpc details.
#pragma once

#include <grpcpp/support/status.h>

#include <map>
#include <string>

#include "google/rpc/status.pb.h"
#include "supervisor/model/observed.h"
#include "supervisor/reconcile/control.h"

namespace appd::api {

// What the message speaks of, for programs: {"app": "apps/web"}. "resource" is the name of the
// thing that the call was about, if it was about one.
using Metadata = std::map<std::string, std::string>;

// Always an ErrorInfo (domain "appd"); BadRequest with the violations; ResourceInfo when something
// is not there; PreconditionFailure at the wrong moment; RetryInfo when a later try may succeed.
// Bounded, so that it fits the 8 KiB of headers that clients take: violations that do not fit are
// counted in the metadata ("omitted_violations").
grpc::Status to_status(const reconcile::Rejection& rejection, const Metadata& metadata = {});

// How an operation failed, as its `error` field has it.
google::rpc::Status to_operation_error(const model::Operation& operation);

// "NOT_FOUND", as gRPC's documents have it.
std::string code_name(grpc::StatusCode code);

// For calls that are cut short because appd ends.
reconcile::Rejection shutting_down();

}  // namespace appd::api
