// Taking over what appd sends, and the names by which processes and lines are known.
#include "worker/zygote/rollout.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "worker/net/log_output.h"

namespace appd::zygote {

Rollout::~Rollout() {
  // What is said after this has no scoreboard. Where a worker has taken it over it stays.
  if (scoreboard.valid()) net::set_log_loss(nullptr);
}

bool Rollout::take(message::Load given, std::vector<UniqueFd> descriptors) {
  load = std::move(given);
  set_process_name(load.app, "");
  net::set_log_writer(std::to_string(load.rollout) + "/-");
  net::set_log_prefix(load.settings.log_prefix);
  if (descriptors.empty()) return false;
  auto opened = Scoreboard::open(std::move(descriptors[0]));
  if (!opened) return false;
  scoreboard = std::move(opened).value();
  auto created = engine::Handover::create(scoreboard.header());
  if (!created) return false;
  handover = std::move(created).value();
  net::set_log_loss(&scoreboard.log_loss());
  listeners.assign(std::make_move_iterator(descriptors.begin() + 1),
                   std::make_move_iterator(descriptors.end()));
  return std::all_of(listeners.begin(), listeners.end(), [](const UniqueFd& listener) {
    return static_cast<bool>(prepare_listener(listener.get()));
  });
}

std::vector<int> Rollout::descriptors() const {
  std::vector<int> all;
  if (!scoreboard.valid()) return all;
  all.push_back(scoreboard.fd());
  for (const UniqueFd& listener : listeners) all.push_back(listener.get());
  return all;
}

std::string Rollout::log_writer(std::uint32_t worker) const {
  return std::to_string(load.rollout) + "/" + std::to_string(worker);
}

void set_process_name(const std::string& app, const std::string& suffix) {
  std::string name = "appd:" + app.substr(0, 10 - std::min<std::size_t>(suffix.size(), 9));
  ::prctl(PR_SET_NAME, (name + suffix).c_str());
}

Result<void> prepare_listener(int socket) {
  int flags = ::fcntl(socket, F_GETFL);
  if (flags < 0 || ::fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0) {
    return sys_error("LISTENER_PREPARE", "make a listening socket nonblocking", errno);
  }
  int on = 1;  // inherited by what it accepts; fails on unix sockets, where it is not needed
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return {};
}

}  // namespace appd::zygote
