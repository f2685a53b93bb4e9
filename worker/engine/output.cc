// Send now, keep the rest, send it when the socket has room.
#include "worker/engine/output.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "worker/net/socket_io.h"

namespace appd::engine {
namespace {

constexpr std::size_t kRefill = 256 * 1024;

// Bytes sent, 0 when the socket is full, -1 when the client is gone.
ssize_t send_some(int socket, std::string_view first, std::string_view second) {
  for (;;) {
    ssize_t sent;
    if (second.empty()) {
      sent = net::send_now(socket, first.data(), first.size());
    } else {
      iovec pieces[2] = {{const_cast<char*>(first.data()), first.size()},
                         {const_cast<char*>(second.data()), second.size()}};
      msghdr header{};
      header.msg_iov = pieces;
      header.msg_iovlen = 2;
      sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
  }
}

}  // namespace

bool Output::hold(std::string_view first, std::string_view second) {
  if (pending() + first.size() + second.size() > kHeld) return false;
  keep(first);
  keep(second);
  return true;
}

Output::State Output::write(int socket, std::string_view first, std::string_view second) {
  if (pending() == 0) {
    ssize_t sent = send_some(socket, first, second);
    if (sent < 0) return State::Broken;
    auto done = static_cast<std::size_t>(sent);
    if (done == first.size() + second.size()) return State::Drained;
    std::size_t of_first = done < first.size() ? done : first.size();
    first.remove_prefix(of_first);
    second.remove_prefix(done - of_first);
  }
  if (keep(first) == State::Broken || keep(second) == State::Broken) return State::Broken;
  return flush(socket);
}

Output::State Output::write_file(int socket, std::string_view first, FilePiece file) {
  // MSG_MORE: the head and the beginning of the file share a segment.
  ssize_t sent = pending() > 0 ? 0 : net::send_now(socket, first.data(), first.size(), MSG_MORE);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return State::Broken;
  if (sent > 0) first.remove_prefix(static_cast<std::size_t>(sent));
  if (keep(first) == State::Broken) return State::Broken;
  file_ = std::move(file);
  return flush(socket);
}

Output::State Output::keep(std::string_view bytes) {
  if (bytes.empty()) return State::Pending;
  if (!spool_.valid() && memory_.size() - sent_ + bytes.size() <= kMemory) {
    memory_.erase(0, sent_);
    sent_ = 0;
    memory_.append(bytes);
    return State::Pending;
  }
  if (!spool_.valid()) {
    auto created = net::SpoolFile::create();
    if (!created) return State::Broken;
    spool_ = std::move(created).value();
  }
  return spool_.append(bytes) ? State::Pending : State::Broken;
}

// Moves bytes from the file to memory, which is empty. False: the file failed.
bool Output::refill() {
  memory_.resize(kRefill);
  auto got = spool_.read(spool_sent_, memory_.data(), memory_.size());
  if (!got || *got == 0) return false;
  memory_.resize(*got);
  sent_ = 0;
  spool_sent_ += *got;
  if (spool_sent_ == spool_.size()) {
    spool_ = {};
    spool_sent_ = 0;
  }
  return true;
}

Output::State Output::flush(int socket) {
  while (held() > 0) {
    if (sent_ == memory_.size() && !refill()) return State::Broken;
    ssize_t sent = send_some(socket, std::string_view(memory_).substr(sent_), {});
    if (sent < 0) return State::Broken;
    if (sent == 0) return State::Pending;
    sent_ += static_cast<std::size_t>(sent);
  }
  memory_ = {};
  sent_ = 0;
  return file_.size > 0 ? flush_file(socket) : State::Drained;
}

Output::State Output::flush_file(int socket) {
  std::uint64_t step = std::min(file_.size, kFileStep);
  stopped_short_ = false;
  while (step > 0) {
    auto offset = static_cast<off_t>(file_.offset);
    ssize_t sent = ::sendfile(socket, file_.file.get(), &offset, static_cast<std::size_t>(step));
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return State::Pending;
    if (sent <= 0) return State::Broken;  // 0: the file has been cut short meanwhile
    auto done = static_cast<std::uint64_t>(sent);
    file_.offset += done;
    file_.size -= done;
    step -= done;
  }
  stopped_short_ = file_.size > 0;
  if (stopped_short_) return State::Pending;
  file_ = {};
  return State::Drained;
}

}  // namespace appd::engine
