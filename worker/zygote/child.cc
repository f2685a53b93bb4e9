// What is told of a child.
#include "worker/zygote/child.h"

#include <algorithm>
#include <csignal>

namespace appd::zygote {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

std::uint64_t age_ms(net::TimePoint since, net::TimePoint now) {
  auto age = std::chrono::duration_cast<milliseconds>(now - since);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(age.count(), 0));
}

}  // namespace

void Child::signal(int number) const { ::kill(command ? -pid : pid, number); }

int Child::fd() const {
  if (output) return output->fd();
  return channel.open() ? channel.fd() : -1;
}

message::Forked Child::forked_message(net::TimePoint now) const {
  return {worker, pid, cause == message::ExitCause::Asked, age_ms(forked, now)};
}

message::Ready Child::ready_message(net::TimePoint now, const std::string& worker_class) const {
  return {worker, settings_revision, worker_class, age_ms(ready, now)};
}

message::Exited Child::exited_message(net::TimePoint now, int wait_status) const {
  auto wall = std::chrono::duration_cast<milliseconds>(system_clock::now().time_since_epoch());
  auto at = [&](net::TimePoint then) {
    return wall.count() - static_cast<std::int64_t>(age_ms(then, now));
  };
  return {worker,
          pid,
          wait_status,
          cause,
          detail,
          at(forked),
          ready == net::kNever ? 0 : at(ready),
          wall.count()};
}

}  // namespace appd::zygote
