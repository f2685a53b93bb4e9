// Connection: one client. Reads requests, holds what the client is slow to take, says goodbye.
//
//   Reading ──request complete──▶ InHand ──answered──▶ (Flushing) ──▶ Reading, Lingering or closed
//
// Its socket is registered with epoll once, edge-triggered: events only set flags, and advance()
// does what the flags and the phase permit.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "worker/engine/client.h"
#include "worker/engine/exchange.h"
#include "worker/engine/lane.h"
#include "worker/engine/output.h"
#include "worker/engine/shared.h"
#include "worker/engine/timeouts.h"
#include "worker/http/request_codec.h"
#include "worker/net/intrusive_list.h"

namespace appd::engine {

// What a gateway keeps with a connection; destroyed with it, under the lock.
struct Attachment {
  virtual ~Attachment() = default;
};

struct TurnTag {};

// Owned by the engine; under its lock. In hand it is used by one thread only. Parked, it may be
// given away without the lock; from then on it is an empty shell that the engine removes.
class Connection : public Waiter, public net::ListLink<TurnTag> {
 public:
  enum class Outcome { Waiting, Request, Closed };

  Connection(Client client, std::uint64_t id, Shared& shared);
  ~Connection();

  // Parked, give() may take it from any thread. claim() takes it back for the engine; false: it has
  // been given, and is not to be touched.
  void park() { seat_.store(Seat::Parked, std::memory_order_release); }
  bool claim() { return take_seat(Seat::InUse); }
  bool give() { return take_seat(Seat::Given); }
  // It was given, but nobody took it.
  void take_back() { seat_.store(Seat::InUse, std::memory_order_relaxed); }
  // Between two requests, with nothing of the next one read: any sibling can go on with it.
  bool movable() const {
    return phase_ == Phase::Reading && !has_stored() && codec_.between_requests();
  }
  bool watched_by_parking() const { return watched_by_parking_; }
  void set_watched_by_parking(bool watched) { watched_by_parking_ = watched; }
  Client& client() { return client_; }

  // Notes what epoll reported. True: it is worth a turn.
  bool note_events(std::uint32_t events);
  // Does all that can be done now. Not while in hand.
  Outcome advance(Lane& lane);
  // A deadline has passed.
  Outcome time_out();
  // The answer is complete.
  Outcome finish();
  // There is something to read, or to parse after finish(): give it a turn.
  bool has_unread() const {
    return readable_ && (phase_ == Phase::Reading || phase_ == Phase::Lingering);
  }
  bool has_unparsed() const { return phase_ == Phase::Reading && has_stored(); }
  // Its share of this turn is sent, and the socket may have room for more: watch it anew.
  bool has_unsent() const { return phase_ == Phase::Flushing && output_.stopped_short(); }

  bool in_hand() const { return phase_ == Phase::InHand; }
  // Sends what is pending while the app is still producing. False: the client is gone.
  bool flush_in_hand();
  bool send(std::string_view first, std::string_view second);
  // Keeps the bytes for the next send() or release_held(). False: they are to be sent.
  bool hold(std::string_view first, std::string_view second);
  // False: the client is gone.
  bool release_held();
  bool send_file(std::string_view first, FilePiece file);
  bool congested() const { return output_.congested(); }
  std::uint64_t pending() const { return output_.pending(); }
  // The client has sent its last byte, or nothing can be sent to it any more.
  bool ended() const { return peer_ended_ || broken_; }
  bool broken() const { return broken_; }
  Exchange::Progress read_body(Lane& lane);
  void keep_head(Lane& lane);
  // From now on another protocol is spoken; the gateway reads and sends its bytes.
  void upgrade();
  // After upgrade(): its socket. What is left has nothing to do but to be finished.
  UniqueFd detach(std::string& received);
  std::span<char> receive_raw(Lane& lane);
  void await(WaitKind kind);

  Exchange& exchange() { return exchange_; }
  Shared& shared() const { return shared_; }
  int socket() const { return client_.socket.get(); }
  std::uint64_t id() const { return id_; }
  const Peer& peer() const { return client_.peer; }
  // Its X-Forwarded-* fields are believed.
  bool peer_is_trusted();
  std::size_t listener() const { return client_.listener; }
  net::TimePoint begun() const { return begun_; }
  // Its next request is there. `look`: perhaps for some time already, the kernel will know.
  void note_came(bool look);
  // What comes first has perhaps been there for some time.
  void look_at_first() { look_at_first_ = true; }
  // How long the request had been there before it was begun.
  net::Nanoseconds waited() const { return begun_ - came_; }
  // The request's place on the scoreboard.
  std::uint8_t place() const { return place_; }
  void set_place(std::uint8_t place) { place_ = place; }
  // What it is called there.
  std::uint32_t number() {
    if (number_ == 0) number_ = shared_.stats.number();
    return number_;
  }
  // The answer in the making is the last one here.
  bool says_goodbye() const {
    return shared_.parting() &&
           (shared_.leaving() || (spread_ != shared_.spreads && !has_stored()));
  }
  std::unique_ptr<Attachment>& attachment() { return attachment_; }
  const std::unique_ptr<Attachment>& attachment() const { return attachment_; }

 private:
  enum class Phase : std::uint8_t { Reading, InHand, Upgraded, Flushing, Lingering };
  enum class Seat : std::uint8_t { InUse, Parked, Given };

  // From Parked. InUse can be had again by those who have it: the engine.
  bool take_seat(Seat wanted) {
    if (wanted == Seat::InUse && seat_.load(std::memory_order_relaxed) == wanted) return true;
    Seat parked = Seat::Parked;
    return seat_.compare_exchange_strong(parked, wanted, std::memory_order_acq_rel);
  }
  bool has_stored() const { return stored_at_ < stored_.size(); }
  Outcome read(Lane& lane);
  Outcome parse(Lane& lane, std::string_view input, bool input_is_stored);
  http::ProxyStep::Verdict read_proxy_header(std::string_view& input, http::Refusal& refusal);
  Outcome begin_request(const http::RequestHead& head);
  Exchange::Progress parse_body(std::string_view input, bool input_is_stored);
  void keep_rest(std::string_view rest, bool is_stored);
  bool want_more(Lane& lane);
  Outcome refuse(const http::Refusal& refusal, std::string_view unparsed = {});
  void log_refused(int status, std::uint64_t body_bytes, std::string_view unparsed);
  Outcome after_output();
  void arm_now(WaitKind kind);
  Outcome linger();
  Outcome drain_input(Lane& lane);
  bool note_sent(Output::State state, bool was_pending);
  ssize_t receive(Lane& lane);
  void begin_wait(RequestStage stage, const http::RequestHead& head);
  void end_wait() {
    if (stage_ == RequestStage::InApp) return;
    shared_.stats.end_wait(std::exchange(stage_, RequestStage::InApp), place_);
  }

  Shared& shared_;
  Client client_;
  std::uint64_t id_;
  std::atomic<Seat> seat_ = Seat::InUse;
  bool watched_by_parking_ = false;
  Phase phase_ = Phase::Reading;
  bool readable_ = false;    // there may be more to receive
  bool peer_ended_ = false;  // the client has sent its last byte
  bool broken_ = false;      // nothing can be sent any more
  bool refused_ = false;
  bool continue_sent_ = false;
  std::uint32_t
      spread_;  // Shared::spreads when it came: since the last one it has found its worker
  RequestStage stage_ = RequestStage::InApp;  // on the scoreboard; InApp is the engine's business
  bool look_at_first_ = false;
  std::uint8_t place_ = 0;
  std::uint32_t number_ = 0;  // 0: none yet
  http::RequestCodec codec_;
  std::string stored_;  // received, not yet parsed from stored_at_ on
  std::size_t stored_at_ = 0;
  std::unique_ptr<http::RequestHead> kept_head_;  // while the body is still coming
  Exchange exchange_;
  Output output_;
  std::uint64_t lingered_ = 0;
  net::TimePoint came_{};
  net::TimePoint begun_{};
  std::uint32_t trust_edition_ = 0;  // of what peer_trusted_ was found by
  bool peer_trusted_ = false;
  std::unique_ptr<Attachment> attachment_;
};

}  // namespace appd::engine
