// The gRPC server around connections that were accepted elsewhere. It listens nowhere itself.
//
// gRPC 1.51 wakes up about twice a second for its timers as long as it is initialised, and its
// callback API four times more; so it exists only while somebody is connected (docs/decisions/004).
#include "supervisor/api/engine.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/server_posix.h>
#include <pthread.h>

namespace appd::api {
namespace {

constexpr int kMostRequestBytes = 1024 * 1024;
constexpr int kMostStreams = 100;  // of one connection
// In milliseconds, about 23 days: the reflection service's own threads must not wake up for
// nothing.
constexpr int kNeverMs = 2'000'000'000;

}  // namespace

Engine::Engine(reconcile::Control& control, const model::ServerInfo& info, spdlog::logger& log)
    : control_(control),
      apps_(control),
      workers_(control),
      operations_(control),
      events_(control),
      logs_(control),
      stats_(control),
      system_(control, info, log) {}

Result<std::unique_ptr<Engine>> Engine::start(reconcile::Control& control,
                                              const model::ServerInfo& info, spdlog::logger& log) {
  // Once for the process; it adds reflection to every server that is built later.
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::unique_ptr<Engine> engine(new Engine(control, info, log));
  if (!engine->build()) {
    return Error{ErrorCode::Internal, "API_FAILED", "gRPC did not start its server"};
  }
  return engine;
}

bool Engine::build() {
  grpc::ServerBuilder builder;
  for (grpc::Service* service :
       {&apps_.generated(), &workers_.generated(), &operations_.generated(), &events_.generated(),
        &logs_.generated(), &stats_.generated(), &system_.generated(), &health_.generated()}) {
    builder.RegisterService(service);
  }
  builder.SetMaxReceiveMessageSize(kMostRequestBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::CQ_TIMEOUT_MSEC, kNeverMs);
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    queue_->Shutdown();
    return false;
  }
  mailbox_ = std::make_shared<Mailbox>(*queue_);
  apps_.serve(*this);
  workers_.serve(*this);
  operations_.serve(*this);
  events_.serve(*this);
  logs_.serve(*this);
  stats_.serve(*this);
  system_.serve(*this);
  health_.serve(*this);
  thread_ = std::thread([this] { serve(); });
  return true;
}

void Engine::serve() {
  ::pthread_setname_np(::pthread_self(), "appd-api");
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<Tag*>(tag)->run(ok);
}

Engine::~Engine() {
  if (server_ == nullptr) return;
  // 1. No new calls are served, and those in hand end. 2. The server ends, which gives back the
  // requests that never came. 3. Only when every call is gone may the queue end.
  std::promise<void> refused;
  mailbox_->post([this, &refused] {
    refuse_everything();
    refused.set_value();
  });
  refused.get_future().wait();
  server_->Shutdown(std::chrono::system_clock::now() + grace_);
  drained_.get_future().wait();
  mailbox_->close();
  queue_->Shutdown();
  thread_.join();
}

void Engine::refuse_everything() {
  closing_ = true;
  const grpc::Status status = to_status(shutting_down());
  for (const auto& [call, kept] : calls_) call->end(status);
}

void Engine::add_client(UniqueFd client, Peer who) {
  {
    const std::lock_guard lock(mutex_);
    peers_["fd:" + std::to_string(client.get())] = std::move(who);
  }
  grpc::AddInsecureChannelFromFd(server_.get(), client.release());
}

Peer Engine::peer(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(name);
  return found == peers_.end() ? Peer() : found->second;
}

void Engine::count(const std::string& method, grpc::StatusCode code) {
  control_.count_call(method, code_name(code));
}

void Engine::keep(std::shared_ptr<Call> call) {
  Call* key = call.get();
  calls_.emplace(key, std::move(call));
}

void Engine::drop(Call* call) {
  calls_.erase(call);
  if (closing_ && calls_.empty()) drained_.set_value();
}

}  // namespace appd::api
