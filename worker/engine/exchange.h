// Exchange: one request in the hands of a gateway, and its answer.
//
// The gateway reads the request and its body, fills response(), sends chunks, and gives the
// exchange back to Engine::finish(). Framing, keep-alive and HEAD are the exchange's business.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "worker/engine/output.h"
#include "worker/engine/request_body.h"
#include "worker/http/request_head.h"
#include "worker/http/response_head.h"

namespace appd::engine {

struct Shared;
class Connection;
struct Lane;

// What a gateway that waits for something else meanwhile wants to hear of.
struct ExchangeObserver {
  // There may be more to read, more room to send, or nobody there any more. Called within
  // Engine::next(); it must neither finish an exchange nor send.
  virtual void on_change() = 0;
  // After Engine::upgrade(): it was waited long enough, for the time to ping or for a pong.
  virtual void on_ping_due() {}
  virtual void on_pong_late() {}
  // It is to be ended: it has been in hand for longer than request_timeout
  // (Engine::next_overdue()), or is cancelled.
  virtual void on_overdue() {}

 protected:
  ~ExchangeObserver() = default;
};

// Lives in its connection, used by one thread at a time, under the engine's lock except where
// said otherwise.
class Exchange {
 public:
  explicit Exchange(Connection& connection) : connection_(connection) {}

  // The head's views are good until the exchange is finished.
  const http::RequestHead& request() const { return *request_; }
  RequestBody& body() { return body_; }
  http::ResponseHead& response() { return response_; }
  Connection& connection() const { return connection_; }

  bool head_sent() const { return head_sent_; }
  // The client cannot be reached any more: stop producing.
  bool gone() const { return gone_; }
  // The client has closed its side, or is gone.
  bool client_ended() const;
  // Nothing can be sent to it any more; gone() is so only when the app has tried.
  bool unreachable() const;

  // Reads more of a streamed body (Shared::stream_bodies) into body(), without waiting. Complete:
  // it is all there.
  enum class Progress { Waiting, More, Complete, Ended };
  Progress read_body(Lane& lane);
  bool body_complete() const { return body_complete_; }
  // Copies the head out of the lane: for a gateway that takes another request before this one is
  // finished.
  void keep_head(Lane& lane);
  void observe(ExchangeObserver* observer) { observer_ = observer; }
  ExchangeObserver* observer() const { return observer_; }
  // It is over request_timeout: whatever fails from now on is a 504.
  bool overdue() const { return overdue_; }
  void note_overdue() { overdue_ = true; }
  // Somebody wants it ended: the same, but a 503.
  bool cancelled() const { return cancelled_; }
  void note_cancelled() { overdue_ = cancelled_ = true; }

  // After Engine::upgrade(), bytes of the other protocol. What has come, without waiting; it may be
  // changed in place, and is good until the lane is used again. Empty: nothing now, or
  // client_ended().
  std::span<char> receive_raw(Lane& lane);
  bool send_raw(std::string_view first, std::string_view second = {}) { return put(first, second); }
  // When nothing else is waited for: on_ping_due() after ws_ping_interval, on_pong_late() after
  // ws_ping_timeout.
  void await_ping();
  void await_pong();
  // Sends a chunk, and the head before the first one. False: gone.
  bool send(std::string_view chunk);
  // Small chunks are held from now on, to leave in one piece: at release(), at the end, or when
  // there are enough of them.
  void hold() { held_ = true; }
  // Sends what is held.
  void release();
  // Sends head and body at once; the body is all there is.
  bool send_whole(std::string_view body);
  // Sends head and file, which is all there is, as the client takes it; no more of the file than
  // Content-Length says. Only before the head is sent.
  bool send_file(FilePiece file);
  // Sends an interim answer, as 103 Early Hints (RFC 8297), before the head. Nothing is sent to
  // HTTP/1.0 clients, nor once the head is (RFC 9110 §15.2). False: gone.
  bool send_interim(http::ResponseHead& interim);
  // Answers with an error of ours if nothing is on the wire, else breaks the connection off so
  // that the client sees an incomplete answer.
  void fail(int status, std::string_view detail = {});
  // Answers with the rule that the request breaks, and ends the connection.
  void refuse(const http::Refusal& refusal);
  // Fields for after the body, "name: value\r\n" each; left out where there is no place for them
  // (RFC 9110 §6.5).
  void add_trailers(std::string_view fields) { trailers_ += fields; }
  // The app has nothing more to send.
  void end();

  // More is waiting for the client than we are willing to hold.
  bool congested() const;
  // The gateway is called by an event loop, which must not be made to wait.
  bool in_event_loop() const;
  // Breaks the answer off.
  void give_up() { gone_ = true; }
  // Bytes that wait for the client.
  std::uint64_t pending() const;
  // Without the lock: waits until the socket has room, at most send_timeout; then call flush().
  void await_room() const;
  void flush();

  // Bytes that the app sent beyond, or owes to, its own Content-Length.
  std::uint64_t excess() const { return excess_; }
  std::uint64_t owed() const { return owed_; }
  // Of the answer's body, on their way or there.
  std::uint64_t body_sent() const { return body_sent_; }

 private:
  friend class Connection;
  void begin(const http::RequestHead& request);
  bool put(std::string_view first, std::string_view second = {});
  http::ByteBuffer& make_head(std::optional<std::uint64_t> body_size);
  bool send_head(std::optional<std::uint64_t> body_size, std::string_view chunk);
  bool send_chunked(http::ByteBuffer& before, std::string_view chunk);
  std::string_view fit(std::string_view chunk);

  Connection& connection_;
  const http::RequestHead* request_ = nullptr;
  RequestBody body_;
  http::ResponseHead response_;
  std::string trailers_;
  http::Framing framing_ = http::Framing::NoBody;
  ExchangeObserver* observer_ = nullptr;
  bool body_complete_ = true;
  bool head_sent_ = false;
  bool gone_ = false;
  bool held_ = false;
  bool keep_alive_ = false;
  bool ended_ = false;
  bool overdue_ = false;
  bool cancelled_ = false;
  std::uint64_t owed_ = 0;  // of Framing::Length
  std::uint64_t excess_ = 0;
  std::uint64_t body_sent_ = 0;
};

}  // namespace appd::engine
