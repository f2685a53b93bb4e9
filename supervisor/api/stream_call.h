// A call whose answer is a stream: one message in flight, the next when gRPC has taken it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>

#include "supervisor/api/call.h"

namespace appd::api {

// API thread only. What derives starts in start(), and is asked by write_more() for the next
// message when there is room for one: a slow client is never ahead of what it has read.
template <typename Request, typename Response>
class StreamCall : public Call {
 public:
  using Make = std::function<std::shared_ptr<StreamCall>()>;  // the object for the next call

  static void serve(CallHost& host, RawService& service, std::shared_ptr<const Make> make) {
    std::shared_ptr<StreamCall> call = (*make)();
    call->service_ = &service;
    call->make_ = std::move(make);
    host.keep(call);
    service.ask(method_of<Request, true>().descriptor, call->context_, call->stream_, host.queue(),
                call->asked_tag());
  }

 protected:
  explicit StreamCall(CallHost& host) : Call(host, method_of<Request, true>().name) {}
  const Request& request() const { return request_; }

  // Fills the message, or answers false: there is nothing now, or the call has been ended.
  virtual bool write_more(Response& message) = 0;

  // To be called when there may be something to write.
  void pump() {
    if (ended() || writing_) return;
    Response message;
    if (!write_more(message)) return;
    writing_ = true;
    stream_.Write(to_buffer(message), &written_);
  }

 private:
  void ask_next() override { serve(host_, *service_, make_); }
  google::protobuf::Message* message() override { return &request_; }
  void written(bool ok) {
    writing_ = false;
    if (last_) {
      stream_.Finish(*last_, last_tag());
    } else if (ok) {
      pump();
    } else {
      end(grpc::Status(grpc::StatusCode::CANCELLED, "the client has gone"));
    }
  }
  void finish_with(const grpc::Status& status) override {
    // Only one operation at a time: a message on its way comes first.
    if (writing_) {
      last_ = status;
    } else {
      stream_.Finish(status, last_tag());
    }
  }

  RawService* service_ = nullptr;
  std::shared_ptr<const Make> make_;
  MemberTag<StreamCall> written_{this, &StreamCall::written};
  Request request_;
  bool writing_ = false;
  std::optional<grpc::Status> last_;
};

// Connects a streaming method with the class that serves it, made with `host` and `arguments`.
template <typename Serving, typename Service, typename Request, typename Response,
          typename... Arguments>
void serve_stream(CallHost& host, RawService& service,
                  grpc::Status (Service::*)(grpc::ServerContext*, const Request*,
                                            grpc::ServerWriter<Response>*),
                  Arguments&... arguments) {
  using Stream = StreamCall<Request, Response>;
  Stream::serve(host, service, std::make_shared<typename Stream::Make>([&host, &arguments...] {
                  return std::make_shared<Serving>(host, arguments...);
                }));
}

}  // namespace appd::api
