// The answer: head with the first chunk, then chunks, then its end.
#include "worker/engine/exchange.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "worker/engine/connection.h"
#include "worker/engine/shared.h"
#include "worker/http/status.h"

namespace appd::engine {
namespace {

// Up to here copying beside the head is cheaper than a second piece in sendmsg.
constexpr std::size_t kCopied = 8 * 1024;

}  // namespace

void Exchange::begin(const http::RequestHead& request) {
  request_ = &request;
  response_.clear();
  body_complete_ = true;
  head_sent_ = gone_ = held_ = ended_ = keep_alive_ = overdue_ = cancelled_ = false;
  owed_ = excess_ = body_sent_ = 0;
}

bool Exchange::put(std::string_view first, std::string_view second) {
  if (held_ && !gone_ && connection_.hold(first, second)) return true;
  if (!gone_ && !connection_.send(first, second)) gone_ = true;
  return !gone_;
}

http::ByteBuffer& Exchange::make_head(std::optional<std::uint64_t> body_size) {
  Shared& shared = connection_.shared();
  if (shared.deadline_changed) shared.now = net::steady_now();
  framing_ = response_.framing(request_->is_head, request_->http_1_0, body_size);
  // A HEAD request is told what GET would have got, if the app went so far as to make it.
  bool size_known =
      framing_ == http::Framing::Length || (request_->is_head && body_size.value_or(0) > 0);
  if (size_known && !response_.content_length()) response_.set_content_length(*body_size);
  keep_alive_ = request_->keep_alive && !response_.wants_close() && !connection_.says_goodbye() &&
                framing_ != http::Framing::Close && shared.settings.keepalive_ms != 0;
  http::ByteBuffer& head =
      response_.finish(framing_, keep_alive_, request_->http_1_0, shared.date.line(shared.now));
  head_sent_ = true;
  owed_ = framing_ == http::Framing::Length ? *response_.content_length() : 0;
  return head;
}

bool Exchange::send_head(std::optional<std::uint64_t> body_size, std::string_view chunk) {
  http::ByteBuffer& head = make_head(body_size);
  if (framing_ == http::Framing::Chunked && !chunk.empty()) return send_chunked(head, chunk);
  chunk = fit(chunk);
  if (chunk.size() > kCopied) return put(head.view(), chunk);
  head.append(chunk);
  return put(head.view());
}

// What may be sent of a chunk: nothing without a body, no more than Content-Length with one.
std::string_view Exchange::fit(std::string_view chunk) {
  if (framing_ == http::Framing::NoBody) return {};
  if (framing_ == http::Framing::Length) {
    if (chunk.size() > owed_) {
      excess_ += chunk.size() - owed_;
      chunk = chunk.substr(0, static_cast<std::size_t>(owed_));
    }
    owed_ -= chunk.size();
  }
  body_sent_ += chunk.size();
  return chunk;
}

// `before` may hold the head; it is sent with the chunk.
bool Exchange::send_chunked(http::ByteBuffer& before, std::string_view chunk) {
  body_sent_ += chunk.size();
  bool copied = chunk.size() <= kCopied;
  before.reserve(http::ByteBuffer::kMaxDigits + 4 + (copied ? chunk.size() : 0));
  before.put_hex(chunk.size());
  before.put("\r\n");
  if (!copied) return put(before.view(), chunk) && put("\r\n");
  before.put(chunk);
  before.put("\r\n");
  return put(before.view());
}

bool Exchange::send(std::string_view chunk) {
  if (!head_sent_) return send_head(std::nullopt, chunk);
  if (chunk.empty()) return !gone_;
  if (framing_ == http::Framing::Chunked) {
    http::ByteBuffer text;
    return send_chunked(text, chunk);
  }
  chunk = fit(chunk);
  return chunk.empty() ? !gone_ : put(chunk);
}

bool Exchange::send_whole(std::string_view body) {
  send_head(body.size(), body);
  end();
  return !gone_;
}

bool Exchange::send_file(FilePiece file) {
  http::ByteBuffer& head = make_head(file.size);
  if (framing_ != http::Framing::Length) file.size = 0;
  file.size = std::min(file.size, owed_);
  owed_ -= file.size;
  body_sent_ += file.size;
  if (gone_ || file.size == 0) {
    put(head.view());
  } else if (!connection_.send_file(head.view(), std::move(file))) {
    gone_ = true;
  }
  end();
  return !gone_;
}

bool Exchange::send_interim(http::ResponseHead& interim) {
  if (head_sent_ || request_->http_1_0) return !gone_;
  return put(interim.finish_interim().view());
}

void Exchange::release() {
  held_ = false;
  if (!gone_ && !connection_.release_held()) gone_ = true;
}

void Exchange::end() {
  if (framing_ == http::Framing::Chunked) held_ = false;  // the last chunk takes all with it
  if (!head_sent_) send_head(0, {});
  if (framing_ == http::Framing::Chunked && !ended_) {
    trailers_.insert(0, "0\r\n");
    trailers_ += "\r\n";
    put(trailers_);
    trailers_.clear();
  }
  if (held_) release();
  ended_ = true;
  if (owed_ > 0) gone_ = true;  // the client must not take the next answer for the rest of this
}

void Exchange::refuse(const http::Refusal& refusal) {
  Shared& shared = connection_.shared();
  response_.start(http::status_text(refusal.status));
  put(http::error_answer(refusal.status, refusal.rule, shared.date.line(shared.now),
                         !request_->is_head));
  head_sent_ = ended_ = true;
}

void Exchange::fail(int status, std::string_view detail) {
  if (head_sent_) {
    if (held_) release();
    gone_ = true;
    return;
  }
  if (overdue_) status = cancelled_ ? 503 : 504;
  std::string phrase = std::to_string(status) + " ";
  phrase += http::reason_phrase(status);
  response_.start(phrase);
  response_.add("Content-Type", "text/plain; charset=utf-8");
  std::string body(detail.empty() ? http::reason_phrase(status) : detail);
  body += '\n';
  send_whole(body);
}

bool Exchange::client_ended() const { return gone_ || connection_.ended(); }

bool Exchange::unreachable() const { return gone_ || connection_.broken(); }

Exchange::Progress Exchange::read_body(Lane& lane) { return connection_.read_body(lane); }

void Exchange::keep_head(Lane& lane) { connection_.keep_head(lane); }

std::span<char> Exchange::receive_raw(Lane& lane) { return connection_.receive_raw(lane); }

void Exchange::await_ping() { connection_.await(WaitKind::Ping); }

void Exchange::await_pong() { connection_.await(WaitKind::Pong); }

std::uint64_t Exchange::pending() const { return connection_.pending(); }

bool Exchange::congested() const { return !gone_ && connection_.congested(); }

bool Exchange::in_event_loop() const {
  return static_cast<bool>(connection_.shared().deadline_changed);
}

void Exchange::await_room() const {
  pollfd waiting{connection_.socket(), POLLOUT, 0};
  auto limit = connection_.shared().settings.send_timeout_ms;
  ::poll(&waiting, 1, limit == 0 ? -1 : static_cast<int>(limit));
}

void Exchange::flush() {
  if (!connection_.flush_in_hand()) gone_ = true;
}

}  // namespace appd::engine
