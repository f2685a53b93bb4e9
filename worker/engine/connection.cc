// One client's life, from its first byte to the end of its linger.
#include "worker/engine/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "worker/engine/origin.h"
#include "worker/net/socket_io.h"

namespace appd::engine {
namespace {

constexpr std::uint64_t kLingerBytes = 1024 * 1024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// What the first line of a refused head says, if it is a request line and complete.
http::RequestHead line_of(std::string_view bytes) {
  http::RequestHead head;
  std::size_t begin = bytes.starts_with("\r\n") ? 2 : 0;
  std::size_t end = bytes.find_first_of("\r\n", begin);
  if (end == std::string_view::npos) return head;
  std::string_view line = bytes.substr(begin, end - begin);
  std::size_t first = line.find(' ');
  std::size_t last = line.rfind(' ');
  if (first == last || !line.substr(last + 1).starts_with("HTTP/")) return head;
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  std::size_t mark = head.target.find('?');
  head.path = head.target.substr(0, mark);
  if (mark != std::string_view::npos) head.query = head.target.substr(mark + 1);
  head.http_1_0 = line.ends_with("/1.0");
  return head;
}

}  // namespace

Connection::Connection(Client client, std::uint64_t id, Shared& shared)
    : shared_(shared),
      client_(std::move(client)),
      id_(id),
      spread_(shared.spreads.load(std::memory_order_relaxed)),
      exchange_(*this),
      came_(shared.now) {
  shared_.stats.connection_opened();
  shared_.timeouts.arm(*this, WaitKind::Fresh, shared_.now);
  const Trust& trust = shared_.trust;
  if (trust.proxy_mode == http::ProxyMode::Off || !trust.proxies.contains(client_.peer.address)) {
    client_.introduced = true;
  }
}

Connection::~Connection() {
  end_wait();
  shared_.stats.connection_closed();
}

void Connection::begin_wait(RequestStage stage, const http::RequestHead& head) {
  end_wait();
  stage_ = stage;
  net::TimePoint begun = stage == RequestStage::Sending ? begun_ : shared_.now;
  place_ = shared_.stats.begin_wait(stage, number(), head.method, head.target, begun);
}

bool Connection::note_events(std::uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) peer_ended_ = true;
  if ((events & EPOLLERR) != 0) broken_ = true;
  switch (phase_) {
    case Phase::Reading:
    case Phase::Lingering:
      return readable_;
    case Phase::Flushing:
      return true;
    case Phase::InHand:
    case Phase::Upgraded:
      if (output_.pending() > 0) flush_in_hand();
      if (exchange_.observer_ != nullptr) exchange_.observer_->on_change();
      return false;
  }
  return false;
}

// In milliseconds, as exact as the kernel's ticks; of unix sockets it does not say.
void Connection::note_came(bool look) {
  came_ = shared_.now;
  if (!look && !look_at_first_) return;
  look_at_first_ = false;
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(socket(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;
  came_ -= std::chrono::milliseconds(info.tcpi_last_data_recv);
}

Connection::Outcome Connection::advance(Lane& lane) {
  switch (phase_) {
    case Phase::InHand:
    case Phase::Upgraded:
      return Outcome::Waiting;
    case Phase::Flushing: {
      std::uint64_t before = output_.pending();
      Output::State state = output_.flush(socket());
      if (state == Output::State::Broken) return Outcome::Closed;
      if (state == Output::State::Pending) {
        if (output_.pending() < before) shared_.timeouts.arm(*this, WaitKind::Send, shared_.now);
        return Outcome::Waiting;
      }
      end_wait();
      if (after_output() == Outcome::Closed) return Outcome::Closed;
      return phase_ == Phase::Reading ? read(lane) : drain_input(lane);
    }
    case Phase::Lingering:
      return drain_input(lane);
    case Phase::Reading:
      return read(lane);
  }
  return Outcome::Closed;
}

// Bytes received into the lane, 0 when there are none now, -1 when there will be none.
ssize_t Connection::receive(Lane& lane) {
  for (;;) {
    ssize_t got = net::receive_now(socket(), lane.input.get(), Lane::kInput);
    if (got > 0) {
      // A short read has emptied the socket: the next byte brings a new edge.
      readable_ = peer_ended_ || static_cast<std::size_t>(got) == Lane::kInput;
      shared_.stats.received(static_cast<std::size_t>(got));
      return got;
    }
    if (got < 0 && errno == EINTR) continue;
    readable_ = false;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
  }
}

Connection::Outcome Connection::read(Lane& lane) {
  if (has_stored()) {
    Outcome outcome = parse(lane, std::string_view(stored_).substr(stored_at_), true);
    if (outcome != Outcome::Waiting || phase_ != Phase::Reading) return outcome;
  }
  while (readable_) {
    ssize_t got = receive(lane);
    if (got == 0) break;
    if (got < 0) return Outcome::Closed;
    std::string_view input(lane.input.get(), static_cast<std::size_t>(got));
    bool joined = has_stored();
    if (joined) {
      stored_.erase(0, stored_at_);
      stored_at_ = 0;
      stored_.append(input);
      input = stored_;
    }
    Outcome outcome = parse(lane, input, joined);
    if (outcome != Outcome::Waiting || phase_ != Phase::Reading) return outcome;
  }
  return Outcome::Waiting;
}

Connection::Outcome Connection::parse(Lane& lane, std::string_view input, bool is_stored) {
  using Event = http::RequestCodec::Event;
  http::Refusal refusal;
  if (!client_.introduced) {
    switch (read_proxy_header(input, refusal)) {
      case http::ProxyStep::Verdict::None:
      case http::ProxyStep::Verdict::Complete:
        break;
      case http::ProxyStep::Verdict::NeedMore:
        keep_rest(input, is_stored);
        return want_more(lane) ? Outcome::Waiting : Outcome::Closed;
      case http::ProxyStep::Verdict::Refused:
        return refuse(refusal);
    }
  }
  for (;;) {
    http::RequestHead& head = kept_head_ != nullptr ? *kept_head_ : lane.head;
    auto step = codec_.next(input, shared_.limits, head, refusal);
    input.remove_prefix(step.used);
    switch (step.event) {
      case Event::Head:
        break;
      case Event::Body:
        if (!exchange_.body().append(step.data)) {
          return refuse({503, "The body cannot be stored"});
        }
        break;
      case Event::Complete:
        keep_rest(input, is_stored);
        return begin_request(head);
      case Event::NeedMore:
        keep_rest(input, is_stored);
        if (shared_.stream_bodies && !codec_.between_requests()) {
          keep_head(lane);
          Outcome outcome = begin_request(*kept_head_);
          exchange_.body_complete_ = false;
          return outcome;
        }
        return want_more(lane) ? Outcome::Waiting : Outcome::Closed;
      case Event::Refused:
        return refuse(refusal, input);
    }
  }
}

// Takes the header off the input. The client that it names is the peer from then on.
http::ProxyStep::Verdict Connection::read_proxy_header(std::string_view& input,
                                                       http::Refusal& refusal) {
  using Verdict = http::ProxyStep::Verdict;
  // The mode may have been turned off since the connection began.
  http::ProxyMode mode = shared_.trust.proxy_mode;
  http::ProxySource source;
  auto step = mode == http::ProxyMode::Off ? http::ProxyStep{Verdict::None}
                                           : http::read_proxy_header(input, mode, source, refusal);
  if (step.verdict == Verdict::NeedMore) return step.verdict;
  client_.introduced = true;
  input.remove_prefix(step.used);
  if (!source.address.empty()) client_.peer = {std::move(source.address), source.port};
  return step.verdict;
}

bool Connection::peer_is_trusted() {
  if (trust_edition_ != shared_.trust.edition) {
    trust_edition_ = shared_.trust.edition;
    peer_trusted_ = shared_.trust.forwarders.contains(client_.peer.address);
  }
  return peer_trusted_;
}

// The rest is looked at again at the next turn. It must not move while a head looks into it.
void Connection::keep_rest(std::string_view rest, bool is_stored) {
  if (is_stored) {
    stored_at_ = stored_.size() - rest.size();
  } else if (!rest.empty()) {
    stored_.assign(rest);
    stored_at_ = 0;
  }
}

// The request is not complete. False: the connection is broken.
bool Connection::want_more(Lane& lane) {
  if (codec_.between_requests()) {
    if (has_stored() && !waiting_for(WaitKind::Head)) {
      shared_.timeouts.arm(*this, WaitKind::Head, shared_.now);
    }
    return true;
  }
  keep_head(lane);
  if (stage_ != RequestStage::Receiving) begin_wait(RequestStage::Receiving, *kept_head_);
  shared_.timeouts.arm(*this, WaitKind::Body, shared_.now);
  if (kept_head_->expects_continue && !continue_sent_ && exchange_.body().size() == 0) {
    continue_sent_ = true;
    return send(kContinue, {});
  }
  return true;
}

void Connection::keep_head(Lane& lane) {
  if (kept_head_ != nullptr) return;
  kept_head_ = std::make_unique<http::RequestHead>();
  std::swap(*kept_head_, lane.head);
  kept_head_->keep();
  exchange_.request_ = kept_head_.get();
}

// A piece at a time: what the app does not ask for stays in the socket.
Exchange::Progress Connection::read_body(Lane& lane) {
  using Progress = Exchange::Progress;
  if (kept_head_->expects_continue && !std::exchange(continue_sent_, true) &&
      exchange_.body().size() == 0 && !exchange_.head_sent_ && !send(kContinue, {})) {
    return Progress::Ended;
  }
  if (has_stored()) {
    Progress progress = parse_body(std::string_view(stored_).substr(stored_at_), true);
    if (progress != Progress::Waiting) return progress;
  }
  while (readable_) {
    ssize_t got = receive(lane);
    if (got == 0) break;
    if (got < 0) return Progress::Ended;
    std::string_view input(lane.input.get(), static_cast<std::size_t>(got));
    bool joined = has_stored();
    if (joined) {
      stored_.erase(0, stored_at_);
      stored_at_ = 0;
      stored_.append(input);
      input = stored_;
    }
    Progress progress = parse_body(input, joined);
    if (progress != Progress::Waiting) return progress;
  }
  if (broken_) return Progress::Ended;
  if (output_.pending() == 0) arm_now(WaitKind::Body);
  return Progress::Waiting;
}

Exchange::Progress Connection::parse_body(std::string_view input, bool is_stored) {
  using Event = http::RequestCodec::Event;
  using Progress = Exchange::Progress;
  http::Refusal refusal;
  Progress progress = Progress::Waiting;
  for (;;) {
    auto step = codec_.next(input, shared_.limits, *kept_head_, refusal);
    input.remove_prefix(step.used);
    switch (step.event) {
      case Event::Body:
        if (!exchange_.body().append(step.data)) return Progress::Ended;
        progress = Progress::More;
        break;
      case Event::Complete:
        keep_rest(input, is_stored);
        shared_.timeouts.disarm(*this);
        exchange_.body_complete_ = true;
        return Progress::Complete;
      case Event::NeedMore:
        keep_rest(input, is_stored);
        return progress;
      case Event::Head:
      case Event::Refused:  // the rest cannot be understood: as if the client had gone
        broken_ = true;
        return Progress::Ended;
    }
  }
}

void Connection::upgrade() {
  phase_ = Phase::Upgraded;
  exchange_.keep_alive_ = false;
}

UniqueFd Connection::detach(std::string& received) {
  exchange_.observer_ = nullptr;
  shared_.timeouts.disarm(*this);
  received.assign(stored_, stored_at_);
  stored_ = {};
  stored_at_ = 0;
  broken_ = true;
  return std::move(client_.socket);
}

std::span<char> Connection::receive_raw(Lane& lane) {
  if (has_stored()) {
    std::size_t size = std::min(stored_.size() - stored_at_, Lane::kInput);
    stored_.copy(lane.input.get(), size, stored_at_);
    stored_at_ += size;
    if (!has_stored()) stored_ = {};
    return {lane.input.get(), size};
  }
  if (!readable_) return {};
  ssize_t got = receive(lane);
  if (got < 0) broken_ = true;
  return {lane.input.get(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

void Connection::await(WaitKind kind) {
  if (output_.pending() == 0) arm_now(kind);
}

// On the gateway's account, whenever that is.
void Connection::arm_now(WaitKind kind) {
  shared_.timeouts.arm(*this, kind, net::steady_now());
  if (shared_.deadline_changed) shared_.deadline_changed();
}

Connection::Outcome Connection::begin_request(const http::RequestHead& head) {
  phase_ = Phase::InHand;
  end_wait();
  shared_.timeouts.disarm(*this);
  begun_ = shared_.now;
  exchange_.begin(head);
  return Outcome::Request;
}

// `unparsed` begins with the head, if that is what is refused.
Connection::Outcome Connection::refuse(const http::Refusal& refusal, std::string_view unparsed) {
  refused_ = true;
  end_wait();
  shared_.stats.refused();
  bool is_head = kept_head_ != nullptr && kept_head_->is_head;
  std::string answer =
      http::error_answer(refusal.status, refusal.rule, shared_.date.line(shared_.now), !is_head);
  if (shared_.access_log.on()) {
    log_refused(refusal.status, answer.size() - answer.find("\r\n\r\n") - 4, unparsed);
  }
  stored_.clear();
  stored_at_ = 0;
  if (!send(answer, {})) return Outcome::Closed;
  return finish();
}

void Connection::log_refused(int status, std::uint64_t body_bytes, std::string_view unparsed) {
  http::RequestHead line = line_of(unparsed);
  const http::RequestHead& head = kept_head_ != nullptr ? *kept_head_ : line;
  shared_.access_log.add({head, http::ResponseHead(), origin_of(*this, head), status, body_bytes});
}

bool Connection::send(std::string_view first, std::string_view second) {
  if (broken_) return false;
  bool was_pending = output_.pending() > 0;
  shared_.stats.sent(first.size() + second.size());
  return note_sent(output_.write(socket(), first, second), was_pending);
}

bool Connection::hold(std::string_view first, std::string_view second) {
  if (broken_ || !output_.hold(first, second)) return false;
  shared_.stats.sent(first.size() + second.size());
  return true;
}

bool Connection::release_held() {
  if (broken_) return false;
  return output_.pending() == 0 || note_sent(output_.flush(socket()), false);
}

bool Connection::send_file(std::string_view first, FilePiece file) {
  if (broken_) return false;
  bool was_pending = output_.pending() > 0;
  shared_.stats.sent(first.size() + file.size);
  return note_sent(output_.write_file(socket(), first, std::move(file)), was_pending);
}

bool Connection::note_sent(Output::State state, bool was_pending) {
  switch (state) {
    case Output::State::Drained:
      return true;
    case Output::State::Pending:
      if (!was_pending) arm_now(WaitKind::Send);
      return true;
    case Output::State::Broken:
      broken_ = true;
      return false;
  }
  return false;
}

bool Connection::flush_in_hand() {
  if (broken_) return false;
  std::uint64_t before = output_.pending();
  Output::State state = output_.flush(socket());
  if (state == Output::State::Drained) {
    shared_.timeouts.disarm(*this);
  } else if (output_.pending() < before) {
    shared_.timeouts.arm(*this, WaitKind::Send, shared_.now);
  }
  if (state == Output::State::Broken) broken_ = true;
  return !broken_;
}

Connection::Outcome Connection::finish() {
  bool unsent = output_.pending() > 0 && !broken_ && !exchange_.gone();
  if (unsent && !refused_) begin_wait(RequestStage::Sending, exchange_.request());
  kept_head_.reset();
  exchange_.body().clear();
  exchange_.observer_ = nullptr;
  continue_sent_ = false;
  // What the app did not want of the body would be taken for the next request.
  if (!exchange_.body_complete_) exchange_.keep_alive_ = false;
  if (broken_ || exchange_.gone()) return Outcome::Closed;
  if (unsent) {
    phase_ = Phase::Flushing;
    shared_.timeouts.arm(*this, WaitKind::Send, shared_.now);
    return Outcome::Waiting;
  }
  return after_output();
}

// The answer has left. What now?
Connection::Outcome Connection::after_output() {
  if (refused_ || !exchange_.keep_alive_) {
    bool input_expected =
        refused_ || readable_ || has_stored() || shared_.parting() || !exchange_.body_complete_;
    return input_expected ? linger() : Outcome::Closed;
  }
  phase_ = Phase::Reading;
  number_ = 0;
  if (!has_stored() && !stored_.empty()) {
    stored_.clear();
    stored_at_ = 0;
  }
  if (has_stored()) {
    shared_.timeouts.arm(*this, WaitKind::Head, shared_.now);
  } else {
    shared_.timeouts.arm(*this, WaitKind::KeepAlive, shared_.now);
  }
  return Outcome::Waiting;
}

// Closing at once with unread input would reset the connection and could destroy the answer on
// its way (RFC 9112 §9.6). So: end our side, read on for a bounded time, then close.
Connection::Outcome Connection::linger() {
  if (::shutdown(socket(), SHUT_WR) < 0) return Outcome::Closed;
  phase_ = Phase::Lingering;
  stored_ = {};
  stored_at_ = 0;
  shared_.timeouts.arm(*this, WaitKind::Linger, shared_.now);
  return Outcome::Waiting;
}

Connection::Outcome Connection::drain_input(Lane& lane) {
  while (readable_) {
    ssize_t got = receive(lane);
    if (got == 0) break;
    if (got < 0) return Outcome::Closed;
    lingered_ += static_cast<std::uint64_t>(got);
    if (lingered_ > kLingerBytes) return Outcome::Closed;
  }
  return Outcome::Waiting;
}

Connection::Outcome Connection::time_out() {
  switch (wait_kind()) {
    case WaitKind::Fresh:
      return Outcome::Closed;
    case WaitKind::KeepAlive:
      return linger();
    case WaitKind::Head:
      return refuse({408, "Header fields took too long (client_header_timeout)"},
                    std::string_view(stored_).substr(stored_at_));
    case WaitKind::Body:
      if (phase_ == Phase::InHand) {
        broken_ = true;
        if (exchange_.observer_ != nullptr) exchange_.observer_->on_change();
        return Outcome::Waiting;
      }
      return refuse({408, "Body took too long (client_body_timeout)"});
    case WaitKind::Send:
      if (phase_ != Phase::InHand && phase_ != Phase::Upgraded) return Outcome::Closed;
      broken_ = true;  // its thread will see it
      ::shutdown(socket(), SHUT_RDWR);
      return Outcome::Waiting;
    case WaitKind::Linger:
      return Outcome::Closed;
    case WaitKind::Ping:
      exchange_.observer_->on_ping_due();
      return Outcome::Waiting;
    case WaitKind::Pong:
      exchange_.observer_->on_pong_late();
      return Outcome::Waiting;
  }
  return Outcome::Closed;
}

}  // namespace appd::engine
