// A tick takes what the engine has, up to the limit.
#include "worker/gateway/loop_host.h"

#include <utility>

namespace appd::gateway {

void LoopHost::tick() {
  // The loop turns: for the monitor, that is as if each request in hand had come back.
  if (in_hand_ > 0) monitor_.turn(watched_);
  in_tick_ = true;
  engine_.poll();
  engine_.stats().beat(engine_.now());
  end_overdue();
  run_deferred();
  while (!full()) {
    engine::Exchange* exchange = engine_.next(lane_);
    if (exchange == nullptr) {
      if (!engine_.watched_ready()) break;
      tend_engine();
      continue;
    }
    if (in_hand_++ == 0) monitor_.enter(watched_);
    server_->start(*exchange, lane_);
  }
  run_deferred();
  in_tick_ = false;
  tend_engine();
  note_room();
  note_finished();
}

// The monitor makes the loop turn once a second at least while requests are in hand.
void LoopHost::end_overdue() {
  while (engine::Exchange* exchange = engine_.next_overdue()) {
    if (engine::ExchangeObserver* observer = exchange->observer()) observer->on_overdue();
  }
  if (engine_.oldest_overdue() == net::Nanoseconds(0)) return;
  std::chrono::milliseconds limit(engine_.settings().request_timeout_ms);
  bool hopeless = engine_.oldest_overdue() > limit + kResistance;
  if (hopeless && !std::exchange(hopeless_noted_, true)) on_hopeless(engine_.oldest_overdue());
}

void LoopHost::cancel(std::uint32_t number) {
  engine::Exchange* exchange = engine_.find_in_hand(number);
  if (exchange == nullptr || exchange->observer() == nullptr) return;
  exchange->note_cancelled();
  exchange->observer()->on_overdue();
  if (!in_tick_) engine_.wake();  // for what was deferred
}

void LoopHost::set_limit(std::uint32_t worker_connections) {
  limit_ = worker_connections;
  note_room();
}

// Full, we leave new clients to the siblings; with room again, we go on with what was held back.
void LoopHost::note_room() {
  if (full() == was_full_) return;
  was_full_ = full();
  engine_.accept_clients(!was_full_);
  if (!was_full_) engine_.wake();
}

void LoopHost::tend_engine() {
  if (engine_.watched_ready()) {
    engine_.watched_done();
    on_watched();
  }
  if (engine_.draining() && !std::exchange(drain_noted_, true)) {
    on_drain();
    server_->drain();
  }
}

void LoopHost::defer(Deferred& deferred) { deferred_.push_back(deferred); }

void LoopHost::run_deferred() {
  while (Deferred* deferred = deferred_.pop_front()) deferred->act();
}

void LoopHost::upgrade(engine::Exchange& exchange) {
  engine_.upgrade(exchange);
  leave_hand_held();
}

UniqueFd LoopHost::detach(engine::Exchange& exchange, std::string& received) {
  UniqueFd socket = engine_.detach(exchange, received);
  leave_hand_held();
  return socket;
}

void LoopHost::leave_hand_held() {
  hold();
  if (--in_hand_ == 0) monitor_.leave(watched_);
}

void LoopHost::close_upgraded(engine::Exchange& exchange) {
  engine_.close_upgraded(exchange);
  release();
}

void LoopHost::finish(engine::Exchange& exchange) {
  engine_.finish(exchange);
  if (--in_hand_ == 0) monitor_.leave(watched_);
  if (in_tick_) return;
  note_room();
  if (engine_.has_turns()) engine_.wake();  // a pipelined request, perhaps
  note_finished();
}

void LoopHost::release() {
  --held_;
  if (in_tick_) return;
  note_room();
  note_finished();
}

void LoopHost::note_finished() {
  if (!engine_.finished() || in_hand_ + held_ > 0) return;
  if (!std::exchange(finished_noted_, true)) on_finished();
}

}  // namespace appd::gateway
