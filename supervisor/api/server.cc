// The gate's thread: clients come, gRPC is there; they have gone, and so has it.
#include "supervisor/api/server.h"

#include <malloc.h>
#include <pthread.h>

#include <thread>

#include "supervisor/api/engine.h"
#include "supervisor/runtime/client_gate.h"

namespace appd::api {

namespace {

struct Doors {
  std::vector<model::Entrance> entrances;
  Engine::Tls tls;
};

Result<Doors> read_doors(const std::vector<std::string>& listen) {
  Doors doors;
  for (const std::string& text : listen) {
    model::Entrance entrance = TRY(model::parse_entrance(text));
    if (entrance.is_tls()) {
      doors.tls[doors.entrances.size()] = TRY(runtime::Certificates::load(entrance));
    }
    doors.entrances.push_back(std::move(entrance));
  }
  return doors;
}

}  // namespace

Result<void> check_entrances(const std::vector<std::string>& listen) {
  TRY(read_doors(listen));
  return {};
}

struct Server::Impl {
  reconcile::Control& control;
  model::ServerInfo info;
  std::shared_ptr<spdlog::logger> log;
  Engine::Tls tls;
  Guard guard;
  std::unique_ptr<runtime::ClientGate> gate;
  std::chrono::milliseconds grace{0};  // written before the gate stops
  std::thread thread;

  void run();
};

void Server::Impl::run() {
  ::pthread_setname_np(::pthread_self(), "appd-gate");
  std::unique_ptr<Engine> engine;
  const runtime::ClientGate::Handlers handlers{
      [&](UniqueFd client, runtime::ConnectionPtr connection) {
        if (engine == nullptr) {
          auto started = Engine::start(control, info, guard, tls, log);
          if (!started) {
            log->error("cannot serve a client caller=\"{}\" why=\"{}\"",
                       describe(connection->caller), started.error().message);
            return;  // closes it
          }
          engine = *std::move(started);
        }
        log->debug("client connected caller=\"{}\" role={}", describe(connection->caller),
                   to_string(connection->most));
        engine->add_client(std::move(client), std::move(connection));
      },
      [&] {
        engine.reset();
        ::malloc_trim(0);  // after a crowd, tens of megabytes that it needed are free, and kept
      }};
  gate->run(handlers);
  if (engine != nullptr) engine->set_grace(grace);
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { shutdown(); }

Result<std::unique_ptr<Server>> Server::start(reconcile::Control& control, model::ServerInfo info,
                                              std::shared_ptr<spdlog::logger> log,
                                              std::chrono::milliseconds linger,
                                              std::vector<UniqueFd> inherited, AccessRules rules) {
  Doors doors = TRY(read_doors(info.listen));
  for (const auto& [entrance, files] : doors.tls) {
    if (files->present()->expires > std::chrono::system_clock::now()) continue;
    log->warn("the certificate has expired, clients will refuse it cert={}",
              files->settings().cert);
  }
  auto gate = TRY(runtime::ClientGate::open(doors.entrances, linger, std::move(inherited)));
  auto impl = std::make_unique<Impl>(Impl{control,
                                          std::move(info),
                                          std::move(log),
                                          std::move(doors.tls),
                                          Guard(control, std::move(rules)),
                                          std::move(gate),
                                          {},
                                          {}});
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
