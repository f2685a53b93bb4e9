// RawService: a service as gRPC serves it here, its requests unread.
#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/impl/service_type.h>

#include <deque>
#include <string>

#include "supervisor/api/mailbox.h"

namespace appd::api {

// The generated services have gRPC read and parse a request before anybody has been asked: that
// costs memory whoever calls, and ends in errors without details. Here a call is known by its
// headers, and what it brings is read when its caller may make it. Must outlive the server.
class RawService final : public grpc::Service {
 public:
  // The one service of the file.
  explicit RawService(const google::protobuf::FileDescriptor* file);
  const google::protobuf::ServiceDescriptor* descriptor() const { return descriptor_; }

  // Asks for the next call of the method, which is one of this service's.
  void ask(const google::protobuf::MethodDescriptor& method, grpc::ServerContext& context,
           grpc::internal::ServerAsyncStreamingInterface& stream,
           grpc::ServerCompletionQueue& queue, Tag* tag);

 private:
  const google::protobuf::ServiceDescriptor* descriptor_;
  std::deque<std::string> paths_;  // gRPC keeps pointers to them
};

}  // namespace appd::api
