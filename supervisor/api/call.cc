// The life of a call, whatever its kind.
#include "supervisor/api/call.h"

#include <grpcpp/support/proto_buffer_reader.h>

namespace appd::api {
namespace {

constexpr std::size_t kMostRequestBytes = 1024 * 1024;

}  // namespace

Call::Call(CallHost& host, const std::string& method) : host_(host), method_(method) {
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

void Call::asked(bool ok) {
  if (!ok) return host_.drop(this);  // the server is shutting down: no other tag will come
  begun_ = true;
  if (host_.closing()) return reject(shutting_down());
  ask_next();
  runtime::ConnectionPtr connection = host_.connection_of(context_);
  if (connection == nullptr || !connection->begin_call()) return reject(connection_gone());
  connection_ = std::move(connection);
  auto identity =
      host_.identify(*connection_, context_, message() ? message()->GetDescriptor() : nullptr);
  if (!identity) return reject(identity.rejection());
  identity_ = identity.value();
  if (message() == nullptr) return start();
  ++outstanding_;
  stream_.Read(&received_, &read_);
}

void Call::read(bool ok) {
  if (!ended_) take(ok);
  let_go();
}

void Call::take(bool ok) {
  if (!ok) return reject(message_unreadable("no message came with the call"));
  const std::size_t size = received_.Length();
  if (size > kMostRequestBytes) return reject(message_too_long(size, kMostRequestBytes));
  google::protobuf::Message& request = *message();
  bool parsed = false;
  {
    grpc::ProtoBufferReader reader(&received_);
    parsed = reader.status().ok() && request.ParseFromZeroCopyStream(&reader);
  }
  received_.Clear();
  if (!parsed) {
    return reject(message_unreadable("what came is no " + request.GetDescriptor()->full_name()));
  }
  if (const auto denied = host_.check(identity_, request)) return reject(*denied);
  start();
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
  if (--outstanding_ > 0) return;
  if (connection_ != nullptr) connection_->end_call();
  host_.drop(this);
}

Method find_method(const google::protobuf::Descriptor& request, bool is_stream) {
  const auto* service = request.file()->service(0);
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* method = service->method(i);
    if (method->input_type() == &request && method->server_streaming() == is_stream) {
      return {*method, service->full_name() + "/" + method->name()};
    }
  }
  APPD_CHECK(false);
}

grpc::ByteBuffer to_buffer(const google::protobuf::Message& message) {
  grpc::Slice bytes(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<std::uint8_t*>(bytes.begin()));
  return grpc::ByteBuffer(&bytes, 1);
}

}  // namespace appd::api
