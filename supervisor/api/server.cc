// The gate's thread: clients come, gRPC is there; they have gone, and so has it.
#include "supervisor/api/server.h"

#include <pthread.h>

#include <thread>

#include "supervisor/api/engine.h"
#include "supervisor/runtime/client_gate.h"

namespace appd::api {

struct Server::Impl {
  reconcile::Control& control;
  model::ServerInfo info;
  std::shared_ptr<spdlog::logger> log;
  std::unique_ptr<runtime::ClientGate> gate;
  std::chrono::milliseconds grace{0};  // written before the gate stops
  std::thread thread;

  void run();
};

void Server::Impl::run() {
  ::pthread_setname_np(::pthread_self(), "appd-gate");
  std::unique_ptr<Engine> engine;
  const runtime::ClientGate::Handlers handlers{
      [&](UniqueFd client, model::Caller who, model::Role role) {
        if (engine == nullptr) {
          auto started = Engine::start(control, info, *log);
          if (!started) {
            log->error("cannot serve a client caller=\"{}\" why=\"{}\"", describe(who),
                       started.error().message);
            return;  // closes it
          }
          engine = *std::move(started);
        }
        log->debug("client connected caller=\"{}\" role={}", describe(who), to_string(role));
        engine->add_client(std::move(client), {std::move(who), role});
      },
      [&] { engine.reset(); }};
  gate->run(handlers);
  if (engine != nullptr) engine->set_grace(grace);
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { shutdown(); }

Result<std::unique_ptr<Server>> Server::start(reconcile::Control& control, model::ServerInfo info,
                                              std::shared_ptr<spdlog::logger> log,
                                              std::chrono::milliseconds linger,
                                              std::vector<UniqueFd> inherited) {
  auto gate = TRY(runtime::ClientGate::open(info.listen, linger, std::move(inherited)));
  auto impl = std::make_unique<Impl>(
      Impl{control, std::move(info), std::move(log), std::move(gate), {}, {}});
  impl->thread = std::thread([running = impl.get()] { running->run(); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::vector<int> Server::entrances() const { return impl_->gate->entrances(); }

void Server::shutdown(std::chrono::milliseconds grace) {
  if (!impl_->thread.joinable()) return;
  impl_->grace = grace;
  impl_->gate->stop();
  impl_->thread.join();
  impl_->gate.reset();
}

}  // namespace appd::api
