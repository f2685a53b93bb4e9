// The host's loop of engine.h, with a mutex for the lock.
#include "tests/unit/worker/engine_harness.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace appd::engine {

UniqueFd listen_somewhere(std::uint16_t& port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  APPD_CHECK(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  APPD_CHECK(::listen(socket.get(), 128) == 0);
  APPD_CHECK(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  return socket;
}

EngineHarness::EngineHarness(Handler handler, message::Settings settings)
    : handler_(std::move(handler)) {
  auto scoreboard = Scoreboard::create();
  APPD_CHECK(scoreboard.has_value());
  scoreboard_ = std::move(scoreboard).value();
  std::vector<UniqueFd> listeners;
  listeners.push_back(listen_somewhere(port_));
  auto engine = Engine::create(std::move(listeners), {}, settings, slot());
  APPD_CHECK(engine.has_value());
  engine_ = std::move(engine).value();
  thread_ = std::thread([this] { run(); });
}

EngineHarness::~EngineHarness() {
  if (!thread_.joinable()) return;
  drain();
  thread_.join();
}

void EngineHarness::run() {
  Lane lane;
  std::unique_lock lock(lock_);
  for (;;) {
    while (Exchange* exchange = engine_->next(lane)) {
      handler_(*exchange);
      engine_->finish(*exchange);
    }
    if (engine_->finished()) return;
    lock.unlock();
    engine_->wait();
    ++wake_ups_;
    lock.lock();
  }
}

void EngineHarness::apply(const message::Settings& settings) {
  std::lock_guard lock(lock_);
  engine_->apply(settings);
}

void EngineHarness::start(
    Exchange& exchange, std::string_view status,
    std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  exchange.response().start(status);
  for (const auto& [name, value] : fields) exchange.response().add(name, value);
}

void EngineHarness::answer_hello(Exchange& exchange) {
  start(exchange, "200 OK");
  RequestBody& body = exchange.body();
  if (body.size() == 0) {
    exchange.send_whole("hello");
  } else if (!body.in_file()) {
    exchange.send_whole(body.memory());
  } else {
    std::string bytes(body.size(), '\0');
    UniqueFd file = body.release_file();
    APPD_CHECK(::pread(file.get(), bytes.data(), bytes.size(), 0) ==
               static_cast<ssize_t>(bytes.size()));
    exchange.send_whole(bytes);
  }
}

}  // namespace appd::engine
