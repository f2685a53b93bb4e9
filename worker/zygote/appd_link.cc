// What happens to messages when appd is slow, or gone.
#include "worker/zygote/appd_link.h"

#include <sys/socket.h>

#include <cerrno>

#include "worker/net/log_line.h"

namespace appd::zygote {

bool AppdLink::accept() {
  UniqueFd socket(::accept4(control_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket) return false;
  adopt(std::move(socket));
  return true;
}

void AppdLink::lost() {
  channel_.close();
  for (message::Message& message : unsent_) {
    if (std::holds_alternative<message::Exited>(message)) kept_.push_back(std::move(message));
  }
  unsent_.clear();
}

void AppdLink::send(message::Message message, std::span<const int> descriptors) {
  if (!channel_.open()) {
    if (std::holds_alternative<message::Exited>(message)) kept_.push_back(std::move(message));
    return;
  }
  if (unsent_.empty()) {
    if (channel_.send(message, descriptors)) return;
    // No room now; or appd is gone, which receive() finds out when it has read appd's last words.
  }
  unsent_.push_back(std::move(message));
}

void AppdLink::flush() {
  while (channel_.open() && !unsent_.empty()) {
    if (!channel_.send(unsent_.front())) return;
    unsent_.pop_front();
  }
}

void AppdLink::send_kept() {
  std::deque<message::Message> kept;
  kept.swap(kept_);
  for (message::Message& message : kept) send(std::move(message));
}

std::optional<message::Received> AppdLink::receive() {
  auto received = channel_.receive();
  if (received) return std::move(received).value();
  int error = received.error().sys_errno;
  if (error == EAGAIN) return std::nullopt;
  if (error == EBADMSG) {
    net::LogLine("error", "appd_message_malformed").add("error", received.error().message);
  }
  lost();
  return std::nullopt;
}

}  // namespace appd::zygote
