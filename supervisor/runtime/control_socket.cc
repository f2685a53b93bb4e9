// The files by which zygotes are found. A long runtime directory is no problem: the sockets are
// addressed through /proc/self/fd of their directory, which keeps sun_path short.
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

std::ostream& operator<<(std::ostream& out, const Owner& owner) {
  return out << owner.pid << ' ' << owner.start_time << ' ' << owner.boot << ' ' << owner.app << ' '
             << owner.rollout << '\n';
}

std::istream& operator>>(std::istream& in, Owner& owner) {
  in >> owner.pid >> owner.start_time >> owner.boot >> owner.app >> owner.rollout;
  if (owner.pid <= 1) in.setstate(std::ios::failbit);
  return in;
}

Result<UniqueFd> seqpacket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sys_error("LINK_CREATE", "create socket", errno);
  return fd;
}

}  // namespace

ControlFiles control_files(const ControlPlaces& places, const std::string& token) {
  std::string socket = places.sockets + "/" + token + ".sock";
  return {socket, socket + ".pid", places.copies + "/" + token + ".pid"};
}

std::vector<ControlFiles> list_control_files(const ControlPlaces& places) {
  std::set<std::string> tokens;
  for (const std::string& folder : {places.sockets, places.copies}) {
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
      // TOKEN.sock, TOKEN.sock.pid, TOKEN.pid
      const std::string name = entry.path().filename().string();
      const std::size_t dot = name.find('.');
      if (name.ends_with(".sock") || name.ends_with(".pid")) tokens.insert(name.substr(0, dot));
    }
  }
  std::vector<ControlFiles> all;
  for (const std::string& token : tokens) all.push_back(control_files(places, token));
  return all;
}

Result<ControlSocket> create_control_socket(const ControlPlaces& places) {
  std::error_code failed;
  std::filesystem::create_directories(places.sockets, failed);
  if (failed) return sys_error("RUNTIME_DIR", "make " + places.sockets, failed.value());
  ControlSocket out{TRY(seqpacket()), control_files(places, model::new_uuid().substr(0, 8))};
  ShortAddress address = TRY(short_address(out.files.socket));
  // The directory is 0700; the mode of the file is a second lock.
  if (::fchmod(out.listening.get(), 0600) < 0 ||
      ::bind(out.listening.get(), address.get(), sizeof(address.address)) < 0 ||
      ::listen(out.listening.get(), 4) < 0) {
    return sys_error("LINK_CREATE", "listen on " + out.files.socket, errno);
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

void write_owner(const ControlFiles& files, const Owner& owner) {
  std::ofstream record(files.record);
  record << owner;
  std::ofstream copy(files.copy);
  copy << owner << files.socket << '\n';
}

Result<Owner> read_owner(const ControlFiles& files) {
  Owner owner;
  if (std::ifstream record(files.record); record >> owner) return owner;
  std::ifstream copy(files.copy);
  std::string socket;
  if (copy >> owner >> std::ws && std::getline(copy, socket) && socket == files.socket) {
    return owner;
  }
  return Error{ErrorCode::NotFound, "OWNER_UNKNOWN", "no owner is recorded for " + files.socket, 0};
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

void remove_control_socket(const ControlFiles& files) { ::unlink(files.socket.c_str()); }

void remove_owner(const ControlFiles& files) {
  ::unlink(files.record.c_str());
  ::unlink(files.copy.c_str());
}

}  // namespace appd::runtime
