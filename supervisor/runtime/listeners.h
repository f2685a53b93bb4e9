// Listeners: the sockets that clients connect to. They belong to the app, not to a worker, so
// nothing that has connected is lost when workers come and go.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "supervisor/model/app_spec.h"

namespace appd::runtime {

// One listening socket on a bind of the spec, or of what looks like one (reason BIND_FAILED).
Result<UniqueFd> listen_on(const std::string& bind, const model::AppSpec& spec);
// Whether the descriptor is one.
bool listens_at(int fd, const std::string& bind);

// The listening sockets of one app, by bind text, in the order of the spec. Core thread only.
// Survives rollouts: zygotes get duplicates.
class ListenerSet {
 public:
  // Opens every bind, sharing those that `present` already holds. All or none; the error (reason
  // BIND_FAILED) names the bind, which `refused` becomes.
  static Result<ListenerSet> open(const model::AppSpec& spec, const ListenerSet& present,
                                  std::string* refused = nullptr);
  // Takes sockets over that a zygote handed back: those that listen where `binds` say.
  static ListenerSet adopt(const std::vector<std::string>& binds, std::vector<UniqueFd> sockets);

  // Duplicates of those that listen where `binds` say.
  ListenerSet share(const std::vector<std::string>& binds) const;

  std::vector<int> descriptors() const;
  // Gives the files of unix sockets the mode that the spec says, and to the app's user and group,
  // as open() does with new ones.
  Result<void> set_permissions(const model::AppSpec& spec) const;
  bool empty() const { return sockets_.empty(); }
  std::size_t size() const { return sockets_.size(); }
  // Connections that nobody has accepted yet. Nothing: the kernel does not say, of unix sockets.
  std::optional<std::int32_t> waiting() const;
  // Removes the files of unix sockets that `next` does not hold; the sockets close by themselves.
  void abandon(const ListenerSet& next) const;

 private:
  struct Socket {
    std::string bind;
    UniqueFd fd;
  };
  const Socket* find(const std::string& bind) const;
  std::vector<Socket> sockets_;
};

}  // namespace appd::runtime
