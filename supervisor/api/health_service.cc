// Health: appd serves for as long as it answers.
#include <google/protobuf/descriptor.h>

#include "supervisor/api/services.h"
#include "supervisor/api/stream_call.h"
#include "supervisor/model/text.h"

namespace appd::api {
namespace {

namespace health = ::grpc::health::v1;
using health::HealthCheckRequest;
using health::HealthCheckResponse;

// Every service that this program has is served.
bool is_known(const std::string& service) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  return service.empty() || pool->FindServiceByName(service) != nullptr;
}

// Says the one thing there is to say; the end of the stream says the other.
class HealthWatch final : public StreamCall<HealthCheckRequest, HealthCheckResponse> {
 public:
  explicit HealthWatch(CallHost& host) : StreamCall(host) {}

 private:
  void start() override { pump(); }
  bool write_more(HealthCheckResponse& message) override {
    if (said_) return false;
    said_ = true;
    message.set_status(is_known(request().service()) ? HealthCheckResponse::SERVING
                                                     : HealthCheckResponse::SERVICE_UNKNOWN);
    return true;
  }
  bool said_ = false;
};

}  // namespace

void HealthService::serve(CallHost& host) {
  using Health = health::Health::Service;
  serve_unary(host, service_, &Health::Check, [](auto& call) {
    if (!is_known(call.request().service())) {
      call.about("resource", call.request().service());
      return call.reject(
          {Error{ErrorCode::NotFound, "SERVICE_NOT_FOUND",
                 "there is no service " + model::in_quotes(call.request().service())},
           {}});
    }
    HealthCheckResponse response;
    response.set_status(HealthCheckResponse::SERVING);
    call.finish(response);
  });
  serve_stream<HealthWatch>(host, service_, &Health::Watch);
}

}  // namespace appd::api
