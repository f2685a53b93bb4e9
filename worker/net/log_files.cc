// dup2(2) and SCM_RIGHTS, in calls that a signal handler may make (signal-safety(7)).
#include "worker/net/log_files.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace appd::net {
namespace {

std::atomic<int> access_descriptor = -1;
std::atomic<int> signalled_link = -1;
// Of take_log_files(): a call that finds another one at work leaves the rest to it.
std::atomic<int> takers = 0;

void on_signal(int) {
  int saved = errno;
  if (int link = signalled_link.load(); link >= 0) take_log_files(link);
  errno = saved;
}

// One message: its descriptors replace ours.
bool take_one(int link) {
  char which = 0;
  iovec part{&which, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t size = ::recvmsg(link, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (size <= 0) return size < 0 && errno == EINTR;
  int files[2] = {-1, -1};
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS) return true;
  std::size_t bytes = rights->cmsg_len - CMSG_LEN(0);
  std::memcpy(files, CMSG_DATA(rights), bytes < sizeof(files) ? bytes : sizeof(files));
  replace_log_files(files[0], files[1]);
  return true;
}

}  // namespace

int access_log_descriptor() { return access_descriptor.load(std::memory_order_relaxed); }

void replace_log_files(int log, int access) {
  if (log >= 0) {
    ::dup2(log, 1);
    ::dup2(log, 2);
    if (log > 2) ::close(log);
  }
  if (access < 0) return;
  int present = access_descriptor.load();
  if (present < 0) {
    access_descriptor.store(access);
  } else if (access != present) {
    ::dup3(access, present, O_CLOEXEC);
    ::close(access);
  }
}

Result<std::pair<UniqueFd, UniqueFd>> log_file_link() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
    return sys_error("LINK_CREATE", "create socket pair", errno);
  }
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

void send_log_files(int link, int log, int access) {
  const int files[2] = {log, access};
  std::size_t size = sizeof(int) * (access < 0 ? 1 : 2);
  char which = 0;
  iovec part{&which, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(files))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_SPACE(size);
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(rights), files, size);
  // Full: the worker has not moved for many rotations, and takes the last of those when it does.
  while (::sendmsg(link, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR) {
  }
}

void take_log_files(int link) {
  if (takers.fetch_add(1) > 0) return;
  int seen = 1;
  do {
    while (take_one(link)) {
    }
    // Somebody came meanwhile: perhaps with news behind what was read last.
  } while (!takers.compare_exchange_strong(seen, 0));
}

bool log_files_untaken(int link) {
  int bytes = 0;
  return ::ioctl(link, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

void watch_log_file_link(int link) {
  signalled_link = link;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &action, nullptr);
}

}  // namespace appd::net
