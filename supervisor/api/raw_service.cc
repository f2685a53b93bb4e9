// To gRPC every method streams both ways: of those it leaves the reading to us. On the wire there
// is no difference.
#include "supervisor/api/raw_service.h"

namespace appd::api {

RawService::RawService(const google::protobuf::FileDescriptor* file)
    : descriptor_(file->service(0)) {
  using grpc::internal::RpcServiceMethod;
  for (int i = 0; i < descriptor_->method_count(); ++i) {
    paths_.push_back("/" + descriptor_->full_name() + "/" + descriptor_->method(i)->name());
    AddMethod(
        new RpcServiceMethod(paths_.back().c_str(), RpcServiceMethod::BIDI_STREAMING, nullptr));
    MarkMethodRaw(i);
  }
}

void RawService::ask(const google::protobuf::MethodDescriptor& method, grpc::ServerContext& context,
                     grpc::internal::ServerAsyncStreamingInterface& stream,
                     grpc::ServerCompletionQueue& queue, Tag* tag) {
  RequestAsyncBidiStreaming(method.index(), &context, &stream, &queue, &queue, tag);
}

}  // namespace appd::api
