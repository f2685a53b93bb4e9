// Rejections become gRPC statuses here: canonical code, message, and google.rpc details.
#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/support/status.h>

#include <map>
#include <string>
#include <vector>

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
// For those that nobody is there any more to answer.
reconcile::Rejection connection_gone();
// Of what comes before any handler: a message that is none, one that is longer than we take, and a
// path ("/appd.v1.Apps/Nothing") that is no method of these services.
reconcile::Rejection message_unreadable(const std::string& why);
reconcile::Rejection message_too_long(std::size_t size, std::size_t limit);
using Services = std::vector<const google::protobuf::ServiceDescriptor*>;
grpc::Status method_unknown(const std::string& path, const Services& services);

}  // namespace appd::api
