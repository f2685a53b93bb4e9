// Files of the control sockets. A long runtime directory is no problem: the sockets are addressed
// through /proc/self/fd of their directory, which keeps sun_path short.
#include "supervisor/runtime/control_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "supervisor/model/ids.h"

namespace appd::runtime {
namespace {

struct ShortAddress {
  UniqueFd directory;
  sockaddr_un address{};
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

Result<ShortAddress> short_address(const std::string& path) {
  std::filesystem::path file(path);
  ShortAddress out;
  out.directory.reset(::open(file.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!out.directory) return sys_error("RUNTIME_DIR", "open " + file.parent_path().string(), errno);
  out.address.sun_family = AF_UNIX;
  std::snprintf(out.address.sun_path, sizeof(out.address.sun_path), "/proc/self/fd/%d/%s",
                out.directory.get(), file.filename().c_str());
  return out;
}

Result<UniqueFd> seqpacket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sys_error("LINK_CREATE", "create socket", errno);
  return fd;
}

}  // namespace

Result<ControlSocket> create_control_socket(const std::string& directory) {
  ControlSocket out{TRY(seqpacket()), directory + "/" + model::new_uuid().substr(0, 8) + ".sock"};
  ShortAddress address = TRY(short_address(out.path));
  // The directory is 0700; the mode of the file is a second lock.
  if (::fchmod(out.listening.get(), 0600) < 0 ||
      ::bind(out.listening.get(), address.get(), sizeof(address.address)) < 0 ||
      ::listen(out.listening.get(), 4) < 0) {
    return sys_error("LINK_CREATE", "listen on " + out.path, errno);
  }
  return out;
}

Result<message::Channel> connect_control_socket(const std::string& path) {
  UniqueFd fd = TRY(seqpacket());
  ShortAddress address = TRY(short_address(path));
  if (::connect(fd.get(), address.get(), sizeof(address.address)) < 0) {
    return sys_error("LINK_CONNECT", "connect to " + path, errno);
  }
  return message::Channel(std::move(fd));
}

void write_owner(const std::string& socket_path, pid_t pid) {
  if (auto stat = read_stat(pid)) {
    std::ofstream(socket_path + ".pid") << pid << ' ' << stat->start_time << '\n';
  }
}

Result<PidRef> read_owner(const std::string& socket_path) {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::ifstream file(socket_path + ".pid");
  if (!(file >> pid >> start_time) || pid <= 1) {
    return Error{ErrorCode::NotFound, "OWNER_UNKNOWN", "no owner is recorded for " + socket_path,
                 0};
  }
  return PidRef::open(pid, start_time);
}

std::vector<std::string> list_control_sockets(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    if (entry.path().extension() == ".sock") paths.push_back(entry.path().string());
  }
  return paths;
}

void remove_control_socket(const std::string& path) {
  ::unlink(path.c_str());
  ::unlink((path + ".pid").c_str());
}

}  // namespace appd::runtime
