// The tries of a health check, against a worker that this test plays.
#include "worker/zygote/probe.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <future>
#include <memory>
#include <vector>

#include "worker/net/socket_io.h"

namespace appd::zygote {
namespace {

using namespace std::chrono_literals;

message::Settings settings() {
  message::Settings settings;
  settings.health_path = "/healthz";
  settings.health_tries = 1;
  settings.health_timeout_ms = 20'000;
  return settings;
}

// A probe is never destroyed, as in a worker; its thread may outlive the test.
Probe* keep(std::unique_ptr<Probe> probe) {
  static auto& kept = *new std::vector<std::unique_ptr<Probe>>;
  kept.push_back(std::move(probe));
  return kept.back().get();
}

// One probe, and the host's side of it.
class Asked {
 public:
  explicit Asked(const message::Settings& settings)
      : probe_(keep(Probe::create(settings).value())) {
    probe_->start([this](const Probe::Verdict& verdict) { unhealthy_.set_value(verdict); });
  }

  // The next connection that the probe offers; its request has been read.
  UniqueFd connection() {
    while (offered_.empty()) take_news();
    UniqueFd connection = std::move(offered_.back());
    offered_.pop_back();
    char buffer[4096];
    EXPECT_GT(net::receive_now(connection.get(), buffer, sizeof(buffer)), 0);
    EXPECT_TRUE(std::string_view(buffer).starts_with("GET /healthz HTTP/1.0\r\n"));
    return connection;
  }
  void answer(std::string_view text) {
    UniqueFd to = connection();
    net::send_now(to.get(), text.data(), text.size());
  }
  bool healthy() {
    while (!healthy_) take_news();
    return healthy_;
  }
  Probe::Verdict unhealthy() { return unhealthy_.get_future().get(); }

 private:
  void take_news() {
    pollfd polled{probe_->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&polled, 1, 20'000), 1) << "nothing is asked";
    Probe::News news = probe_->take_news();
    for (UniqueFd& one : news.connections) offered_.push_back(std::move(one));
    healthy_ = healthy_ || news.healthy;
  }

  Probe* probe_;
  std::vector<UniqueFd> offered_;
  bool healthy_ = false;
  std::promise<Probe::Verdict> unhealthy_;
};

TEST(Probe, TakesTheExpectedStatusForHealthy) {
  Asked probe(settings());
  probe.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_TRUE(probe.healthy());
}

TEST(Probe, TakesAnyStatusOfARange) {
  message::Settings range = settings();
  range.health_status_last = 399;
  Asked probe(range);
  probe.answer("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(probe.healthy());
}

TEST(Probe, TriesAgainAndTakesALaterAnswer) {
  message::Settings twice = settings();
  twice.health_tries = 2;
  Asked probe(twice);
  probe.answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
  probe.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(probe.healthy());
}

TEST(Probe, SaysWhatWasAnsweredAndWhatWasExpected) {
  message::Settings strict = settings();
  strict.health_tries = 2;
  strict.health_status_last = 204;
  Asked probe(strict);
  probe.answer("HTTP/1.1 500 Internal Server Error\r\n\r\n");
  probe.answer("HTTP/1.1 503 Service Unavailable\r\n\r\nno database");
  Probe::Verdict verdict = probe.unhealthy();
  EXPECT_EQ(verdict.summary, "health check GET /healthz answered 503, expected 200-204 (2 tries)");
  EXPECT_EQ(verdict.answer, "HTTP/1.1 503 Service Unavailable\n\nno database");
}

TEST(Probe, GivesUpAnAppThatDoesNotAnswer) {
  message::Settings quick = settings();
  quick.health_timeout_ms = 50;
  Asked probe(quick);
  UniqueFd held = probe.connection();
  EXPECT_EQ(probe.unhealthy().summary,
            "health check GET /healthz gave no answer within 50 ms (1 try)");
}

TEST(Probe, GivesUpAnAppThatNobodyReaches) {
  message::Settings quick = settings();
  quick.health_timeout_ms = 1000;
  EXPECT_EQ(Asked(quick).unhealthy().summary,
            "health check GET /healthz gave no answer within 1 s (1 try)");
}

TEST(Probe, WantsTheWholeAnswer) {
  Asked cut(settings());
  cut.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
  EXPECT_EQ(cut.unhealthy().summary, "health check GET /healthz broke off its answer (1 try)");
  Asked silent(settings());
  silent.answer("");
  EXPECT_EQ(silent.unhealthy().summary,
            "health check GET /healthz ended without an answer (1 try)");
  message::Settings quick = settings();
  quick.health_timeout_ms = 100;
  Asked endless(quick);
  UniqueFd held = endless.connection();
  std::string_view begin = "HTTP/1.1 200 OK\r\n\r\nand";
  net::send_now(held.get(), begin.data(), begin.size());
  EXPECT_EQ(endless.unhealthy().summary,
            "health check GET /healthz did not end its answer within 100 ms (1 try)");
}

}  // namespace
}  // namespace appd::zygote
