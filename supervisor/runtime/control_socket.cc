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
#include <set>

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

void write_owner(const std::string& socket_path, const Owner& owner) {
  std::ofstream(socket_path + ".pid") << owner.pid << ' ' << owner.start_time << ' ' << owner.boot
                                      << ' ' << owner.app << ' ' << owner.rollout << '\n';
}

Result<Owner> read_owner(const std::string& socket_path) {
  Owner owner;
  std::ifstream file(socket_path + ".pid");
  if (!(file >> owner.pid >> owner.start_time >> owner.boot >> owner.app >> owner.rollout) ||
      owner.pid <= 1) {
    return Error{ErrorCode::NotFound, "OWNER_UNKNOWN", "no owner is recorded for " + socket_path,
                 0};
  }
  return owner;
}

Owner owner_of(pid_t pid, const std::string& app, std::int64_t rollout) {
  auto stat = read_stat(pid);
  return {pid, stat ? stat->start_time : 0, boot_id(), app, rollout};
}

Result<PidRef> open_owner(const Owner& owner) {
  if (owner.boot != boot_id()) {
    return Error{ErrorCode::NotFound, "PID_STRANGER", "the host has been started anew since", 0};
  }
  return PidRef::open(owner.pid, owner.start_time);
}

std::string token_of(const std::string& socket_path) {
  return std::filesystem::path(socket_path).stem().string();
}

std::vector<std::string> list_control_sockets(const std::string& directory) {
  std::set<std::string> paths;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    std::filesystem::path path = entry.path();
    if (path.extension() == ".pid") path.replace_extension();
    if (path.extension() == ".sock") paths.insert(path.string());
  }
  return {paths.begin(), paths.end()};
}

void remove_control_socket(const std::string& path) { ::unlink(path.c_str()); }

void remove_owner(const std::string& socket_path) { ::unlink((socket_path + ".pid").c_str()); }

}  // namespace appd::runtime
