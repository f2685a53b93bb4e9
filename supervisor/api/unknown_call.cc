// gRPC hands over what no registered service takes.
#include "supervisor/api/unknown_call.h"

namespace appd::api {

void UnknownCall::serve(CallHost& host, grpc::AsyncGenericService& service, const Services& known) {
  const std::shared_ptr<UnknownCall> call(new UnknownCall(host, service, known));
  host.keep(call);
  service.RequestCall(&call->context_, &call->stream_, &host.queue(), &host.queue(),
                      call->asked_tag());
}

}  // namespace appd::api
