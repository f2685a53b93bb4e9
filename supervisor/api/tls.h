// Tls: what gRPC needs to serve an entrance with TLS, and what it knows of clients' certificates.
#pragma once

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/server_credentials.h>
#include <spdlog/logger.h>

#include <memory>
#include <string>
#include <vector>

#include "supervisor/runtime/certificates.h"

namespace appd::api {

// Each handshake is served with what the files hold by then. Where clients have certificates, none
// gets through without one. Both must outlive the server.
std::shared_ptr<grpc::ServerCredentials> tls_credentials(runtime::Certificates& files,
                                                         spdlog::logger& log);

// The names of the certificate that the client has shown: its URIs, then its DNS names, and if it
// has neither, its common name. None: it has shown none.
std::vector<std::string> client_names(const grpc::AuthContext& context);

// gRPC writes what any client can bring about, such as a handshake that fails, to standard error.
// From now on it goes to this log, at its debug level.
void take_grpc_log(std::shared_ptr<spdlog::logger> log);

}  // namespace appd::api
