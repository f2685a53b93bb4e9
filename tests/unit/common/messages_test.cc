// Messages survive the way through bytes; every damaged form of them is an Error and nothing worse.
#include "common/messages.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace appd::message {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

Settings unusual_settings() {
  Settings settings;
  settings.revision = 1LL << 40;
  settings.threads = 8;
  settings.timeout_ms = 0;
  settings.keepalive_ms = 1;
  settings.limit_request_body = -1;
  settings.worker_connections = 17;
  settings.forwarded_allow_ips = "10.0.0.0/8,::1";
  settings.proxy_protocol = "v2";
  settings.proxy_allow_ips = "*";
  settings.access_log = true;
  settings.access_log_format = "json";
  settings.ws_max_size = 1LL << 33;
  settings.ws_ping_interval_ms = 0;
  settings.ws_ping_timeout_ms = 7;
  settings.ws_per_message_deflate = false;
  settings.websocket_drain_ms = 60'000;
  settings.startsecs_ms = 250;
  settings.stop_signal = 2;
  settings.health_path = "/healthz";
  settings.health_status_first = 204;
  settings.health_status_last = 399;
  settings.health_timeout_ms = 17;
  settings.health_tries = 9;
  settings.log_prefix = true;
  return settings;
}

Stage unusual_stage() {
  Stage stage{StagePhase::Switching, 3, true, 1500, {40, 2, {}}, {400, 1, {}}};
  stage.canary.latency[31] = 1ULL << 40;
  stage.old.latency[0] = 7;
  return stage;
}

// One of each kind, with no field left at its default.
std::vector<Message> samples() {
  return {
      Load{"shop",
           7,
           "/srv/shop",
           "wsgi:app",
           Preload::Off,
           {"/", "/login?next=/"},
           "asgi",
           "uvloop",
           "off",
           "/shop",
           "sleep 1",
           {"manage.py migrate", "true"},
           7'000,
           "/logs/shop.log",
           "/logs/shop.access.log",
           unusual_settings()},
      Fork{3},
      Drain{4},
      Kill{5},
      Tune{unusual_settings()},
      Quit{},
      Hello{2, 4711, "shop", 7, "3.11.2", 17, unusual_settings(), unusual_stage()},
      Loaded{true, "threads after import", 250, "gevent", true},
      LoadFailed{true, "AttributeError: no app", "Traceback (most recent call last):\n"},
      Forked{6, 99, true, 1500},
      ForkFailed{7, 11},
      Ready{8, 12, "tornado", 20},
      BootFailed{9, BootFailure::Ended, "SyntaxError: invalid syntax", "Traceback\0with NUL"},
      Tuned{10, 13},
      Stuck{11, true, 30'000, "GET /slow"},
      Exited{12, 98, 9, ExitCause::Timeout, "GET /slow", 1, 2, 3, "Thread 0x1"},
      RunningOnce{1, 2, "manage.py migrate"},
      RunOnceFailed{"exited with status 1", "no such table\n"},
      Reopen{},
      TakeStacks{13},
      Stacks{14, "Thread 0x2"},
      unusual_stage(),
      CancelRequest{15, 70'000},
  };
}

TEST(Messages, SamplesHoldOneOfEachKind) {
  auto all = samples();
  ASSERT_EQ(all.size(), std::variant_size_v<Message>);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].index(), i);
}

TEST(Messages, SurviveTheWayThroughBytes) {
  for (const auto& sample : samples()) {
    std::string bytes = encode(sample);
    auto decoded = decode(bytes_of(bytes));
    ASSERT_TRUE(decoded) << "kind " << sample.index() << ": " << decoded.error().message;
    EXPECT_EQ(decoded->index(), sample.index());
    EXPECT_EQ(encode(*decoded), bytes) << "kind " << sample.index();
  }
}

TEST(Messages, LoadKeepsEveryField) {
  auto decoded = decode(bytes_of(encode(samples()[0])));
  ASSERT_TRUE(decoded);
  const auto& load = std::get<Load>(*decoded);
  EXPECT_EQ(load.app, "shop");
  EXPECT_EQ(load.rollout, 7);
  EXPECT_EQ(load.directory, "/srv/shop");
  EXPECT_EQ(load.app_uri, "wsgi:app");
  EXPECT_EQ(load.preload, Preload::Off);
  EXPECT_EQ(load.warmup_paths, (std::vector<std::string>{"/", "/login?next=/"}));
  EXPECT_EQ(load.worker_class, "asgi");
  EXPECT_EQ(load.loop, "uvloop");
  EXPECT_EQ(load.lifespan, "off");
  EXPECT_EQ(load.root_path, "/shop");
  EXPECT_EQ(load.settings, unusual_settings());
}

TEST(Messages, LoadedAndReadyKeepTheClassThatServes) {
  auto loaded = decode(bytes_of(encode(Loaded{false, "", 1, "asgi"})));
  auto ready = decode(bytes_of(encode(Ready{1, 2, "gevent"})));
  ASSERT_TRUE(loaded && ready);
  EXPECT_EQ(std::get<Loaded>(*loaded).worker_class, "asgi");
  EXPECT_EQ(std::get<Ready>(*ready).worker_class, "gevent");
}

TEST(Messages, HelloTellsHowFarItsRolloutHasCome) {
  auto hello = decode(bytes_of(encode(samples()[6])));
  ASSERT_TRUE(hello);
  EXPECT_EQ(std::get<Hello>(*hello).settings, unusual_settings());
  EXPECT_EQ(std::get<Hello>(*hello).stage, unusual_stage());
}

TEST(Messages, CutShortAtAnyByteIsRefused) {
  for (const auto& sample : samples()) {
    std::string bytes = encode(sample);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode(bytes_of(bytes).first(size)))
          << "kind " << sample.index() << " cut to " << size;
    }
  }
}

TEST(Messages, BytesBehindTheEndAreRefused) {
  for (const auto& sample : samples()) EXPECT_FALSE(decode(bytes_of(encode(sample) + '\0')));
}

TEST(Messages, UnknownTagIsRefused) {
  for (int tag = static_cast<int>(std::variant_size_v<Message>); tag < 256; ++tag) {
    EXPECT_FALSE(decode(bytes_of(std::string(1, static_cast<char>(tag)))));
  }
}

TEST(Messages, LengthBeyondTheMessageIsRefusedWithoutAllocatingIt) {
  std::string hello = encode(Hello{1, 1, "a", 1, "3", 0, {}, {}});
  std::string huge = hello;
  huge.replace(1 + 4 + 4, 4, "\xff\xff\xff\xff");  // length of `app`
  EXPECT_FALSE(decode(bytes_of(huge)));
  std::string load = encode(Load{});  // …, preload, then the list's count
  std::size_t count_at = 1 + 4 + 8 + 4 + 4 + 1;
  load.replace(count_at, 4, "\xff\xff\xff\xff");
  EXPECT_FALSE(decode(bytes_of(load)));
}

TEST(Messages, EnumeratorThatDoesNotExistIsRefused) {
  std::string load = encode(Load{});
  load[1 + 4 + 8 + 4 + 4] = 3;
  EXPECT_FALSE(decode(bytes_of(load)));
  std::string exited = encode(Exited{});
  exited[1 + 4 + 4 + 4] = 99;
  EXPECT_FALSE(decode(bytes_of(exited)));
}

TEST(Messages, GarbageNeverDoesWorseThanFail) {
  std::mt19937 random(20260101);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 200, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (!bytes.empty()) bytes[0] = static_cast<char>(random() % (std::variant_size_v<Message> + 1));
    auto decoded = decode(bytes_of(bytes));
    if (decoded) {
      EXPECT_EQ(encode(*decoded).size(), bytes.size());
    }
  }
}

TEST(Messages, OneFlippedByteNeverDoesWorseThanFail) {
  for (const auto& sample : samples()) {
    std::string bytes = encode(sample);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
        static_cast<void>(decode(bytes_of(damaged)));
      }
    }
  }
}

}  // namespace
}  // namespace appd::message
