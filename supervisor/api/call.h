// Calls in hand: what a unary call and a stream have in common, and the unary one.
//
// Everything here lives on the API thread. A call is kept by its host from the moment it is asked
// for until gRPC has reported its end; whoever waits for an answer from the core holds a weak
// pointer.
//
//   asked ──▶ handler runs ──▶ (core works, mailbox) ──▶ end ──▶ finished and done ──▶ dropped
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "supervisor/api/access.h"
#include "supervisor/api/grpc_status.h"
#include "supervisor/api/guard.h"
#include "supervisor/api/mailbox.h"
#include "supervisor/api/names.h"
#include "supervisor/reconcile/control.h"

namespace appd::api {

class Call;

// Who keeps the calls: the engine.
class CallHost {
 public:
  virtual grpc::ServerCompletionQueue& queue() = 0;
  virtual const std::shared_ptr<Mailbox>& mailbox() = 0;
  virtual void keep(std::shared_ptr<Call> call) = 0;
  virtual void drop(Call* call) = 0;  // may delete it
  // Whether no call is served any more.
  virtual bool closing() const = 0;
  // Who makes a call, if they may.
  virtual Answer<Identity> admit(const grpc::ServerContext& context,
                                 const google::protobuf::Message& request) = 0;
  // Tokens have been deleted, or have expired: the calls that came with them are ended.
  virtual void end_revoked() = 0;
  // A call of the method has ended.
  virtual void count(const std::string& method, grpc::StatusCode code) = 0;

 protected:
  ~CallHost() = default;
};

// One call of any kind.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  virtual ~Call() = default;

  // Ends it with a status other than OK, unless it has ended or has not begun.
  void end(const grpc::Status& status);
  void reject(const Rejection& rejection) { end(to_status(rejection, about_)); }
  // What its errors are about: "resource" and what else the message names.
  void about(std::string key, std::string value) { about_[std::move(key)] = std::move(value); }
  model::Caller caller();
  // Whether the caller's rights are for this app, too.
  bool covers(std::string_view app) const { return identity_.rights.covers(app); }
  bool is_limited() const { return !identity_.rights.apps.empty(); }
  Rejection not_covered(const std::string& what) const {
    return app_not_allowed(identity_.rights, identity_.caller.identity, what);
  }
  // Ends it if its caller would not be let in any more.
  void recheck(const Guard& guard, model::WallTime now);
  // When its caller's token expires; nothing: never, or it has ended.
  std::optional<model::WallTime> expires() const {
    return ended_ ? std::nullopt : identity_.expire_time;
  }

 protected:
  // `method`: "appd.v1.Apps/GetApp"
  Call(CallHost& host, std::string method);

  // To be called in this order by what derives: begin() when the request has come (false: it never
  // will, or has been rejected, and this may be gone), finishing() before the last operation, whose
  // tag is last_tag().
  bool begin(bool ok, const google::protobuf::Message& request);
  bool ended() const { return ended_; }
  void finishing(grpc::StatusCode code) {
    ended_ = true;
    host_.count(method_, code);
  }
  Tag* last_tag() { return &finished_; }
  virtual void finish_with(const grpc::Status& status) = 0;
  // The client has gone or the call has ended.
  virtual void on_done() {}

  // The type of `self` and the call alive, for whoever answers later on another thread.
  template <typename Self>
  std::weak_ptr<Self> weak(Self*) {
    return std::static_pointer_cast<Self>(shared_from_this());
  }

  CallHost& host_;
  grpc::ServerContext context_;

 private:
  void finished(bool ok);
  void done(bool ok);
  void let_go();

  MemberTag<Call> finished_{this, &Call::finished};
  MemberTag<Call> done_{this, &Call::done};
  const std::string method_;
  Identity identity_;
  Metadata about_;
  bool begun_ = false;
  bool ended_ = false;
  int outstanding_ = 2;  // finished and done
};

// The name of the method that takes this message. Every file of the API has one service.
template <typename Request>
std::string method_of(bool is_stream) {
  const auto* service = Request::descriptor()->file()->service(0);
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* method = service->method(i);
    if (method->input_type() == Request::descriptor() && method->server_streaming() == is_stream) {
      return service->full_name() + "/" + method->name();
    }
  }
  return service->full_name();
}

// One unary call. The handler runs once and sees to it that finish() or reject() is called, now or
// when the core has answered.
template <typename Request, typename Response>
class UnaryCall final : public Call {
 public:
  using Writer = grpc::ServerAsyncResponseWriter<Response>;
  struct Method {
    // Asks gRPC for the next call.
    std::function<void(grpc::ServerContext*, Request*, Writer*, grpc::ServerCompletionQueue*,
                       void*)>
        ask;
    std::function<void(UnaryCall&)> handle;
  };

  // Serves all calls of a method, one after the other being asked for.
  static void serve(CallHost& host, std::shared_ptr<const Method> method) {
    std::shared_ptr<UnaryCall> call(new UnaryCall(host, std::move(method)));
    host.keep(call);
    call->method_->ask(&call->context_, &call->request_, &call->writer_, &host.queue(),
                       static_cast<Tag*>(&call->asked_));
  }

  const Request& request() const { return request_; }

  void finish(const Response& response) {
    if (ended()) return;
    finishing(grpc::StatusCode::OK);
    writer_.Finish(response, grpc::Status::OK, last_tag());
  }

  // For the core: goes on with `next` on the API thread, or rejects.
  template <typename T, typename Next>
  reconcile::Reply<T> then(Next next) {
    return [me = weak(this), mailbox = host_.mailbox(), next = std::move(next)](Answer<T> answer) {
      mailbox->post([me, next, answer = std::move(answer)] {
        const std::shared_ptr<UnaryCall> call = me.lock();
        if (!call) return;
        if (answer) {
          next(*call, answer.value());
        } else {
          call->reject(answer.rejection());
        }
      });
    };
  }

 private:
  UnaryCall(CallHost& host, std::shared_ptr<const Method> method)
      : Call(host, method_of<Request>(false)), method_(std::move(method)) {}

  void asked(bool ok) {
    if (ok && !host_.closing()) serve(host_, method_);
    if (begin(ok, request_)) method_->handle(*this);
  }
  void finish_with(const grpc::Status& status) override {
    writer_.FinishWithError(status, last_tag());
  }

  std::shared_ptr<const Method> method_;
  MemberTag<UnaryCall> asked_{this, &UnaryCall::asked};
  Request request_;
  Writer writer_{&context_};
};

// Connects a method of a generated AsyncService with its handler:
//   serve_unary(host, service, &v1::Apps::AsyncService::RequestGetApp, [](auto& call) {…})
template <typename Service, typename Mixin, typename Request, typename Response, typename Handler>
void serve_unary(CallHost& host, Service& service,
                 void (Mixin::*request_method)(grpc::ServerContext*, Request*,
                                               grpc::ServerAsyncResponseWriter<Response>*,
                                               grpc::CompletionQueue*, grpc::ServerCompletionQueue*,
                                               void*),
                 Handler handler) {
  using Unary = UnaryCall<Request, Response>;
  auto method = std::make_shared<typename Unary::Method>();
  method->ask = [&service, request_method](auto* context, auto* request, auto* writer, auto* queue,
                                           void* tag) {
    (service.*request_method)(context, request, writer, queue, queue, tag);
  };
  method->handle = std::move(handler);
  Unary::serve(host, std::move(method));
}

}  // namespace appd::api
