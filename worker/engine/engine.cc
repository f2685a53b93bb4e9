// The loop's parts: waiting without the lock, everything else with it.
#include "worker/engine/engine.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace appd::engine {
namespace {

// epoll data: special tags have no generation, connections have (generation << 32 | index).
constexpr std::uint64_t kWakerTag = 0;
constexpr std::uint64_t kWatchedTag = 1;
constexpr std::uint64_t kTimerTag = 2;
constexpr std::uint64_t kFirstAcceptorTag = 16;
// Few at a time, so that idle siblings get their share of a burst.
constexpr int kAcceptBatch = 4;
constexpr int kDrainAccepts = 64;
// Whoever looks as often as that does not ask the kernel how long something has been there.
constexpr std::chrono::milliseconds kPrompt{1};

constexpr std::int64_t kNoDeadline = std::numeric_limits<std::int64_t>::max();
// While nobody waits, no deadline is earlier than what nobody sleeps for.
constexpr std::int64_t kNobodySleeps = std::numeric_limits<std::int64_t>::min();

std::int64_t ticks(net::TimePoint at) { return at.time_since_epoch().count(); }

int timeout_until(std::int64_t deadline) {
  if (deadline == kNoDeadline) return -1;
  std::int64_t left = deadline - ticks(net::steady_now());
  if (left <= 0) return 0;
  std::int64_t milliseconds = (left + 999'999) / 1'000'000;
  return static_cast<int>(std::min<std::int64_t>(milliseconds, 3'600'000));
}

epoll_event event_of(std::uint64_t connection_id) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = connection_id;
  return event;
}

Result<void> watch_level(int epoll, int fd, std::uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
    return sys_error("ENGINE_WATCH", "watch a descriptor", errno);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::vector<UniqueFd> listeners, Handover handover,
                                               const message::Settings& settings,
                                               ScoreboardSlot& slot) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return sys_error("ENGINE_CREATE", "create epoll", errno);
  UniqueFd waker(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!waker) return sys_error("ENGINE_CREATE", "create eventfd", errno);
  TRY(watch_level(epoll.get(), waker.get(), kWakerTag));
  auto parking = TRY(Parking::create(std::move(handover), epoll.get()));
  Acceptor acceptor = TRY(
      Acceptor::open(std::move(listeners), parking->handover(), epoll.get(), kFirstAcceptorTag));
  std::unique_ptr<Engine> engine(new Engine(std::move(epoll), std::move(waker), std::move(parking),
                                            std::move(acceptor), slot));
  engine->apply(settings);
  return engine;
}

Engine::Engine(UniqueFd epoll, UniqueFd waker, std::unique_ptr<Parking> parking, Acceptor acceptor,
               ScoreboardSlot& slot)
    : shared_(slot),
      slot_(slot),
      epoll_(std::move(epoll)),
      waker_(std::move(waker)),
      parking_(std::move(parking)),
      acceptor_(std::move(acceptor)),
      deadline_(kNoDeadline),
      sleeping_until_(kNobodySleeps),
      armed_(kNoDeadline) {
  shared_.now = net::steady_now();
  parking_->handover().join(slot);
}

Engine::~Engine() {
  for (Entry& entry : entries_) entry.connection.reset();
}

bool Engine::wait() {
  std::int64_t deadline;
  // Whoever makes the deadline earlier from here on sees that we sleep for too long, and wakes us.
  do {
    deadline = deadline_.load();
    sleeping_until_.store(deadline);
  } while (deadline != deadline_.load());
  int count = ::epoll_wait(epoll_.get(), events_.data(), kBatch, timeout_until(deadline));
  sleeping_until_.store(kNobodySleeps, std::memory_order_relaxed);
  bool interrupted = count < 0 && errno == EINTR;
  bool timed = count > 0 && times_lock_.load(std::memory_order_relaxed);
  ready_ = timed ? net::steady_now() : net::TimePoint();
  take_events(count);
  return interrupted;
}

void Engine::take_events(int count) {
  event_count_ = std::max(count, 0);
  woken_.store(true, std::memory_order_release);
}

Result<int> Engine::poll_fd() {
  if (!timer_) {
    timer_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer_) return sys_error("ENGINE_TIMER", "create a timer", errno);
    TRY(watch_level(epoll_.get(), timer_.get(), kTimerTag));
    shared_.deadline_changed = [this] { publish_deadline(); };
    publish_deadline();
  }
  return epoll_.get();
}

void Engine::poll() {
  take_events(::epoll_wait(epoll_.get(), events_.data(), kBatch, 0));
  collect();
}

void Engine::accept_clients(bool wanted) {
  has_room_ = wanted;
  if (!shared_.draining && !excluding_) acceptor_.hold_back(!wanted);
}

void Engine::exclude_clients() {
  excluding_ = true;
  parking_->handover().leave(slot_);
  acceptor_.hold_back(true);
}

void Engine::admit_clients() {
  excluding_ = false;
  if (shared_.draining) return;
  parking_->handover().join(slot_);
  acceptor_.hold_back(!has_room_);
}

void Engine::adopt(UniqueFd socket) {
  add({std::move(socket), {}, 0, true}, false);
  publish_deadline();
}

// An alarm that is too early costs one wake-up, after which the next is set; so most changes of the
// deadline cost nothing.
void Engine::arm_timer(std::int64_t deadline) {
  if (deadline >= armed_) return;
  armed_ = deadline;
  itimerspec alarm{};
  alarm.it_value.tv_sec = deadline / 1'000'000'000;
  alarm.it_value.tv_nsec = deadline % 1'000'000'000;
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &alarm, nullptr);
}

void Engine::wake() {
  std::uint64_t one = 1;
  // Full means that the waiting thread is being woken already.
  if (::write(waker_.get(), &one, sizeof(one)) < 0) return;
}

void Engine::request_drain() {
  shared_.goodbyes.fetch_or(Shared::kLeaving);
  shared_.drain_requested.store(true);
  wake();
}

Exchange* Engine::next(Lane& lane) {
  for (;;) {
    if (woken_.load(std::memory_order_acquire)) collect();
    if (watched_ready_) return nullptr;
    Connection* connection = turns_.pop_front();
    if (connection == nullptr) {
      take_given();
      if (acceptor_.ready()) {
        bool turns = parking_->handover().turns_wanted();
        accept_some(turns ? 1 : kAcceptBatch);
        acceptor_.rest();
        if (turns) acceptor_.queue_up_again();
      }
      publish_deadline();
      shared_.access_log.flush();
      return nullptr;
    }
    if (!connection->claim()) continue;  // a sibling's by now
    Connection::Outcome outcome = connection->advance(lane);
    if (outcome == Connection::Outcome::Request) {
      in_hand_.push_back(*connection);
      const http::RequestHead& head = connection->exchange().request();
      connection->set_place(shared_.stats.begin(connection->number(), head.method, head.target,
                                                connection->begun(), oldest_in_hand()->begun()));
      return &connection->exchange();
    }
    settle(*connection, outcome);
  }
}

// So that those that are shown are the oldest; hence this one is found behind as many at most.
void Engine::uncover() {
  const auto hidden = [](const Connection& each) { return each.place() == Stats::kNotShown; };
  while (shared_.stats.hides_some()) {
    Connection* found = overdue_.find_if(hidden);
    if (found == nullptr) found = in_hand_.find_if(hidden);
    if (found == nullptr) return;
    const http::RequestHead& head = found->exchange().request();
    found->set_place(
        shared_.stats.uncover(found->number(), head.method, head.target, found->begun()));
  }
}

Connection* Engine::oldest_in_hand() const {
  return overdue_.empty() ? in_hand_.front() : overdue_.front();
}

Exchange* Engine::next_overdue() {
  std::chrono::milliseconds limit(shared_.settings.request_timeout_ms);
  Connection* oldest = in_hand_.front();
  if (limit.count() == 0 || oldest == nullptr || shared_.now - oldest->begun() < limit) {
    return nullptr;
  }
  overdue_.push_back(*oldest);
  oldest->exchange().note_overdue();
  return &oldest->exchange();
}

net::Nanoseconds Engine::oldest_overdue() const {
  return overdue_.empty() ? net::Nanoseconds(0) : shared_.now - overdue_.front()->begun();
}

Exchange* Engine::find_in_hand(std::uint32_t number) {
  const auto is_it = [number](Connection& each) { return each.number() == number; };
  Connection* found = in_hand_.find_if(is_it);
  if (found == nullptr) found = overdue_.find_if(is_it);
  return found == nullptr ? nullptr : &found->exchange();
}

void Engine::finish(Exchange& exchange) {
  end_request(exchange, exchange.response().code());
  leave_gateway(exchange.connection());
}

void Engine::upgrade(Exchange& exchange) {
  end_request(exchange, 101);
  shared_.stats.websocket_opened();
  exchange.connection().upgrade();
}

UniqueFd Engine::detach(Exchange& exchange, std::string& received) {
  upgrade(exchange);
  Connection& connection = exchange.connection();
  parking_->remove(connection);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.socket(), nullptr);
  return connection.detach(received);
}

void Engine::close_upgraded(Exchange& exchange) {
  shared_.now = net::steady_now();
  shared_.stats.websocket_closed();
  leave_gateway(exchange.connection());
}

void Engine::end_request(Exchange& exchange, int status) {
  Connection& connection = exchange.connection();
  shared_.now = net::steady_now();
  static_cast<net::ListLink<TurnTag>&>(connection).unlink();
  Connection* oldest = oldest_in_hand();
  shared_.stats.end(connection.place(), status, connection.waited(),
                    shared_.now - connection.begun(),
                    oldest == nullptr ? net::TimePoint() : oldest->begun());
  uncover();
  if (shared_.access_log.on() && status != 0) log_request(exchange, status);
}

void Engine::log_request(Exchange& exchange, int status) {
  Connection& connection = exchange.connection();
  const http::RequestHead& request = exchange.request();
  shared_.access_log.add({request, exchange.response(), origin_of(connection, request), status,
                          exchange.body_sent(), shared_.now - connection.begun()});
  // In a foreign event loop answers end between polls too, and nobody calls next() soon.
  if (timer_) shared_.access_log.flush();
}

void Engine::leave_gateway(Connection& connection) {
  Connection::Outcome outcome = connection.finish();
  settle(connection, outcome);
  if (outcome != Connection::Outcome::Closed && connection.has_unparsed()) {
    connection.note_came(false);
    turns_.push_back(connection);
  }
  if (timer_ || sleeping_until_.load(std::memory_order_relaxed) != kNobodySleeps) {
    publish_deadline();
  }
}

void Engine::settle(Connection& connection, Connection::Outcome outcome) {
  if (outcome == Connection::Outcome::Closed) return remove(connection);
  if (connection.has_unread()) {
    connection.note_came(false);
    turns_.push_back(connection);
  } else if (connection.has_unsent()) {
    watch_again(connection);
  }
  if (connection.movable()) parking_->park(connection);
}

// Looks at what the waiting thread has brought, and at the clock.
void Engine::collect() {
  shared_.now = net::steady_now();
  looks_late_ = shared_.now - std::exchange(looked_, shared_.now) > kPrompt;
  if (ready_ != net::TimePoint()) {
    shared_.stats.lock_waited(shared_.now - std::exchange(ready_, net::TimePoint()));
  }
  for (int i = 0; i < event_count_; ++i) collect_event(events_[static_cast<std::size_t>(i)]);
  woken_.store(false, std::memory_order_relaxed);
  if (parking_->has_given()) bury_given();
  uncover();  // clients that were waited for have perhaps left room
  if (shared_.drain_requested.load(std::memory_order_relaxed)) drain();
  // Nothing is due before the deadline that was published last.
  if (ticks(shared_.now) >= deadline_.load(std::memory_order_relaxed)) run_timeouts();
}

void Engine::collect_event(const epoll_event& event) {
  std::uint64_t tag = event.data.u64;
  if ((tag >> 32) != 0) {
    Connection* connection = find(tag);
    if (connection != nullptr && connection->note_events(event.events)) {
      connection->note_came(looks_late_);
      turns_.push_back(*connection);
    }
  } else if (tag == kWakerTag) {
    std::uint64_t count = 0;
    if (::read(waker_.get(), &count, sizeof(count)) < 0) return;
  } else if (tag == kWatchedTag) {
    watched_ready_ = true;
  } else if (tag == kTimerTag) {
    std::uint64_t rings = 0;
    if (::read(timer_.get(), &rings, sizeof(rings)) < 0) return;
    armed_ = kNoDeadline;
  } else {
    acceptor_.note_ready(tag);
  }
}

void Engine::run_timeouts() {
  while (Waiter* due = shared_.timeouts.take_due(shared_.now)) {
    auto& connection = static_cast<Connection&>(*due);
    if (!connection.claim()) continue;
    settle(connection, connection.time_out());
  }
  if (acceptor_.retry_at() <= shared_.now) acceptor_.resume();
}

void Engine::publish_deadline() {
  std::int64_t earliest = ticks(std::min(shared_.timeouts.earliest(), acceptor_.retry_at()));
  deadline_.store(earliest);
  if (timer_) return arm_timer(earliest);
  if (earliest < sleeping_until_.load()) wake();
}

void Engine::note_turns() {
  bool wanted = parking_->handover().turns_wanted();
  bool noted = (shared_.goodbyes.load(std::memory_order_relaxed) & Shared::kSpreading) != 0;
  if (wanted && !noted) {
    shared_.spreads.fetch_add(1);
    shared_.goodbyes.fetch_or(Shared::kSpreading);
  }
  if (!wanted && noted) shared_.goodbyes.fetch_and(static_cast<std::uint8_t>(~Shared::kSpreading));
}

void Engine::give_away() {
  if (!excluding_ && parking_->give_away()) wake();
}

// What a sibling has given away. One at a time: while we are at it, others may have time too.
void Engine::take_given() {
  if (auto client = acceptor_.take_given()) add(std::move(*client), true);
}

// Those that are at a sibling now, and those that nobody took.
void Engine::bury_given() {
  for (auto [connection, taken_back] : parking_->take_given()) {
    if (!taken_back) {
      remove(*connection);
      continue;
    }
    connection->take_back();
    connection->note_events(EPOLLIN);
    connection->note_came(true);
    turns_.push_back(*connection);
    parking_->park(*connection);
  }
}

bool Engine::finished() {
  if (!shared_.draining || open_ > 0) return false;
  // Whoever stays takes what is in the queue.
  if (excluding_ || parking_->handover().has_takers()) return true;
  auto client = parking_->handover().take();
  if (!client) return true;
  add(std::move(*client), true);  // its request is there already, so wait() returns at once
  return false;
}

void Engine::accept_some(int most) {
  for (int i = 0; i < most; ++i) {
    auto client = acceptor_.accept();
    if (!client) return;
    add(std::move(*client), looks_late_);
  }
}

void Engine::add(Client client, bool late) {
  std::uint32_t index;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Entry& entry = entries_[index];
  std::uint64_t id = (std::uint64_t{entry.generation} << 32) | index;
  entry.connection = std::make_unique<Connection>(std::move(client), id, shared_);
  Connection& connection = *entry.connection;
  if (late) connection.look_at_first();
  ++open_;
  epoll_event event = event_of(id);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.socket(), &event) < 0) {
    remove(connection);
  } else {
    parking_->park(connection);
  }
}

// What is true now is reported again, after the events that are waiting already.
void Engine::watch_again(const Connection& connection) {
  epoll_event event = event_of(connection.id());
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket(), &event);
}

Connection* Engine::find(std::uint64_t id) {
  auto index = static_cast<std::uint32_t>(id);
  if (index >= entries_.size() || entries_[index].generation != id >> 32) return nullptr;
  return entries_[index].connection.get();
}

void Engine::remove(Connection& connection) {
  auto index = static_cast<std::uint32_t>(connection.id());
  parking_->remove(connection);
  // A forked child of the app may hold the socket: closing alone would leave it registered.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.socket(), nullptr);
  Entry& entry = entries_[index];
  entry.connection.reset();
  ++entry.generation;
  free_.push_back(index);
  --open_;
  acceptor_.resume();
}

void Engine::apply(const message::Settings& settings) {
  shared_.apply(settings);
  publish_deadline();
}

void Engine::drain() {
  if (shared_.draining) return;
  shared_.draining = true;
  shared_.goodbyes.fetch_or(Shared::kLeaving);
  parking_->handover().leave(slot_);
  shared_.timeouts.drain(shared_.now);
  acceptor_.stop();
  // EPOLLEXCLUSIVE may have woken only us for a client; nobody else would be woken for it again.
  if (!excluding_) accept_some(kDrainAccepts);
  acceptor_.close();
  publish_deadline();
}

Result<void> Engine::watch(int fd) { return watch_level(epoll_.get(), fd, kWatchedTag); }

void Engine::unwatch(int fd) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  watched_ready_ = false;
}

}  // namespace appd::engine
