// The life of a call, whatever its kind.
#include "supervisor/api/call.h"

namespace appd::api {

Call::Call(CallHost& host, std::string method) : host_(host), method_(std::move(method)) {
  // Comes back once the call has begun: when it has ended, or when the client has gone.
  context_.AsyncNotifyWhenDone(static_cast<Tag*>(&done_));
}

model::Caller Call::caller() {
  model::Caller caller = identity_.caller;
  const auto& metadata = context_.client_metadata();
  if (const auto agent = metadata.find("user-agent"); agent != metadata.end()) {
    caller.client = model::client_text({agent->second.data(), agent->second.size()});
  }
  return caller;
}

void Call::end(const grpc::Status& status) {
  if (!begun_ || ended_) return;
  finishing(status.error_code());
  finish_with(status);
}

bool Call::begin(bool ok, const google::protobuf::Message& request) {
  if (!ok) {  // the server is shutting down: nothing has begun, and no other tag will come
    host_.drop(this);
    return false;
  }
  begun_ = true;
  if (host_.closing()) {
    reject(shutting_down());
    return false;
  }
  auto admitted = host_.admit(context_, request);
  if (!admitted) {
    reject(admitted.rejection());
    return false;
  }
  identity_ = admitted.value();
  return true;
}

void Call::recheck(const Guard& guard, model::WallTime now) {
  if (!begun_ || ended_) return;
  if (const auto denied = guard.recheck(identity_, now)) reject(*denied);
}

void Call::finished(bool) { let_go(); }

void Call::done(bool) {
  on_done();
  end(grpc::Status(grpc::StatusCode::CANCELLED, "the client has gone"));
  let_go();
}

void Call::let_go() {
  if (--outstanding_ == 0) host_.drop(this);
}

}  // namespace appd::api
