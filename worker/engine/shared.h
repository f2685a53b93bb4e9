// What all connections of one engine share.
#pragma once

#include <atomic>
#include <functional>

#include "common/messages.h"
#include "worker/engine/access_log.h"
#include "worker/engine/stats.h"
#include "worker/engine/timeouts.h"
#include "worker/engine/trust.h"
#include "worker/http/limits.h"
#include "worker/net/clock.h"
#include "worker/net/http_date.h"

namespace appd::engine {

// Owned by the engine; under its lock.
struct Shared {
  explicit Shared(ScoreboardSlot& slot) : stats(slot) {}

  void apply(const message::Settings& given) {
    settings = given;
    limits.request_line = given.limit_request_line;
    limits.fields = given.limit_request_fields;
    limits.field_size = given.limit_request_field_size;
    limits.body =
        given.limit_request_body > 0 ? static_cast<std::uint64_t>(given.limit_request_body) : 0;
    timeouts.apply(given);
    trust.apply(given);
    access_log.apply(given);
  }

  message::Settings settings;
  http::Limits limits;
  Timeouts timeouts;
  Trust trust;
  AccessLog access_log;
  Stats stats;
  net::HttpDate date;
  net::TimePoint now{};  // read once for each batch of events and at the end of each request
  // Requests are handed out as soon as their heads are complete; see Exchange::read_body().
  bool stream_bodies = false;
  // Set in a foreign event loop, where answers are given between polls too: `now` is out of date
  // then, and a deadline that is set has to be told.
  std::function<void()> deadline_changed;
  bool draining = false;
  std::atomic<bool> drain_requested = false;  // by a signal; draining follows

  // Why answers from now on say goodbye: to everybody, or to those who are to find another worker.
  static constexpr std::uint8_t kLeaving = 1;
  static constexpr std::uint8_t kSpreading = 2;
  std::atomic<std::uint8_t> goodbyes = 0;
  std::atomic<std::uint32_t> spreads = 0;  // how often the latter has begun
  bool parting() const { return goodbyes.load(std::memory_order_relaxed) != 0; }
  bool leaving() const { return (goodbyes.load(std::memory_order_relaxed) & kLeaving) != 0; }
};

}  // namespace appd::engine
