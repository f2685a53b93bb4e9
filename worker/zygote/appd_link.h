// AppdLink: the zygote's connection to the appd of the moment.
//
// appd may die and another one may come: exits that could not be told are kept for the next.
#pragma once

#include <deque>
#include <optional>
#include <span>

#include "common/messages.h"

namespace appd::zygote {

// Owns the control socket and the connection. The zygote's only thread.
class AppdLink {
 public:
  explicit AppdLink(UniqueFd control) : control_(std::move(control)) {}

  int control() const { return control_.get(); }
  bool connected() const { return channel_.open(); }
  int fd() const { return channel_.fd(); }
  bool has_unsent() const { return !unsent_.empty(); }

  // Takes a waiting connection, if there is one.
  bool accept();
  void adopt(UniqueFd socket) { channel_ = message::Channel(std::move(socket)); }
  // Sends now, or when there is room; without an appd only exits are kept.
  void send(message::Message message, std::span<const int> descriptors = {});
  void flush();
  // The kept exits, after a new appd was told what there is.
  void send_kept();
  // The next message; nothing when there is none. A lost connection is closed here.
  std::optional<message::Received> receive();

 private:
  void lost();

  UniqueFd control_;
  message::Channel channel_;
  std::deque<message::Message> unsent_;
  std::deque<message::Message> kept_;  // Exited only
};

}  // namespace appd::zygote
