// Entrance: one listening socket of the API.
#pragma once

#include <cstdint>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "supervisor/model/access.h"

namespace appd::runtime {

// Owns the socket, and the file of a unix socket, which it removes at the end unless another one is
// there by then.
class Entrance {
 public:
  // A file has mode 0600 until it belongs to whom it should, and nobody can connect before it has
  // its own. Refuses a path where somebody listens, and one that holds anything but a socket that
  // nobody listens on. `inherited`: sockets of the appd before us; one that is bound to the same
  // place is taken out and used.
  static Result<Entrance> open(const model::Entrance& wanted, std::vector<UniqueFd>& inherited);
  Entrance(Entrance&&) noexcept = default;
  ~Entrance();

  int fd() const { return socket_.get(); }
  const model::Entrance& settings() const { return settings_; }

 private:
  Entrance(model::Entrance settings, UniqueFd socket, std::uint64_t inode = 0)
      : settings_(std::move(settings)), socket_(std::move(socket)), inode_(inode) {}
  static Result<Entrance> open_tcp(const model::Entrance& wanted);
  static Result<Entrance> open_unix(const model::Entrance& wanted);

  model::Entrance settings_;
  UniqueFd socket_;
  std::uint64_t inode_;
};

}  // namespace appd::runtime
