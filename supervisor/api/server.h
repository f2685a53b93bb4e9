// Server: the control API at its entrances. No gRPC header is needed to use it.
#pragma once

#include <spdlog/logger.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "supervisor/api/guard.h"
#include "supervisor/model/observed.h"
#include "supervisor/reconcile/control.h"

namespace appd::api {

// Whether each address is well written (model::parse_entrance) and its certificates are fit for
// use. Opens nothing.
Result<void> check_entrances(const std::vector<std::string>& listen);

// Owns the listening sockets, a thread that accepts clients and, while there are any, gRPC and its
// threads: without clients nothing of it wakes up. Borrows the core, which must outlive it. Made,
// shut down and destroyed by one thread.
class Server {
 public:
  // How long gRPC stays after its last client has gone.
  static constexpr std::chrono::milliseconds kLinger{2000};

  // Listens on every address of info.listen (model::parse_entrance) or on none. A live socket, or
  // anything that is no socket, is never replaced; `inherited` ones are taken over.
  static Result<std::unique_ptr<Server>> start(reconcile::Control& control, model::ServerInfo info,
                                               std::shared_ptr<spdlog::logger> log,
                                               std::chrono::milliseconds linger = kLinger,
                                               std::vector<UniqueFd> inherited = {},
                                               AccessRules rules = {});
  ~Server();

  // Its listening sockets, for the appd after this one.
  std::vector<int> entrances() const;

  // Ends every call with UNAVAILABLE / SHUTTING_DOWN, waits at most about `grace` for their clients
  // to take that, and removes the sockets. Does nothing the second time.
  void shutdown(std::chrono::milliseconds grace = std::chrono::milliseconds(1000));

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace appd::api
