// Sockets through a socket (SCM_RIGHTS, unix(7)), with what a worker knows of each.
#include "worker/engine/handover.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace appd::engine {
namespace {

// What goes with a socket. Both sides are forks of one zygote, so the layout is the compiler's.
struct Note {
  std::uint32_t listener = 0;
  std::uint16_t port = 0;
  std::uint8_t introduced = 0;
  std::uint8_t address_size = 0;
  std::array<char, 64> address{};  // longer than any numeric address
};

constexpr std::size_t kControlSize = CMSG_SPACE(sizeof(int));

int descriptor_of(msghdr& message) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return -1;
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return fd;
}

}  // namespace

Result<Handover> Handover::create(ScoreboardHeader& common) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
    return sys_error("HANDOVER_CREATE", "create the workers' common queue", errno);
  }
  return Handover(UniqueFd(ends[0]), UniqueFd(ends[1]), common);
}

void Handover::join(ScoreboardSlot& slot) {
  if (!valid()) return;
  joined_ = true;
  begin_taking(slot, common_->takers);
}

void Handover::leave(ScoreboardSlot& slot) {
  if (!std::exchange(joined_, false)) return;
  end_taking(slot, common_->takers);
}

bool Handover::put(const Client& client) const {
  Note note;
  if (client.peer.address.size() > note.address.size()) return false;
  note.listener = static_cast<std::uint32_t>(client.listener);
  note.port = client.peer.port;
  note.introduced = client.introduced ? 1 : 0;
  note.address_size = static_cast<std::uint8_t>(client.peer.address.size());
  client.peer.address.copy(note.address.data(), note.address.size());
  iovec bytes{&note, sizeof(note)};
  alignas(cmsghdr) std::array<char, kControlSize> control{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  int fd = client.socket.get();
  std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  return ::sendmsg(in_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(note);
}

void Handover::nudge() const {
  Note note;  // and no descriptor
  if (::send(in_.get(), &note, sizeof(note), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    return;  // full: woken
}

std::optional<Client> Handover::take(bool* nudged) const {
  for (;;) {
    Note note;
    iovec bytes{&note, sizeof(note)};
    alignas(cmsghdr) std::array<char, kControlSize> control{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = ::recvmsg(out_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    UniqueFd socket(descriptor_of(message));
    // A nudge; or the limit of open files was reached, and the kernel has closed the descriptor.
    if (!socket && nudged != nullptr) *nudged = true;
    if (!socket || got != sizeof(note) || note.address_size > note.address.size()) continue;
    return Client{std::move(socket),
                  {std::string(note.address.data(), note.address_size), note.port},
                  note.listener,
                  note.introduced != 0};
  }
}

}  // namespace appd::engine
