// Binding without a moment of wider permissions.
#include "supervisor/runtime/entrance.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "supervisor/runtime/identity.h"
#include "supervisor/runtime/listeners.h"

namespace appd::runtime {
namespace {

// As many as the kernel grants. A connect(2) that does not wait is refused by a full unix socket
// (EAGAIN, unix(7)), and gRPC's clients take that for a connection that breaks at once.
constexpr int kBacklog = SOMAXCONN;

Error refused(const std::string& message) {
  return Error{ErrorCode::FailedPrecondition, "LISTEN_FAILED", message};
}

Result<UniqueFd> stream_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sys_error("LISTEN_FAILED", "create socket", errno);
  return fd;
}

// Makes room at the path, unless what is there is not ours to remove.
Result<void> clear_path(const model::Address& address) {
  const std::string& path = address.path;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return sys_error("LISTEN_FAILED", path, errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return refused(path + ": is there and is no socket: remove it or listen elsewhere");
  }
  UniqueFd probe = TRY(stream_socket());
  const model::SocketAddress where = model::to_socket_address(address);
  // EAGAIN: somebody listens, and is busy.
  if (::connect(probe.get(), where.get(), where.length) == 0 || errno == EAGAIN) {
    return refused(path + ": another process listens there: end it or listen elsewhere");
  }
  if (errno != ECONNREFUSED && errno != ENOENT) return sys_error("LISTEN_FAILED", path, errno);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return sys_error("LISTEN_FAILED", path + ": remove the socket that nobody listens on", errno);
  }
  return {};
}

Result<void> give(const model::Entrance& entrance) {
  const std::string& path = entrance.address.path;
  auto given = give_file(path, entrance.owner, entrance.group, entrance.mode);
  if (!given) return std::move(given).error().context("listen on " + path);
  return {};
}

}  // namespace

Result<Entrance> Entrance::open(const model::Entrance& wanted, std::vector<UniqueFd>& inherited) {
  for (UniqueFd& socket : inherited) {
    if (!socket || !listens_at(socket.get(), to_string(wanted.address))) continue;
    if (wanted.is_tls()) return Entrance(wanted, std::move(socket));
    struct stat status {};
    if (::lstat(wanted.address.path.c_str(), &status) != 0) break;  // somebody has removed the file
    TRY(give(wanted));
    return Entrance(wanted, std::move(socket), status.st_ino);
  }
  return wanted.is_tls() ? open_tcp(wanted) : open_unix(wanted);
}

Result<Entrance> Entrance::open_tcp(const model::Entrance& wanted) {
  model::AppSpec spec;
  spec.backlog = kBacklog;
  return Entrance(wanted, TRY(listen_on(to_string(wanted.address), spec)));
}

Result<Entrance> Entrance::open_unix(const model::Entrance& wanted) {
  const std::string& path = wanted.address.path;
  TRY(clear_path(wanted.address));
  UniqueFd socket = TRY(stream_socket());
  const model::SocketAddress where = model::to_socket_address(wanted.address);
  // On Linux bind(2) gives the file the mode of the socket (less the umask), so that there is no
  // moment in which somebody else could connect.
  if (::fchmod(socket.get(), 0600) != 0 || ::bind(socket.get(), where.get(), where.length) != 0) {
    return sys_error("LISTEN_FAILED", "listen on " + path, errno);
  }
  if (auto given = give(wanted); !given) {
    ::unlink(path.c_str());
    return std::move(given).error();
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    return sys_error("LISTEN_FAILED", "listen on " + path, errno);
  }
  return Entrance(wanted, std::move(socket), status.st_ino);
}

Entrance::~Entrance() {
  if (!socket_ || settings_.is_tls()) return;
  struct stat status {};
  const char* path = settings_.address.path.c_str();
  if (::lstat(path, &status) == 0 && status.st_ino == inode_) ::unlink(path);
}

}  // namespace appd::runtime
