// The gRPC server around connections that were accepted elsewhere. It listens nowhere itself.
//
// gRPC 1.51 wakes up about twice a second for its timers as long as it is initialised, and its
// callback API four times more; so it exists only while somebody is connected (docs/decisions/004).
#include "supervisor/api/engine.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>
#include <pthread.h>

#include <algorithm>

#include "supervisor/api/tls.h"
#include "supervisor/api/unknown_call.h"

namespace appd::api {
namespace {

// Beyond what a call takes (call.cc), so that who sends a little too much is told by us.
constexpr int kMostGrpcBytes = 16 * 1024 * 1024;
constexpr int kMostStreams = 100;  // of one connection
// In milliseconds, about 23 days: the reflection service's own threads must not wake up for
// nothing.
constexpr int kNeverMs = 2'000'000'000;
// Reflection is served by gRPC's own threads, one for each of its streams, and asks nobody who they
// are.
constexpr int kMostThreads = 8;

// "10.0.0.7:53230" of "ipv4:10.0.0.7:53230", "[::1]:53230" of "ipv6:%5B::1%5D:53230"; "fd:7" as it
// is.
std::string plain_peer(const std::string& uri) {
  if (!uri.starts_with("ipv4:") && !uri.starts_with("ipv6:")) return uri;
  std::string text;
  for (std::size_t at = 5; at < uri.size(); ++at) {
    const bool encoded = uri[at] == '%' && at + 2 < uri.size();
    if (encoded && uri.compare(at + 1, 2, "5B") == 0) {
      text += '[';
    } else if (encoded && uri.compare(at + 1, 2, "5D") == 0) {
      text += ']';
    } else if (encoded && uri.compare(at + 1, 2, "25") == 0) {
      text += '%';
    } else {
      text += uri[at];
      continue;
    }
    at += 2;
  }
  return text;
}

Credentials credentials_of(const grpc::ServerContext& context) {
  Credentials credentials;
  credentials.certificate = client_names(*context.auth_context());
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  for (auto sent = first; sent != last; ++sent) {
    // Of two that are sent neither can be the one that is meant.
    credentials.authorization = credentials.authorization
                                    ? std::string()
                                    : std::string(sent->second.data(), sent->second.size());
  }
  return credentials;
}

}  // namespace

Engine::Engine(reconcile::Control& control, const model::ServerInfo& info, Guard& guard,
               spdlog::logger& log)
    : control_(control),
      guard_(guard),
      apps_(control),
      workers_(control),
      operations_(control),
      events_(control),
      logs_(control),
      stats_(control),
      system_(control, info, log),
      tokens_(control) {}

Result<std::unique_ptr<Engine>> Engine::start(reconcile::Control& control,
                                              const model::ServerInfo& info, Guard& guard,
                                              const Tls& tls,
                                              const std::shared_ptr<spdlog::logger>& log) {
  take_grpc_log(log);
  // Once for the process; it adds reflection to every server that is built later.
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::unique_ptr<Engine> engine(new Engine(control, info, guard, *log));
  if (!engine->build(tls, *log)) {
    return Error{ErrorCode::Internal, "API_FAILED", "gRPC did not start its server"};
  }
  return engine;
}

bool Engine::build(const Tls& tls, spdlog::logger& log) {
  grpc::ServerBuilder builder;
  using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  for (const auto& [entrance, files] : tls) {
    auto credentials = tls_credentials(*files, log);
    auto acceptor =
        builder.experimental().AddExternalConnectionAcceptor(Type::FROM_FD, credentials);
    tls_doors_[entrance] = {std::move(credentials), std::move(acceptor)};
  }
  grpc::ResourceQuota quota("appd");
  quota.SetMaxThreads(kMostThreads);
  builder.SetResourceQuota(quota);
  for (RawService* service :
       {&apps_.raw(), &workers_.raw(), &operations_.raw(), &events_.raw(), &logs_.raw(),
        &stats_.raw(), &system_.raw(), &tokens_.raw(), &health_.raw()}) {
    builder.RegisterService(service);
    known_.push_back(service->descriptor());
  }
  builder.RegisterAsyncGenericService(&unknown_);
  builder.SetMaxReceiveMessageSize(kMostGrpcBytes);
  for (const auto compression : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP}) {
    builder.SetCompressionAlgorithmSupportStatus(compression, false);
  }
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
  tokens_.serve(*this);
  health_.serve(*this);
  UnknownCall::serve(*this, unknown_, known_);
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
  if (Ring* ring = std::exchange(ring_, nullptr)) ring->stop();
  const grpc::Status status = to_status(shutting_down());
  for (const auto& [call, kept] : calls_) call->end(status);
}

void Engine::add_client(UniqueFd client, runtime::ConnectionPtr connection) {
  const auto door = tls_doors_.find(connection->entrance);
  {
    const std::lock_guard lock(mutex_);
    // Nobody else holds those that have gone. Of unix sockets, the next one takes their place.
    std::erase_if(connections_,
                  [](const auto& c) { return c.second->tls && c.second.use_count() == 1; });
    const std::string name = door != tls_doors_.end() ? connection->caller.address
                                                      : "fd:" + std::to_string(client.get());
    const auto [known, added] = connections_.try_emplace(name, connection);
    // From one port to two entrances: nothing would tell its calls apart. The gate ends it when it
    // has not proved itself in time.
    if (!added && connection->tls) return;
    known->second = std::move(connection);
  }
  if (door == tls_doors_.end()) {
    grpc::AddInsecureChannelFromFd(server_.get(), client.release());
    return;
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = -1;
  parameters.fd = client.release();
  door->second.acceptor->HandleNewConnection(&parameters);
}

runtime::ConnectionPtr Engine::connection_of(const grpc::ServerContext& context) {
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(plain_peer(context.peer()));
  return found == connections_.end() ? nullptr : found->second;
}

Answer<Identity> Engine::identify(runtime::Connection& connection,
                                  const grpc::ServerContext& context,
                                  const google::protobuf::Descriptor* type) {
  auto identity =
      guard_.identify(connection, credentials_of(context), std::chrono::system_clock::now());
  if (!identity) return identity;
  connection.proven = true;
  if (type != nullptr) {
    if (auto denied = guard_.check_role(identity.value(), *type)) return *std::move(denied);
  }
  if (identity.value().expire_time) ring_at(*identity.value().expire_time);
  return identity;
}

std::optional<Rejection> Engine::check(const Identity& identity,
                                       const google::protobuf::Message& request) {
  return guard_.check(identity, request, std::chrono::steady_clock::now());
}

void Engine::ring_at(model::WallTime expire_time) {
  if (closing_ || (ring_ != nullptr && rings_at_ <= expire_time)) return;
  if (ring_ != nullptr) ring_->stop();
  rings_at_ = expire_time;
  ring_ = new Ring(*queue_, expire_time, [this] {
    ring_ = nullptr;
    end_revoked();
  });
}

void Engine::end_revoked() {
  const model::WallTime now = std::chrono::system_clock::now();
  for (const auto& [call, kept] : calls_) {
    call->recheck(guard_, now);
    if (const auto next = call->expires(); next && *next > now) ring_at(*next);
  }
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
