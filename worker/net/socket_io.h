// recv and send as bare system calls. In glibc they are points of thread cancellation, which in a
// process with several threads costs as much as the rest of the call; nobody cancels our threads.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace appd::net {

// As recv(2) and send(2) with MSG_DONTWAIT, and MSG_NOSIGNAL.
inline ssize_t receive_now(int socket, void* to, std::size_t size) {
  return ::syscall(SYS_recvfrom, socket, to, size, MSG_DONTWAIT, nullptr, nullptr);
}
inline ssize_t send_now(int socket, const void* from, std::size_t size, int more_flags = 0) {
  return ::syscall(SYS_sendto, socket, from, size, MSG_DONTWAIT | MSG_NOSIGNAL | more_flags,
                   nullptr, 0);
}

}  // namespace appd::net
