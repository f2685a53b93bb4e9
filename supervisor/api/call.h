// Calls in hand: what a unary call and a stream have in common, and the unary one.
//
// Everything here lives on the API thread. A call is kept by its host from the moment it is asked
// for until gRPC has reported its end; whoever waits for an answer from the core holds a weak
// pointer.
//
//   asked ──▶ who calls? ──▶ read ──▶ handler runs ──▶ (core works, mailbox) ──▶ end
//   end ──▶ finished, done and nothing being read ──▶ dropped
#pragma once

#include <grpcpp/generic/async_generic_service.h>
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
#include "supervisor/api/raw_service.h"
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
  // The connection of a call; null: it has gone.
  virtual runtime::ConnectionPtr connection_of(const grpc::ServerContext& context) = 0;
  // Who makes a call, if they may make such calls. `type`: of its request; null: of no method.
  virtual Answer<Identity> identify(runtime::Connection& connection,
                                    const grpc::ServerContext& context,
                                    const google::protobuf::Descriptor* type) = 0;
  // Why they may not make this one.
  virtual std::optional<Rejection> check(const Identity& identity,
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
  // What its caller sees who asks for one app, by its id, or for all ("").
  model::AppScope scope(std::string app = "") const {
    return {std::move(app), identity_.rights.apps};
  }
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
  using Buffer = grpc::ByteBuffer;

  // `method`: "appd.v1.Apps/GetApp"; outlives the call.
  Call(CallHost& host, const std::string& method);

  // For whatever asks gRPC for a call.
  Tag* asked_tag() { return &asked_; }
  // Has gRPC asked for another call of this kind.
  virtual void ask_next() = 0;
  // What is to be read before the call starts; null: nothing.
  virtual google::protobuf::Message* message() = 0;
  // It has been admitted, and its request is there.
  virtual void start() = 0;
  // The client has gone or the call has ended.
  virtual void on_done() {}

  bool ended() const { return ended_; }
  // Before the last operation, whose tag is last_tag().
  void finishing(grpc::StatusCode code) {
    ended_ = true;
    host_.count(method_, code);
  }
  Tag* last_tag() { return &finished_; }
  virtual void finish_with(const grpc::Status& status) { stream_.Finish(status, last_tag()); }

  // The type of `self` and the call alive, for whoever answers later on another thread.
  template <typename Self>
  std::weak_ptr<Self> weak(Self*) {
    return std::static_pointer_cast<Self>(shared_from_this());
  }

  CallHost& host_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};

 private:
  void asked(bool ok);
  void read(bool ok);
  void finished(bool ok);
  void done(bool ok);
  void take(bool ok);
  void let_go();

  MemberTag<Call> asked_{this, &Call::asked};
  MemberTag<Call> read_{this, &Call::read};
  MemberTag<Call> finished_{this, &Call::finished};
  MemberTag<Call> done_{this, &Call::done};
  const std::string& method_;
  runtime::ConnectionPtr connection_;  // which knows of this call
  Buffer received_;
  Identity identity_;
  Metadata about_;
  bool begun_ = false;
  bool ended_ = false;
  int outstanding_ = 2;  // finished, done, and for a while read
};

// A method of the API, and its name, "appd.v1.Apps/GetApp".
struct Method {
  const google::protobuf::MethodDescriptor& descriptor;
  std::string name;
};
// Of those that take this message. Every file of the API has one service.
Method find_method(const google::protobuf::Descriptor& request, bool is_stream);
// Looked for once for each kind of call.
template <typename Request, bool kIsStream>
const Method& method_of() {
  static const Method kMethod = find_method(*Request::descriptor(), kIsStream);
  return kMethod;
}

// A message as gRPC sends it.
grpc::ByteBuffer to_buffer(const google::protobuf::Message& message);

// One unary call. The handler runs once and sees to it that finish() or reject() is called, now or
// when the core has answered.
template <typename Request, typename Response>
class UnaryCall final : public Call {
 public:
  using Handler = std::function<void(UnaryCall&)>;

  // Serves all calls of a method, one after the other being asked for.
  static void serve(CallHost& host, RawService& service, std::shared_ptr<const Handler> handler) {
    std::shared_ptr<UnaryCall> call(new UnaryCall(host, service, std::move(handler)));
    host.keep(call);
    service.ask(method_of<Request, false>().descriptor, call->context_, call->stream_, host.queue(),
                call->asked_tag());
  }

  const Request& request() const { return request_; }

  void finish(const Response& response) {
    if (ended()) return;
    finishing(grpc::StatusCode::OK);
    stream_.WriteAndFinish(to_buffer(response), grpc::WriteOptions(), grpc::Status::OK, last_tag());
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
  UnaryCall(CallHost& host, RawService& service, std::shared_ptr<const Handler> handler)
      : Call(host, method_of<Request, false>().name),
        service_(service),
        handler_(std::move(handler)) {}

  void ask_next() override { serve(host_, service_, handler_); }
  google::protobuf::Message* message() override { return &request_; }
  void start() override { (*handler_)(*this); }

  RawService& service_;
  std::shared_ptr<const Handler> handler_;
  Request request_;
};

// Connects a method of a generated Service with its handler:
//   serve_unary(host, service, &v1::Apps::Service::GetApp, [](auto& call) {…})
template <typename Service, typename Request, typename Response, typename Handler>
void serve_unary(CallHost& host, RawService& service,
                 grpc::Status (Service::*)(grpc::ServerContext*, const Request*, Response*),
                 Handler handler) {
  using Unary = UnaryCall<Request, Response>;
  Unary::serve(host, service, std::make_shared<typename Unary::Handler>(std::move(handler)));
}

}  // namespace appd::api
