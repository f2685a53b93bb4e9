// A call whose answer is a stream: one message in flight, the next when gRPC has taken it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>

#include "supervisor/api/call.h"

namespace appd::api {

// API thread only. What derives starts in started(), and is asked by write_more() for the next
// message when there is room for one: a slow client is never ahead of what it has read.
template <typename Request, typename Response>
class StreamCall : public Call {
 public:
  using Writer = grpc::ServerAsyncWriter<Response>;
  struct Method {
    std::function<void(grpc::ServerContext*, Request*, Writer*, grpc::ServerCompletionQueue*,
                       void*)>
        ask;
    std::function<std::shared_ptr<StreamCall>()> next;  // the object for the next call
  };

  static void serve(CallHost& host, std::shared_ptr<const Method> method) {
    std::shared_ptr<StreamCall> call = method->next();
    call->method_ = std::move(method);
    host.keep(call);
    call->method_->ask(&call->context_, &call->request_, &call->writer_, &host.queue(),
                       static_cast<Tag*>(&call->asked_));
  }

 protected:
  explicit StreamCall(CallHost& host) : Call(host, method_of<Request>(true)) {}
  const Request& request() const { return request_; }

  virtual void started() = 0;
  // Fills the message, or answers false: there is nothing now, or the call has been ended.
  virtual bool write_more(Response& message) = 0;

  // To be called when there may be something to write.
  void pump() {
    if (ended() || writing_) return;
    Response message;
    if (!write_more(message)) return;
    writing_ = true;
    writer_.Write(message, &written_);
  }

 private:
  void asked(bool ok) {
    if (ok && !host_.closing()) serve(host_, method_);
    if (begin(ok, request_)) started();
  }
  void written(bool ok) {
    writing_ = false;
    if (last_) {
      writer_.Finish(*last_, last_tag());
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
      writer_.Finish(status, last_tag());
    }
  }

  std::shared_ptr<const Method> method_;
  MemberTag<StreamCall> asked_{this, &StreamCall::asked};
  MemberTag<StreamCall> written_{this, &StreamCall::written};
  Request request_;
  Writer writer_{&context_};
  bool writing_ = false;
  std::optional<grpc::Status> last_;
};

// Connects a streaming method with the class that serves it, made with `host` and `arguments`.
template <typename Serving, typename Service, typename Mixin, typename Request, typename Response,
          typename... Arguments>
void serve_stream(CallHost& host, Service& service,
                  void (Mixin::*request_method)(grpc::ServerContext*, Request*,
                                                grpc::ServerAsyncWriter<Response>*,
                                                grpc::CompletionQueue*,
                                                grpc::ServerCompletionQueue*, void*),
                  Arguments&... arguments) {
  using Stream = StreamCall<Request, Response>;
  auto method = std::make_shared<typename Stream::Method>();
  method->ask = [&service, request_method](auto* context, auto* request, auto* writer, auto* queue,
                                           void* tag) {
    (service.*request_method)(context, request, writer, queue, queue, tag);
  };
  method->next = [&host, &arguments...] { return std::make_shared<Serving>(host, arguments...); };
  Stream::serve(host, std::move(method));
}

}  // namespace appd::api
