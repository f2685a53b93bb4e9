// How appctl connects, and why it could not.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "ctl/client.h"

namespace appd::ctl {

// Connects when the first call does. Calls are not repeated by gRPC.
std::shared_ptr<grpc::Channel> open_channel(const ClientOptions& options);

// Of a call that never left; `said` is gRPC's message. For a person: what is wrong, and where it
// can be known what to do.
std::string why_unreachable(const ClientOptions& options, const std::string& said);

}  // namespace appd::ctl
